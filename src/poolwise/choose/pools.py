"""Worker processes that calls share: started by the first that needs them."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from poolwise.system import budget, figures

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from poolwise.options import WorkerOptions
    from poolwise.pool import Pool

Known = dict[tuple[str, str], int]
"""Large globals that workers were forked with: the identity of each."""


class Workers:
    """A pool of worker processes, which may still be starting.

    :param limits: CPUs, threads and memory of each.
    """

    def __init__(self, count: int, known: Known, limits: WorkerOptions) -> None:
        from poolwise.choose.workers import MapPool

        self._began_s = time.perf_counter()
        self.known = known
        self.count = count
        self._users = 0
        self._is_unwanted = False
        self.pool = MapPool(count, **limits)
        self.pool._engine.unclosed = None  # noqa: SLF001 - it ends with the program, and may
        self._answer: Any = self.pool.apply_async(os.getpid)

    @property
    def is_ready(self) -> bool:
        """One of them has answered. What the start has cost is known from then on."""
        if self._answer is not None:
            if not self._answer.ready():
                return False
            if not self._answer.successful():
                return True
            _note_start(time.perf_counter() - self._began_s)
            self._answer = None  # asked no more
        return True

    @property
    def failure(self) -> BaseException | None:
        """Reason why there are none, once that is known."""
        answer = self._answer
        if answer is None or not answer.ready() or answer.successful():
            return None
        try:
            answer.get()
        except BaseException as error:  # an initializer of ours failed, or the main module did
            return error
        return None

    def grow(self, count: int) -> None:
        """See that there are so many."""
        if count > self.count:
            self.count = count
            self.pool.grow(count)

    def use(self) -> None:
        """A call has them work for it."""
        self._users += 1

    def release(self) -> None:
        """And needs them no more."""
        self._users -= 1
        if self._is_unwanted and not self._users:
            self.end()

    def end_when_unused(self) -> None:
        """Other calls may still need them."""
        self._is_unwanted = True
        if not self._users:
            self.end()

    def end(self) -> None:
        """End them at once."""
        self.pool.terminate()
        self.pool.join()


def end_if_repeated() -> None:
    """End this process if it is a worker of ours that imports the main module, and that calls us.

    Its items would be run once more in each worker. The parent goes on without.
    """
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None and WORKER_NAME in processes.current_process().name:
        from poolwise.backends.unguarded import end_if_importing_main

        end_if_importing_main()


WORKER_NAME = "MapPoolWorker"
"""Part of the names of worker processes of these calls."""


class _Shared:
    """The pools of this process, by the share of CPUs of their workers."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self.held: dict[tuple[int, bool], Workers] = {}


_shared = _Shared()
_seen_start_s: list[float] = []
_controlled: ContextVar[Workers | None] = ContextVar("poolwise_workers", default=None)


def _ours() -> _Shared:
    global _shared  # noqa: PLW0603 - one for each process
    if _shared.pid != os.getpid():  # in a forked child; the parent's is kept, and not touched
        _inherited.append(_shared)
        _shared = _Shared()
    return _shared


_inherited: list[_Shared] = []


def _note_start(seconds: float) -> None:
    if not _seen_start_s:
        figures.note_start(_start_method(), seconds)
    _seen_start_s[:] = [min([seconds, *_seen_start_s])]


def start_s(count: int, known: Mapping[tuple[str, str], int], *, caps_native: bool = True) -> float:
    """Cost of having worker processes: nothing where they are, else what it was before."""
    if _controlled.get() is not None:
        return 0.0
    held = _find(count, caps_native=caps_native)
    if held is not None and held.count >= count and _has(held, known):
        return 0.0
    return _seen_start_s[0] if _seen_start_s else _guess_s()


def _guess_s() -> float:
    """Cost in earlier processes; and, where it is new, of the import of the pool."""
    start_s = figures.known().start_of(_start_method())
    is_new = "poolwise.pool" not in sys.modules
    return start_s + figures.ASSUMED_START_S["fork"] if is_new else start_s


def _start_method() -> str:
    import multiprocessing

    return multiprocessing.get_start_method()


def _share_of(count: int) -> int:
    return max(1, budget.share() // max(1, count))


def _has(held: Workers, known: Mapping[tuple[str, str], int]) -> bool:
    return all(held.known.get(key) == value for key, value in known.items())


def get(count: int, known: Known, *, caps_native: bool = True) -> Workers:
    """So many workers, started if need be; those that lack a large global are replaced."""
    controlled = _controlled.get()
    if controlled is not None:
        controlled.use()
        return controlled
    ours = _ours()
    with ours.lock:
        held = _find(count, caps_native=caps_native)
        if held is not None and not _has(held, known):
            _forget(held)
            held.end_when_unused()
            held = None
        if held is None:
            key = _share_of(count), caps_native
            held = ours.held[key] = Workers(count, known, {"native_threads": caps_native})
        held.grow(count)
        held.use()
        return held


def _find(count: int, *, caps_native: bool) -> Workers | None:
    """Workers that are there, and leave no more CPUs to their items than such a call may."""
    fitting = [
        (share, held)
        for (share, is_capped), held in _ours().held.items()
        if is_capped == caps_native and share <= _share_of(count)
    ]
    return max(fitting, key=lambda found: found[0], default=(0, None))[1]


def _forget(workers: Workers) -> None:
    held = _ours().held
    for key in [key for key, other in held.items() if other is workers]:
        del held[key]


def discard(workers: Workers) -> None:
    """These are broken, or hold what nobody can stop: the next call has new ones."""
    with _ours().lock:
        _forget(workers)
    workers.end()


def end_all() -> None:
    """End the shared workers of this process; the next call starts new ones."""
    ours = _ours()
    with ours.lock:
        ending = list(ours.held.values())
        ours.held.clear()
    for held in ending:
        held.end()


@contextmanager
def workers(count: int | None = None, **limits: Unpack[WorkerOptions]) -> Iterator[Pool]:
    """Worker processes for all calls of :func:`poolwise.map` in a block, ended with it.

    :param count: how many (None: one for each CPU).
    :param limits: ``nice``, ``affinity``, ``max_memory``, ``recycle_above`` and
        ``native_threads``, as of a pool.
    """
    made = Workers(count or budget.share(), {}, limits)
    place = _controlled.set(made)
    try:
        yield made.pool
    finally:
        _controlled.reset(place)
        made.end()


def thread_pool(count: int, share: int) -> Any:
    """Threads of one call: they cost little to start, and none stays."""
    from poolwise.pool import Pool

    return Pool(count, budget.enter_thread, (share,), backend="threads")
