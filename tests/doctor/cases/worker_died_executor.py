"""A library crashes on one input: the executor breaks, and the rest is done without it.

:verdict: worker-died
"""

import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from effort import compute


def decode(image):
    if image == 97:
        os.abort()  # as compiled code does on a damaged file
    return compute(4)


def main():
    sizes = []
    with ProcessPoolExecutor(max_workers=2) as executor:
        futures = [executor.submit(decode, image) for image in range(120)]
        for future in futures:
            try:
                sizes.append(future.result())
            except BrokenProcessPool:
                sizes.append(None)
    print(sizes.count(None), "images lost")


if __name__ == "__main__":
    main()
