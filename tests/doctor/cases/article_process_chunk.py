"""The article's squares over shared memory, with as many workers as there are CPUs.

:verdict: serial-parent
:also: not-worth-a-pool
:needs: numpy
"""

from multiprocessing import Pool, shared_memory

import numpy as np

SHM = None
ARR = None


def init_worker(name, shape, dtype_str):
    global SHM, ARR
    SHM = shared_memory.SharedMemory(name=name)
    ARR = np.ndarray(shape, dtype=np.dtype(dtype_str), buffer=SHM.buf)


def process_chunk(idx_range):
    start, end = idx_range
    chunk = ARR[start:end]
    return float((chunk**2).sum())


if __name__ == "__main__":
    data = np.random.rand(40_000_000).astype("float64")

    shm = shared_memory.SharedMemory(create=True, size=data.nbytes)
    shm_arr = np.ndarray(data.shape, dtype=data.dtype, buffer=shm.buf)
    shm_arr[:] = data[:]

    step = 250_000
    ranges = [(i, min(i + step, len(data))) for i in range(0, len(data), step)]

    with Pool(initializer=init_worker, initargs=(shm.name, data.shape, str(data.dtype))) as pool:
        partial_sums = pool.map(process_chunk, ranges)

    total = sum(partial_sums)
    print("Total:", total)

    shm.close()
    shm.unlink()
