"""Twenty threads wait for 300 answers of 30 ms: what threads are for.

:verdict: healthy
"""

import time
from concurrent.futures import ThreadPoolExecutor


def ping(host):
    time.sleep(0.030)
    return host


def main():
    with ThreadPoolExecutor(max_workers=20) as executor:
        print(sum(executor.map(ping, range(300))))


if __name__ == "__main__":
    main()
