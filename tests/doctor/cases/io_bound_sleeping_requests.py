"""A hundred requests that wait 20 ms for an answer, in two processes.

:verdict: io-bound
"""

import time
from multiprocessing import Pool


def request(page):
    time.sleep(0.020)  # the server thinks
    return page * 10


def main():
    with Pool(2) as pool:
        print(len(pool.map(request, range(100))))


if __name__ == "__main__":
    main()
