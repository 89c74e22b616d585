"""Views of an executor of ours under the names of the standard one's private attributes.

What `submit` of the standard class does with them works too: a program that has put something
around that method may go on calling the original.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from concurrent.futures import Future
from functools import partial
from itertools import count, islice
from time import monotonic
from typing import TYPE_CHECKING, Any

from poolwise.standard.pools import unanswered
from poolwise.worker.run import call_each

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from poolwise.core.engine import Engine
    from poolwise.core.job import Job

_work_ids = count(1)


class WorkItem:
    """A call that is not done, as the standard executor keeps it."""

    def __init__(self, future: Future[Any], call: Any) -> None:
        self.future = future
        given: tuple[Any, Any, Any] = call or (None, (), {})
        self.fn, self.args, self.kwargs = given


class PendingItems(MutableMapping[int, Any]):
    """Calls that are not done, by number; a map is one of them. A view, but for standard items.

    Does not keep its executor alive.
    """

    def __init__(self, executor: Any) -> None:
        self._engine: Engine = executor._engine  # noqa: SLF001 - one mechanism with the executor
        self._standard: dict[int, Any] = {}

    def __setitem__(self, number: int, item: Any) -> None:
        self._standard[number] = item

    def __delitem__(self, number: int) -> None:
        del self._standard[number]

    def __getitem__(self, number: int) -> Any:
        return self._standard[number] if number in self._standard else self._find_ours()[number]

    def __len__(self) -> int:
        return len(self._standard) + len(self._find_ours())

    def __iter__(self) -> Iterator[int]:
        yield from [*self._standard, *self._find_ours()]

    def _find_ours(self) -> dict[int, WorkItem]:
        return self._engine.look(lambda: dict(self._search()))

    def _search(self) -> Iterator[tuple[int, WorkItem]]:
        for job in self._engine.state.jobs:
            if not job.has_calls:
                yield -job.number, _stand_for(job)
                continue
            for future in unanswered(self._engine, job):
                if not future.done() and not hasattr(future, "is_carrier"):
                    number = vars(future).setdefault("_work_id", next(_work_ids))
                    yield number, WorkItem(future, future.call)


def _stand_for(job: Job) -> WorkItem:
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    return WorkItem(future, (job.function.call, (), {}))


def _pending(executor: Any) -> PendingItems:
    pending: PendingItems = vars(executor).setdefault("_pending_work_items", PendingItems(executor))
    return pending


class Queue:
    """Queue of which only the length is to be seen."""

    def __init__(self, size: Callable[[], int], most: int = 0) -> None:
        self.qsize = size
        self._most = most

    def empty(self) -> bool:
        """True if nothing is in it."""
        return not self.qsize()

    def full(self) -> bool:
        """True if it holds as many as it may; False where there is no limit."""
        return 0 < self._most <= self.qsize()

    def close(self) -> None:
        """Do nothing: it goes with the executor."""

    join_thread = close


class WorkIds(Queue):
    """Queue of the calls that wait for a worker."""

    def __init__(self, executor: Any) -> None:
        super().__init__(lambda: int(executor._calls.waiting))  # noqa: SLF001
        self._executor = executor

    def put(self, number: int) -> None:
        """Run the standard item of that number."""
        executor = self._executor
        pending, item = executor._pending_work_items, executor._pending_work_items[number]  # noqa: SLF001
        submit = getattr(type(executor), "_poolwise_door", type(executor)).submit
        ours = submit(executor, item.fn, *item.args, **item.kwargs)
        ours.is_carrier = True
        _link(ours, item.future, lambda: pending.pop(number, None))


def _link(ours: Any, theirs: Future[Any], forget: Callable[[], object]) -> None:
    """Let a standard future begin, end, and be cancelled with ours."""

    def begin() -> bool:
        if not theirs.running() and not theirs.set_running_or_notify_cancel():
            return False
        return bool(type(ours).begin(ours))

    def end(_: object) -> None:
        forget()
        if ours.cancelled():
            theirs.cancel()
        elif theirs.running() or theirs.set_running_or_notify_cancel():
            error = ours.exception()
            theirs.set_result(ours.result()) if error is None else theirs.set_exception(error)

    ours.begin = begin
    if ours.running():
        theirs.set_running_or_notify_cancel()
    ours.add_done_callback(end)
    theirs.add_done_callback(lambda future: future.cancelled() and ours.cancel())


def _call_queue(executor: Any) -> Queue:
    """The calls that were sent to a worker and have not begun."""
    engine, job = executor._engine, executor._calls  # noqa: SLF001

    def count_ahead() -> int:
        busy = sum(bool(lane.chunks) for lane in list(engine.state.lanes.values()))
        ahead: int = job.open_items - busy
        return max(0, ahead)

    return Queue(count_ahead, executor._max_workers + 1)  # noqa: SLF001


class ManagerThread:
    """Stands for the thread that manages the standard executor. Does not keep ours alive."""

    daemon = False
    name = "poolwise"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def is_alive(self) -> bool:
        """The executor has not ended."""
        return not self._engine.is_closed or bool(self._engine.state.lanes)

    def join(self, timeout: float | None = None) -> None:
        """Wait until the executor has ended."""
        if self.is_alive():
            self._engine.wait(lambda: not self.is_alive(), timeout)


def _manager(executor: Any) -> ManagerThread | None:
    manager = ManagerThread(executor._engine)  # noqa: SLF001
    is_begun = bool(executor._engine.state.jobs or executor._engine.state.lanes)  # noqa: SLF001
    return manager if is_begun and manager.is_alive() else None


class Wakeup:
    """Stands for the pipe that wakes that thread."""

    def __init__(self, executor: Any) -> None:
        self._executor = executor

    def wakeup(self) -> None:
        """Look at what `shutdown` of the standard class has written."""
        executor = self._executor
        flags = vars(executor)
        if flags.get("_shutdown_thread"):
            door = getattr(type(executor), "_poolwise_door", type(executor))
            cancels = flags.get("_cancel_pending_futures", False)
            door.shutdown(executor, wait=False, cancel_futures=cancels)

    def close(self) -> None:
        """Do nothing: there is nothing to close."""


def _processes(executor: Any) -> dict[int | None, BaseProcess]:
    return {process.pid: process for process in executor._engine.backend.processes}  # noqa: SLF001


def _broken(executor: Any) -> str | bool:
    failure = executor._engine.state.start_failure  # noqa: SLF001
    return False if failure is None else str(failure)


def _is_forking(executor: Any) -> bool:
    context = executor._engine.backend.context  # noqa: SLF001
    return bool(context is not None and context.get_start_method() == "fork")


def _start(executor: Any, at_most: int | None = None) -> None:
    """Start workers before there is work for them."""
    engine = executor._engine  # noqa: SLF001
    if not engine.is_closed and len(engine.state.lanes) < engine.state.most_lanes:
        engine.start_all(at_most)


def _start_forked(executor: Any) -> None:
    if _is_forking(executor):  # while few threads run; the standard executor does the same
        _start(executor)


VIEWS: dict[str, Callable[[Any], Any]] = {
    "_adjust_process_count": lambda executor: lambda: _start(executor, at_most=1),
    "_broken": _broken,
    "_call_queue": _call_queue,
    "_cancel_pending_futures": lambda _: False,
    "_executor_manager_thread": _manager,
    "_executor_manager_thread_wakeup": Wakeup,
    "_launch_processes": lambda executor: lambda: _start(executor),
    "_mp_context": lambda executor: executor._engine.backend.context,  # noqa: SLF001
    "_pending_work_items": _pending,
    "_processes": _processes,
    "_queue_count": lambda executor: executor._calls.handed_out + executor._calls.waiting,  # noqa: SLF001
    "_result_queue": lambda _: Queue(lambda: 0),
    "_safe_to_dynamically_spawn_children": lambda executor: not _is_forking(executor),
    "_shutdown_lock": lambda executor: vars(executor).setdefault(
        "_shutdown_lock", threading.Lock()
    ),
    "_shutdown_thread": lambda executor: executor._engine.is_closed,  # noqa: SLF001
    "_spawn_process": lambda executor: lambda: _start(executor, at_most=1),
    "_start_executor_manager_thread": lambda executor: lambda: _start_forked(executor),
    "_work_ids": WorkIds,
}


# -- a map by way of `submit`


def map_by_submit(  # noqa: PLR0913 - the standard's signature
    executor: Any,
    function: Callable[..., Any],
    iterables: tuple[Iterable[Any], ...],
    timeout: float | None,
    chunksize: int,
    buffersize: int | None,
) -> Iterator[Any]:
    """`Executor.map` as the standard library does it, for programs that replaced `submit`."""
    until = None if timeout is None else monotonic() + timeout
    calls = zip(*iterables)  # noqa: B905 - the shortest ends it, as in map()
    chunks = iter(lambda: tuple(islice(calls, chunksize)), ())
    job = partial(call_each, function)
    futures = deque(executor.submit(job, chunk) for chunk in islice(chunks, buffersize))
    rest = None if buffersize is None else chunks
    return _read(weakref.ref(executor), job, futures, rest, until)


def _read(
    executor: weakref.ref[Any],
    job: Callable[..., Any],
    futures: deque[Future[Any]],
    rest: Iterator[tuple[Any, ...]] | None,
    until: float | None,
) -> Iterator[Any]:
    """The results in order; if input is left, a chunk is submitted for each that is read."""
    try:
        while futures:
            if rest is not None and (living := executor()) is not None:
                futures.extend(living.submit(job, chunk) for chunk in islice(rest, 1))
                del living
            values = _result_or_cancel(futures.popleft(), until)[::-1]
            while values:
                yield values.pop()  # kept by nobody but the reader
    finally:
        for future in futures:
            future.cancel()


def _result_or_cancel(future: Future[Any], until: float | None) -> Any:
    try:
        return future.result(None if until is None else until - monotonic())
    finally:
        future.cancel()
