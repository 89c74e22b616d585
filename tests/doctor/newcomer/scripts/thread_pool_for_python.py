"""The same mistake with a ThreadPool, and a function that returns a string.

:headline: PW016
:first: poolwise
"""

from multiprocessing.pool import ThreadPool

ITEMS = 200


def collatz(start):
    steps, longest = 0, 0
    for first in range(start * 100 + 1, start * 100 + 600):
        number, steps = first, 0
        while number != 1:
            number = 3 * number + 1 if number % 2 else number // 2
            steps += 1
        longest = max(longest, steps)
    return f"{start}: {longest}"


if __name__ == "__main__":
    pool = ThreadPool(2)
    lines = pool.map(collatz, range(ITEMS))
    pool.close()
    pool.join()
    print("\n".join(lines))
