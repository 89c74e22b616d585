"""Each result is stored by a callback of 6 ms, one after the other, for tasks of 4 ms.

:verdict: slow-callbacks
"""

from multiprocessing import Pool

from effort import compute

stored = []


def simulate(run):
    return run, compute(4)


def store(result):
    compute(6)
    stored.append(result)


def main():
    with Pool(2) as pool:
        for run in range(150):
            pool.apply_async(simulate, (run,), callback=store)
        pool.close()
        pool.join()
    print(len(stored))


if __name__ == "__main__":
    main()
