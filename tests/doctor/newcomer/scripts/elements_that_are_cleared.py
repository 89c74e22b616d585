"""Elements of a stream that are cleared when the next one is read: chunks would hold empty ones.

:headline: PW001
:also: PW002
:first: poolwise, serial
"""

from multiprocessing import Pool

ITEMS = 20_000


def elements(count):
    for number in range(count):
        element = [number] * 50
        yield element
        element.clear()


def size(element):
    return len(element)


def main():
    with Pool(2) as pool:
        print(sum(pool.imap(size, elements(ITEMS))))


if __name__ == "__main__":
    main()
