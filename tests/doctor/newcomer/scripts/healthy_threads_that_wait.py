"""Enough threads for tasks that wait.

:headline: HEALTHY
"""

import time
from concurrent.futures import ThreadPoolExecutor

ITEMS = 600


def query(number):
    time.sleep(0.05)
    return number % 7


def main():
    with ThreadPoolExecutor(64) as executor:
        print(sum(executor.map(query, range(ITEMS))))


if __name__ == "__main__":
    main()
