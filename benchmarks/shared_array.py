"""An array that many tasks read or fill: `poolwise.share` beside what is written by hand.

By hand: a segment of ``SharedMemory``, opened once in each worker; or a file that joblib maps. Each
turn begins with the data in ordinary memory, or with nothing, and ends with everything given back.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import peers
from benchmarks.arrays import MB
from benchmarks.harness.model import Claim, Entrant, Target

if TYPE_CHECKING:
    from collections.abc import Callable

MEGABYTES, TASKS = 32, 200
SHAPE = (TASKS, MEGABYTES * MB // TASKS)

_opened: dict[str, Any] = {}


@dataclass(frozen=True)
class Load:
    """Rows that are read from an array, or, where there is none, filled into a new one."""

    array: Any
    rows: range

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice) -> Load:
        return Load(self.array, self.rows[part])

    @property
    def task(self) -> Callable[[Any, int], float]:
        return fill if self.array is None else read


def read(array: Any, row: int) -> float:
    return float(array[row].sum())


def fill(array: Any, row: int) -> float:
    array[row] = row
    return float(array[row, -1])


def make(*, is_read: bool) -> Load:
    import numpy as np

    array = np.repeat(np.arange(float(TASKS)), SHAPE[1]).reshape(SHAPE) if is_read else None
    return Load(array, range(TASKS))


def by_share(pool: Any, load: Load) -> tuple[list[float], float]:
    import poolwise

    array = poolwise.empty(SHAPE) if load.array is None else poolwise.share(load.array)
    with array:
        results = pool.starmap(load.task, [(array, row) for row in load.rows])
        return results, float(array[load.rows[-1], -1])


def by_segment(pool: Any, load: Load) -> tuple[list[float], float]:
    from multiprocessing.shared_memory import SharedMemory

    import numpy as np

    segment = SharedMemory(create=True, size=MEGABYTES * MB * 8)
    try:
        array = np.ndarray(SHAPE, buffer=segment.buf)
        if load.array is not None:
            array[:] = load.array
        task = partial(in_segment, load.task, segment.name)
        results = pool.map(task, load.rows)
        return results, float(array[load.rows[-1], -1])
    finally:
        del array
        segment.close()
        segment.unlink()


def in_segment(task: Callable[[Any, int], float], name: str, row: int) -> float:
    from multiprocessing.shared_memory import SharedMemory

    import numpy as np

    if name not in _opened:
        _opened.clear()
        _opened[name] = SharedMemory(name=name)
    return task(np.ndarray(SHAPE, buffer=_opened[name].buf), row)


def by_file(parallel: Any, load: Load) -> tuple[list[float], float]:
    import joblib
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "array"
        array: Any
        if load.array is None:
            array = np.memmap(path, "f8", "w+", shape=SHAPE)
        else:
            joblib.dump(load.array, path)
            array = joblib.load(path, mmap_mode="r")
        results = parallel(joblib.delayed(load.task)(array, row) for row in load.rows)
        return list(results), float(array[load.rows[-1], -1])


def check(load: Load, results: tuple[list[float], float]) -> None:
    values, last = results
    of_row = 1 if load.array is None else SHAPE[1]
    assert values == [float(row * of_row) for row in load.rows], "wrong results"
    assert last == load.rows[-1], "what the tasks wrote is not seen"


CLAIM = Claim(
    title=f"{TASKS} tasks on an array of {MEGABYTES} MB that is put into shared memory for them",
    cases={"read": partial(make, is_read=True), "filled": partial(make, is_read=False)},
    check=check,
    entrants=[
        Entrant("poolwise.share", by_share, peers.poolwise_pool),
        Entrant("poolwise.share, in mp.Pool", by_share, peers.mp_pool),
        Entrant("mp.Pool, SharedMemory", by_segment, peers.mp_pool),
        Entrant("joblib, memmap", by_file, peers.joblib_parallel),
    ],
    targets=[Target("mp.Pool, SharedMemory"), Target("joblib, memmap")],
)
