"""Probes of pools whose workers are threads: ThreadPoolExecutor's, and ThreadPool's workers."""

from _thread import get_native_id

from .. import recorder
from ..clocks import Counters, now
from ..gate import COUNT_EVERY, SLOW_NS, Gate
from ..seams import Stand, attempt, hide, replace
from . import sites, tasks
from .calls import UNKNOWN_ORIGIN, count_threads, watch_calls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Method = Callable[..., Any]


def attach(module: "Any") -> None:
    """Probe `concurrent.futures.thread`."""
    executor = module.ThreadPoolExecutor
    replace(executor, "__init__", _make_init)
    watch_calls(module, executor)
    replace(module, "_worker", _make_worker)


def _make_init(original: "Method") -> "Method":
    def __init__(self: "Any", *args: "Any", **options: "Any") -> None:
        began = now()
        try:
            original(self, *args, **options)
        except BaseException as error:
            hide(error)
            raise
        attempt("ThreadPoolExecutor", lambda: _note_pool(self, began))

    return __init__


def _note_pool(executor: "Any", began: int) -> None:
    executor._poolwise_pool = sites.new_pool()
    recorder.event(
        "pool",
        id=executor._poolwise_pool,
        kind="ThreadPoolExecutor",
        slots=executor._max_workers,
        began=began,
        ended=now(),
        method=None,
        initializer=None,
        max_tasks=None,
        place=sites.place(),
        threads=count_threads(),
    )


def _make_worker(original: "Method") -> "Method":
    def _worker(executor_reference: "Any", *rest: "Any", **options: "Any") -> "Any":
        try:
            executor = executor_reference()
            number = getattr(executor, "_poolwise_pool", 0)
            del executor
            rest = tuple(_stand_for(each, number) for each in rest)
        except Exception as error:
            recorder.trouble("thread", error)
        return original(executor_reference, *rest, **options)

    return _worker


def _stand_for(argument: "Any", pool: int) -> "Any":
    """A stand for the work queue, wherever it is among the worker's arguments."""
    if not hasattr(argument, "get_nowait"):
        return argument
    worker = ThreadWorker(pool)
    get, get_nowait = worker.watch_get(argument.get), worker.watch_get(argument.get_nowait)
    return Stand(argument, get=get, get_nowait=get_nowait)


def watch_pool_thread(pool: int, inqueue: "Any", outqueue: "Any") -> "tuple[Stand, Stand]":
    """Stands for the two queues of a ThreadPool's worker."""
    worker = ThreadWorker(pool)
    get, put = worker.watch_get(inqueue.get), worker.watch_put(outqueue.put)
    return Stand(inqueue, get=get), Stand(outqueue, put=put)


class ThreadWorker:
    """Times the tasks of one thread, from its `get` to its `put`, or to its next `get`."""

    def __init__(self, pool: int) -> None:
        self._pool = pool
        self._gate = Gate()
        self._counters = Counters()
        self._marks: tasks.Marks | None = None
        self._thread = get_native_id()
        self._since = 0
        self._open: Any = None
        self._dark: Any = None
        self._beat = recorder.reserve(recorder.BEAT, 0, now(), pool, recorder.THREAD, self._thread)

    def watch_get(self, original: "Method") -> "Method":
        """The queue's own way to a task, timed. Coming back for one ends the task before."""

        def get(*args: "Any", **options: "Any") -> "Any":
            at = self.end()
            self._since = self._since or at
            try:
                task = original(*args, **options)
            except BaseException as error:
                hide(error)
                raise
            since, self._since = self._since, 0
            if task is None:
                return task
            try:
                return self._begin(since, task)
            except Exception as error:
                recorder.trouble("thread.get", error)
                return task

        return get

    def watch_put(self, original: "Method") -> "Method":
        """The queue's own `put`; a result ends the task."""

        def put(result: "Any") -> None:
            self.end()
            original(result)

        return put

    def _begin(self, since: int, task: "Any") -> "Any":
        gate, began = self._gate, now()
        self._dark = None
        if since < gate.until or not gate.opens(since):
            gate.seen += since < gate.until
            self._dark = since, began, _origin(task)
            return task
        head = _head(task)
        if type(task) is tuple and head[2] > 1:
            self._marks = tasks.Marks(head[0], head[1])
            task = self._marks.watch(task)
        self._counters.start()
        self._open = head, since, now(), _origin(task)
        return task

    def end(self) -> int:
        """The thread is through with its task, if it had one. Returns the time."""
        ended = now()
        try:
            if self._open is not None:
                self._record(ended)
            elif self._dark is not None:
                self._end_dark(ended)
        except Exception as error:
            recorder.trouble("thread.end", error)
        return now()

    def _record(self, ended: int) -> None:
        costs = self._counters.stop()
        (head, since, began, origin), self._open = self._open, None
        self._write(head, since, began, ended, origin, costs[:5])
        if self._marks is not None:
            self._marks.record()
            self._marks = None
        self._gate.spend(now() - ended + _AROUND_NS)

    def _end_dark(self, ended: int) -> None:
        since, began, origin = self._dark
        self._dark = None
        if ended - began >= SLOW_NS:
            self._write((0, origin[3], 1), since, began, ended, origin, (-1,) * 5)
        elif not self._gate.seen & COUNT_EVERY:
            recorder.pack_2(self._beat[0], self._beat[1] + 8, self._gate.seen, ended)

    def _write(  # noqa: PLR0913 - the fields of a slot
        self,
        head: "tuple[int, int, int]",
        since: int,
        began: int,
        ended: int,
        origin: "tuple[int, int, int, int]",
        costs: "tuple[int, ...]",
    ) -> None:
        site, call, submitted, _ = origin
        fields = (*head, self._gate.seen, since, began, ended, submitted, *costs)
        recorder.put(recorder.THREAD, self._pool, *fields, self._thread, site, call, *[0] * 6)


_AROUND_NS = 6_000
"""Cost of a record before the task begins."""


def _origin(task: "Any") -> "tuple[int, int, int, int]":
    return getattr(task, "poolwise_origin", UNKNOWN_ORIGIN)


def _head(task: "Any") -> "tuple[int, int, int]":
    """Job, index and number of items."""
    if type(task) is tuple:
        job, index, items = tasks.describe(task)
        return job, index, 1 if items is None else len(items)
    return 0, _origin(task)[3], 1
