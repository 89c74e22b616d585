"""Each result is put into order by a callback that takes longer than its task.

:headline: PW018
:first: code
"""

from multiprocessing import Pool

ITEMS = 300

found = []


def search(number):
    return [number * step % 1013 for step in range(2000)]


def store(values):
    texts = sorted({value: str(value) for value in values for _ in range(8)}.values())
    found.append(texts[len(texts) // 2])


def main():
    with Pool(2) as pool:
        for number in range(ITEMS):
            pool.apply_async(search, (number,), callback=store)
        pool.close()
        pool.join()
    print(len(found), min(found))


if __name__ == "__main__":
    main()
