"""The article's per-task timing: total wall time against the workers' own clocks.

:verdict: oversubscribed-processes
:also: vectorise-instead, healthy
"""

import time
from multiprocessing import Pool


def real_work(x):
    s = 0
    for i in range(100_000):
        s += (x + i) % 7
    return s


def timed_work(x):
    start = time.perf_counter()
    result = real_work(x)
    duration = time.perf_counter() - start
    return (result, duration)


if __name__ == "__main__":
    data = range(100)

    t0 = time.perf_counter()
    with Pool(processes=4) as pool:
        results = pool.map(timed_work, data, chunksize=5)
    total = time.perf_counter() - t0

    worker_times = [d for (_res, d) in results]
    print(f"Total wall time: {total:.3f}s")
    print(f"Avg worker time per item: {sum(worker_times) / len(worker_times):.6f}s")
