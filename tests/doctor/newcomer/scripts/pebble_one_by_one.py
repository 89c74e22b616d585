"""Small tasks that pebble's pool is given one by one.

:headline: PW001
:also: PW002
:first: serial, chunksize, code, poolwise
:needs: pebble
"""

from pebble import ProcessPool

ITEMS = 2000


def digits(number):
    return sum(int(digit) for digit in str(number**3))


def main():
    with ProcessPool(max_workers=2) as pool:
        futures = [pool.schedule(digits, args=[number]) for number in range(ITEMS)]
        total = sum(future.result() for future in futures)
    print(total)


if __name__ == "__main__":
    main()
