"""Four threads that wait for a database: more would wait for more answers at once.

:headline: PW007
:first: workers, threads
"""

import time
from concurrent.futures import ThreadPoolExecutor, as_completed

ITEMS = 160


def query(number):
    time.sleep(0.05)
    return sum(i * number % 97 for i in range(200))


def main():
    total = 0
    with ThreadPoolExecutor(max_workers=4) as executor:
        futures = [executor.submit(query, number) for number in range(ITEMS)]
        for future in as_completed(futures):
            total += future.result()
    print(total)


if __name__ == "__main__":
    main()
