"""The article's sums over shared memory: nearly all the time goes into making the data.

:verdict: serial-parent
:also: not-worth-a-pool
:needs: numpy
"""

from multiprocessing import Pool, shared_memory

import numpy as np

SHM = None
ARRAY = None


def init_worker(name, shape, dtype):
    global SHM, ARRAY
    SHM = shared_memory.SharedMemory(name=name)
    ARRAY = np.ndarray(shape, dtype=dtype, buffer=SHM.buf)


def sum_slice(args):
    start, end = args
    return float(ARRAY[start:end].sum())


if __name__ == "__main__":
    data = np.random.rand(40_000_000).astype("float64")

    shm = shared_memory.SharedMemory(create=True, size=data.nbytes)
    shm_array = np.ndarray(data.shape, dtype=data.dtype, buffer=shm.buf)
    shm_array[:] = data[:]

    slices = []
    step = 250_000
    for start in range(0, len(data), step):
        end = min(start + step, len(data))
        slices.append((start, end))

    with Pool(4, initializer=init_worker, initargs=(shm.name, data.shape, str(data.dtype))) as pool:
        partial_sums = pool.map(sum_slice, slices)

    total = sum(partial_sums)
    print("Total:", total)

    shm.close()
    shm.unlink()
