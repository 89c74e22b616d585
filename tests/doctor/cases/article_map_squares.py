"""The article's first program: a thousand squares, in chunks of fifty.

:verdict: not-worth-a-pool
:also: startup
"""

from multiprocessing import Pool


def work(x):
    return x * x


if __name__ == "__main__":
    with Pool(processes=4) as pool:
        data = range(1_000)
        results = pool.map(work, data, chunksize=50)
        print(results[:5])
