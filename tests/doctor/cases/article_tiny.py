"""The article's measure of pure overhead: fifty thousand tasks that do nothing.

:verdict: tasks-too-small
:also: slower-than-serial
"""

import time
from multiprocessing import Pool


def tiny(x):
    return x


if __name__ == "__main__":
    data = list(range(50_000))

    t0 = time.perf_counter()
    with Pool(4) as pool:
        pool.map(tiny, data, chunksize=1)
    t1 = time.perf_counter()

    print(f"Pool tiny work: {t1 - t0:.3f}s")
