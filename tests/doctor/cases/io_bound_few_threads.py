"""Four threads wait for 200 answers of 20 ms each.

:verdict: io-bound
"""

import time
from concurrent.futures import ThreadPoolExecutor, as_completed


def ask(number):
    time.sleep(0.020)
    return number


def main():
    with ThreadPoolExecutor(max_workers=4) as executor:
        futures = [executor.submit(ask, number) for number in range(200)]
        print(sum(future.result() for future in as_completed(futures)))


if __name__ == "__main__":
    main()
