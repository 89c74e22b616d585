"""Runs of a sample by a setting: pools of each, kept warm from round to round."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from poolwise.pool import Pool
from poolwise.tuning.search import OURS, STANDARD

if TYPE_CHECKING:
    from poolwise.choose.call import Call
    from poolwise.tuning.race import Setting


class Runner:
    """The function of a call and a sample of its items, to be run by any setting.

    :param cpus: workers of our own choice.
    :param at_once: a loop runs one in so many items, and is taken to go on like that.
    """

    def __init__(self, call: Call, sample: Sequence[Any], cpus: int, at_once: int = 1) -> None:
        self._call = call
        self._sample = sample
        self._cpus = cpus
        self._for_loop = sample[::at_once]
        self._open = ExitStack()
        self._pools: dict[tuple[str, int], Any] = {}
        self._start_s: dict[tuple[str, int], float] = {}
        self.runs = 0
        """Calls of the function so far."""

    def __enter__(self) -> Runner:  # noqa: PYI034 - Self is newer than 3.10
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def time(self, setting: Setting) -> float:
        """Seconds that the sample takes; what has to be started is started before.

        :raises Exception: what the function raised, or why it cannot be run so.
        """
        run, items = self._prepare(setting), self._items(setting)
        self.runs += len(items)
        begun_s = time.perf_counter()
        values = run()
        spent_s = time.perf_counter() - begun_s
        del values  # what results weigh is no part of it
        return max(spent_s, 1e-9) * len(self._sample) / len(items)

    def _items(self, setting: Setting) -> Sequence[Any]:
        return self._for_loop if setting.kind == "serial" else self._sample

    def start_s(self, setting: Setting) -> float:
        """Cost of starting the workers of a setting, as it was here."""
        return self._start_s.get((setting.kind, setting.workers), 0.0)

    def _prepare(self, setting: Setting) -> Callable[[], Any]:
        call, sample = self._call, self._items(setting)
        if setting.kind == "serial" and not call.is_coroutine:
            return lambda: call.run(sample)
        if setting.kind in {"serial", "asyncio", OURS}:
            return self._by_map(setting)
        pool = self._pool(setting)
        run = pool.starmap if call.has_many else pool.map
        return lambda: run(call.function, sample, setting.chunksize)

    def _by_map(self, setting: Setting) -> Callable[[], Any]:
        from poolwise.choose import door

        run: Any = door.starmap if self._call.has_many else door.map
        options: dict[str, Any] = {"kind": setting.kind, "workers": setting.workers}
        if setting.kind == OURS:
            options = {}
            self._share_workers()
        return lambda: run(self._call.function, self._items(setting), **options)

    def _share_workers(self) -> None:
        """Have calls of ours find their workers started, as they do from the second call on."""
        key = OURS, 1
        if key not in self._pools and not self._call.is_coroutine:
            from poolwise.choose import pools

            self._pools[key] = self._open.enter_context(pools.workers(self._cpus))
            self._pools[key].map(abs, range(self._cpus), 1)  # started; it may send nothing else

    def _pool(self, setting: Setting) -> Any:
        key = setting.kind, setting.workers
        if key not in self._pools:
            begun_s = time.perf_counter()
            pool = self._make(setting)
            pool.apply(abs, (0,))
            self._start_s[key] = time.perf_counter() - begun_s
            self._pools[key] = self._open.enter_context(pool)
            self._warm(pool, setting.workers)
        return self._pools[key]

    def _make(self, setting: Setting) -> Any:
        if setting.kind == STANDARD:
            return multiprocessing.Pool(setting.workers)
        backend: Any = setting.kind
        return Pool(setting.workers, backend=backend)

    def _warm(self, pool: Any, workers: int) -> None:
        """Run some items, for what the first ones have to import."""
        some = self._sample[: 2 * workers]
        self.runs += len(some)
        (pool.starmap if self._call.has_many else pool.map)(self._call.function, some, 1)
