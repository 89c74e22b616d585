"""The article's search for a chunk size, shortened: five pools, each with work enough.

:verdict: healthy
:also: vectorise-instead, imbalance-chunks
"""

import time
from multiprocessing import Pool, cpu_count


def work(x):
    s = 0
    for i in range(50_000):
        s += (x + i) % 13
    return s


if __name__ == "__main__":
    data = list(range(300))
    procs = cpu_count()
    chunks_to_try = [1, 5, 20, 50, 100]

    for cs in chunks_to_try:
        t0 = time.perf_counter()
        with Pool(processes=procs) as pool:
            pool.map(work, data, chunksize=cs)
        dt = time.perf_counter() - t0
        print(f"chunksize={cs:4d}, time={dt:.3f}s")
