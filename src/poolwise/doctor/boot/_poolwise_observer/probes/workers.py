"""The worker's side of process pools: the clock at every step of a message, beside its loop."""

import os
import sys

from .. import recorder
from ..clocks import Counters, now, own_bytes
from ..gate import COUNT_EVERY, SLOW_NS, Gate
from ..seams import LockTimes, Reads, Stand, Writes, hide, plain, replace, watch_end
from . import sites, tasks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

THREAD_POOLS: "dict[int, int]" = {}
"""The in-queue of each ThreadPool, by identity -> the pool's number."""

_life: "tuple[Any, int] | None" = None

current: "MessageWorker | None" = None
"""Worker of this process, if it is one."""

FEW = 8
"""The items of so many chunks are timed, however light they are."""

# Fields of a LIFE slot, of a worker's BEAT, of a TASK.
BOOTED, READY, STREAMS = 1, 2, 3
OPENED = 6
PICKLING = 12


def live() -> None:
    """A process of multiprocessing begins to run its target: note when."""
    global _life, current
    _life, current = recorder.reserve(recorder.LIFE, now()), None
    pid, before_bytes = recorder.fresh
    if pid == os.getpid() and before_bytes >= 0:  # else it was forked, and imported nothing
        recorder.event("imported", own_bytes=own_bytes() - before_bytes)
    channels = sys.modules.get(f"{__package__}.channels")
    if channels is not None:
        channels.forget_parent()


def is_child() -> bool:
    """True if this process runs the target of a `Process`."""
    return _life is not None


def watch_loop(module: "Any", name: str) -> None:
    """Hand stands to the worker function of this name, in place of its queues."""
    replace(module, name, _make_worker)


def _make_worker(original: "Callable[..., Any]") -> "Callable[..., Any]":
    def worker(inqueue: "Any", outqueue: "Any", *rest: "Any", **options: "Any") -> "Any":
        try:
            if hasattr(inqueue, "_reader"):
                inqueue, outqueue = ProcessWorker(inqueue, outqueue).stands()
            else:
                from .threads import watch_pool_thread

                number = THREAD_POOLS.get(id(inqueue), 0)
                inqueue, outqueue = watch_pool_thread(number, inqueue, outqueue)
        except Exception as error:
            recorder.trouble("worker", error)
        return watched(inqueue, outqueue, *rest, **options)

    watched = watch_end(original, _note_end)
    return worker


def _note_end(error: BaseException, _: "Any") -> None:
    """A worker ends with an error that its loop does not catch: the initializer's, for example."""
    is_inside = current is not None and current.is_inside
    place = sites.place_of(error)
    facts = {"error": type(error).__name__, "place": place, "is_inside": is_inside}
    recorder.event("worker raised", **facts)


class MessageWorker:
    """Records the messages of one worker process: `begin` .. `end` .. `complete`.

    `dark`: the message in work goes unrecorded unless it is slow: (loaded at, message, its number).
    """

    __slots__ = ("_beat", "_counters", "dark", "gate", "opened", "reads")

    def __init__(self, reads: Reads) -> None:
        self.reads = reads
        self.gate = Gate()
        self.opened: Any = None
        self.dark: tuple[int, Any, int] | None = None
        self._counters = Counters()
        self._beat = recorder.reserve(recorder.BEAT)

    @property
    def is_inside(self) -> bool:
        """True if a message is being worked on."""
        return self.opened is not None or self.dark is not None

    def begin(self, job: int, index: int, items: int, at: int, loaded: int) -> None:
        """Begin the record of a message that was asked for at `at` and there at `loaded`."""
        reads = self.reads
        times = (at, at, loaded, loaded, loaded)
        if reads.header:
            times = (at, reads.begun, reads.header, reads.payload, loaded)
        recorder.pack_2(self._beat[0], self._beat[1] + 8 * OPENED, index, loaded)
        self._counters.start()
        self.opened = (job, index, items, self.gate.seen, *times), reads.size, now()

    def end(self, ended: int) -> "tuple[Any, int] | None":
        """The work on a message has ended: write its record, before its result can be read.

        Returns where the record stands, for `complete`; None if there is none.
        """
        if self.opened is not None:
            costs = self._counters.stop()
            (head, size, began), self.opened = self.opened, None
        elif self.dark is not None:
            (began, task, number), self.dark = self.dark, None
            if ended - began < SLOW_NS:
                return None
            head, size, costs = (*describe(task), number, *(began,) * 5), 0, UNKNOWN
        else:
            return None
        return recorder.put(recorder.TASK, *head, began, ended, now(), 0, 0, 0, 0, size, *costs)

    def complete(  # noqa: PLR0913 - the times of a result on its way
        self,
        where: "tuple[Any, int]",
        ended: int,
        began: int,
        wanted: int,
        got: int,
        size: int,
    ) -> None:
        """The result has been sent: add to the record when its pickling began, and so on."""
        shared, offset = where
        recorder.pack_5(shared, offset + 8 * PICKLING, began, wanted, got, now(), size)
        self.gate.spend(began - ended + SPENT_AT_GET_NS)

    def count(self, at: int) -> None:
        """Note how many messages there were so far."""
        recorder.pack_2(self._beat[0], self._beat[1] + 8, self.gate.seen, at)


UNKNOWN = (-1,) * 6
"""The counters of a message that was not counted."""


def describe(task: "Any") -> "tuple[int, int, int]":
    """Job, index and number of items of a pool's message."""
    job, index, items = tasks.describe(task)
    try:
        return job, index, 1 if items is None else len(items)
    except TypeError:  # an iterator that was put in the items' place
        return job, index, 1


class ProcessWorker:
    """A pool's worker: `get` and `put` are what its loop calls in place of the queues' own."""

    __slots__ = (
        "_dark_since",
        "_dark_task",
        "_get",
        "_last_run",
        "_lock",
        "_marks",
        "_messages",
        "_put",
        "_queues",
        "_skip",
        "_started",
        "_streams",
        "_writes",
    )

    def __init__(self, inqueue: "Any", outqueue: "Any") -> None:
        global current  # noqa: PLW0603 - a process is the worker of one pool
        self._queues = inqueue, outqueue
        self._get, self._put = plain(inqueue.get), plain(outqueue.put)
        self._messages = current = MessageWorker(Reads(inqueue._reader))
        self._writes = Writes(outqueue._writer)
        self._lock = LockTimes(outqueue)
        self._marks: tasks.Marks | None = None
        self._started = self._last_run = self._skip = self._dark_since = 0
        self._dark_task: Any = None
        self._streams: Any = None
        if _life:
            recorder.pack_1(_life[0], _life[1] + 8 * READY, now())

    def stands(self) -> "tuple[Stand, Stand]":
        """The stands that the loop gets in place of its queues."""
        inqueue, outqueue = self._queues
        return Stand(inqueue, get=self.get), Stand(outqueue, put=self.put)

    def _listen(self, *, on: bool) -> None:
        """Switch probes on or off: in the dark, a look at the clock or three a message is left."""
        for probe in (self._messages.reads, self._writes, self._lock):
            probe.switch(on=on)

    def get(self, *args: "Any", **options: "Any") -> "Any":
        """The queue's own `get`, timed."""
        try:
            if not self._skip:
                return self._get_timed(args, options)
            self._skip -= 1
            task = self._get(*args, **options)
        except BaseException as error:
            hide(error)
            raise
        self._dark_task, self._dark_since = task, now()
        if task is None:
            self._end_loop(self._dark_since)
        return task

    def _get_timed(self, args: "Any", options: "Any") -> "Any":
        at, gate = now(), self._messages.gate
        self._messages.count(at)
        is_dark = gate.stays_dark(at)
        if is_dark:
            self._skip = gate.skip
        else:
            is_dark = not gate.opens(at)
            self._listen(on=not is_dark)
            self._messages.reads.header = 0
        try:
            task = self._get(*args, **options)
        except BaseException as error:
            hide(error)
            raise
        loaded = now()
        if task is None:
            self._end_loop(at)
        elif is_dark:
            self._dark_task, self._dark_since = task, loaded
        else:
            task = self._try_begin(at, loaded, task)
        return task

    def _end_loop(self, asked: int) -> None:
        self._messages.gate.seen -= 1 + self._skip  # this was no message, and none will come
        self._dark_since = self._skip = 0
        self._messages.count(asked)
        recorder.reserve(recorder.LAST_GET, asked, now())

    def _try_begin(self, at: int, loaded: int, task: "Any") -> "Any":
        try:
            return self._begin(at, loaded, task)
        except Exception as error:  # this message goes unseen
            recorder.trouble("worker.get", error)
            return task

    def _begin(self, at: int, loaded: int, task: "Any") -> "Any":
        if self._streams is None:
            self._streams = hash_streams()
        job, index, count = describe(task)
        if self._shall_mark(count, task):
            self._marks = tasks.Marks(job, index)
            task = self._marks.watch(task)
        self._messages.begin(job, index, count, at, loaded)
        self._started = now()
        return task

    def _shall_mark(self, count: int, task: "Any") -> bool:
        seen = self._messages.gate.seen
        few = seen <= FEW or not seen & COUNT_EVERY
        has_parts = count > 1 or tasks.is_batch(task)
        return has_parts and (few or self._last_run > count * tasks.LIGHT_NS)

    def put(self, result: "Any") -> None:
        """The queue's own `put`, timed."""
        try:
            if self._dark_since and now() - self._dark_since < SLOW_NS:
                self._dark_since = 0
                self._put(result)
            else:
                self._put_timed(result)
        except BaseException as error:
            hide(error)
            raise

    def _put_timed(self, result: "Any") -> None:
        ended = now()
        if self._dark_since:
            number = (
                self._messages.gate.seen - self._skip
            )  # what will be skipped is counted already
            self._messages.dark = self._dark_since, self._dark_task, number
            self._dark_since = 0
        where = self._end(ended)
        began = now()
        try:
            self._put(result)
        except BaseException as error:
            hide(error)
            raise
        if where is not None:
            self._complete(where, ended, began)

    def _complete(self, where: "tuple[Any, int]", ended: int, began: int) -> None:
        wanted, got, size = self._lock.wanted, self._lock.got, self._writes.size
        if not self._writes.is_on:
            wanted, got, size = began, began, 0
        elif not self._lock.is_on:
            wanted = got = self._writes.begun
        self._messages.complete(where, ended, began, wanted, got, size)

    def _end(self, ended: int) -> "tuple[Any, int] | None":
        try:
            where = self._messages.end(ended)
            if where is not None:
                self._last_run = ended - self._started
                if self._streams:
                    self._compare_streams()
                if self._marks is not None:
                    self._marks.record()
                    self._marks = None
        except Exception as error:  # this message goes unseen
            recorder.trouble("worker.put", error)
            return None
        return where

    def _compare_streams(self) -> None:
        """Note, after the first task, whether it drew from the global generators."""
        if _life:
            before, after = self._streams, hash_streams()
            shared, offset = _life
            for index, hashes in enumerate(zip(before, after)):  # noqa: B905 - the same length
                recorder.pack_2(shared, offset + 8 * (STREAMS + 2 * index), *hashes)
        self._streams = ()


SPENT_AT_GET_NS = 6_000
"""Cost of a record beside the part that is timed: before the task, and after sending."""


def hash_streams() -> "tuple[int, int]":
    """Hashes of the states of `random` and `numpy.random`, 0 where the program has not them."""
    return _hash_random(), _hash_numpy()


def _hash_random() -> int:
    module = sys.modules.get("random")
    return hash(module.getstate()) if module and hasattr(module, "getstate") else 0


def _hash_numpy() -> int:
    module = sys.modules.get("numpy.random")
    if module is None or not hasattr(module, "get_state"):
        return 0
    state = module.get_state(legacy=False)["state"]
    key = state.get("key")
    return 0 if key is None else hash((*key.tolist(), state.get("pos")))
