"""Cost of sending a value to another process, tried on real ones."""

from __future__ import annotations

import pickle
from time import perf_counter_ns, thread_time_ns
from typing import Any

from poolwise.system import figures

_SHORT_S = 0.0005
"""Pickling that takes less is tried again, for the first time it is slow."""


class Sending:
    """Cost to the parent of sending an argument and getting a result back, by samples."""

    def __init__(self) -> None:
        self.spent_s = 0.0
        self.refused: str | None = None
        """Reason why an argument or a result could not be pickled."""
        self._total_s = 0.0
        self._samples = 0

    @property
    def send_s(self) -> float | None:
        """Per item; None without a sample."""
        return self._total_s / self._samples if self._samples else None

    def sample(self, argument: Any, result: Any) -> None:
        """Pickle both and rebuild the result, as a pool would do."""
        begun_ns = perf_counter_ns()
        try:
            cost_s = _cost_of_pickling(argument) + _cost_of_pickling(result, is_loaded=True)
        except Exception as error:  # whatever a class may raise when it is pickled
            self.refused = f"{type(error).__name__}: {error}"
        else:
            self._total_s += cost_s
            self._samples += 1
        self.spent_s += (perf_counter_ns() - begun_ns) / 1e9


def _cost_of_pickling(value: Any, *, is_loaded: bool = False) -> float:
    """Seconds, the best of some tries if it is short: the first meets cold caches."""
    costs = [_try_pickling(value, is_loaded=is_loaded)]
    if costs[0] < _SHORT_S:
        costs += [_try_pickling(value, is_loaded=is_loaded) for _ in range(2)]
    return min(costs)


def _try_pickling(value: Any, *, is_loaded: bool) -> float:
    buffers: list[pickle.PickleBuffer] = []
    begun_ns = thread_time_ns()
    pickled = pickle.dumps(value, 5, buffer_callback=buffers.append)
    if is_loaded:
        pickle.loads(pickled, buffers=buffers)
    spent_s = (thread_time_ns() - begun_ns) / 1e9
    # Buffers are not pickled: they are copied into shared memory and read there.
    copied_bytes = sum(buffer.raw().nbytes for buffer in buffers)
    return spent_s + copied_bytes * figures.known().copy_s_per_byte
