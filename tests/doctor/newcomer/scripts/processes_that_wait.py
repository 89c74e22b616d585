"""Downloads in two processes that wait for nearly all of the time.

:headline: PW007
:first: threads
"""

import time
from multiprocessing import Pool

ITEMS = 80


def download(number):
    time.sleep(0.05)  # a server that answers in 50 ms
    return len(f"page {number}" * 100)


def main():
    with Pool(2) as pool:
        sizes = pool.map(download, range(ITEMS))
    print(sum(sizes))


if __name__ == "__main__":
    main()
