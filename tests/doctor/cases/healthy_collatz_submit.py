"""Futures of a real computation, collected as they come.

:verdict: healthy
:also: vectorise-instead
"""

from concurrent.futures import ProcessPoolExecutor, as_completed


def length(number):
    steps = 0
    while number != 1:
        number = 3 * number + 1 if number % 2 else number // 2
        steps += 1
    return steps


def longest(start):
    return max((length(number), number) for number in range(start, start + 2000))


def main():
    with ProcessPoolExecutor(max_workers=2) as executor:
        futures = [executor.submit(longest, start) for start in range(1, 360_000, 2000)]
        print(max(future.result() for future in as_completed(futures)))


if __name__ == "__main__":
    main()
