"""From which size on shared memory pays on this machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pickle import PickleBuffer
from typing import TYPE_CHECKING, Any

from poolwise.memory import arena
from poolwise.wire import pickling

if TYPE_CHECKING:
    from poolwise.pool import Pool

SIZES_BYTES = tuple(1024 << step for step in range(2, 11))
"""4 KiB to 1 MiB."""

_NEVER = 1 << 62


@dataclass(frozen=True, slots=True)
class Sharing:
    """One call with an argument of this size, in seconds: in the pickle, and in shared memory."""

    size_bytes: int
    pickled_s: float
    shared_s: float


class _Large:
    """Hands its memory to the pickler, as arrays do; numpy is not needed to measure."""

    def __init__(self, data: Any) -> None:
        self._data = data

    def __reduce_ex__(self, _: Any) -> tuple[Any, ...]:
        return _Large, (PickleBuffer(self._data),)


def _take(_: _Large) -> None:
    pass


def measure_sharing(rounds: int, calls: int, pool: Pool) -> Iterator[Sharing]:
    """Time both ways for each size, turn by turn, in a pool of one worker.

    The way is set in this process alone: only arguments are measured.
    """
    for size_bytes in SIZES_BYTES:
        times: dict[int, list[float]] = {1: [], _NEVER: []}
        for _ in range(rounds):
            for least_bytes, found in times.items():
                with _shared_from(least_bytes):
                    found.append(_time_calls(pool, size_bytes, calls))
        pickled_s, shared_s = (statistics.median(times[way]) for way in (_NEVER, 1))
        yield Sharing(size_bytes, pickled_s, shared_s)


@contextmanager
def _shared_from(least_bytes: int) -> Iterator[None]:
    before = pickling.LEAST_BUFFER_BYTES, arena.LEAST_BLOCK_BYTES
    pickling.LEAST_BUFFER_BYTES = arena.LEAST_BLOCK_BYTES = least_bytes
    try:
        yield
    finally:
        pickling.LEAST_BUFFER_BYTES, arena.LEAST_BLOCK_BYTES = before


def _time_calls(pool: Pool, size_bytes: int, calls: int) -> float:
    value = _Large(bytearray(size_bytes))
    pool.apply(_take, (value,))
    begun_s = time.perf_counter()
    for _ in range(calls):
        pool.apply(_take, (value,))
    return (time.perf_counter() - begun_s) / calls


def find_threshold(measured: Sequence[Sharing]) -> int | None:
    """The smallest size from which shared memory is faster at every size; None if at none."""
    threshold = None
    for sharing in sorted(measured, key=lambda sharing: -sharing.size_bytes):
        if sharing.shared_s >= sharing.pickled_s:
            break
        threshold = sharing.size_bytes
    return threshold
