"""The article's preloaded list: a million integers in each worker, a hundred thousand indices.

:verdict: tasks-too-small
:also: slower-than-serial, not-worth-a-pool
"""

from multiprocessing import Pool

DATA = None


def init_worker(shared_blob):
    global DATA
    DATA = shared_blob


def work_on_index(i):
    item = DATA[i]
    return item * item


if __name__ == "__main__":
    big_list = list(range(1_000_000))
    indices = range(100_000)

    with Pool(4, initializer=init_worker, initargs=(big_list,)) as pool:
        results = pool.map(work_on_index, indices, chunksize=100)
    print(len(results))
