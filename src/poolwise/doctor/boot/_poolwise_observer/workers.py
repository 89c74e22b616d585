"""The worker's side of process pools: the clock at every step of a message, beside its loop."""

import sys

from . import recorder, tasks
from .clocks import RunQueue, now, process_cpu, read_usage, thread_cpu
from .gate import SLOW_NS, Gate
from .seams import LockTimes, Reads, Stand, Writes, hide, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

COUNT_EVERY = 15
"""A mask: dark messages are counted in the record once in 16, and at the latest when it is over."""

THREAD_POOLS: "dict[int, int]" = {}
"""The in-queue of each ThreadPool, by identity -> the pool's number."""

_life: "tuple[Any, int] | None" = None

# Fields of a LIFE slot, and of a worker's BEAT.
BOOTED, READY, STREAMS = 1, 2, 3
OPENED = 6


def live() -> None:
    """A process of multiprocessing begins to run its target: note when."""
    global _life  # noqa: PLW0603 - a process has one life
    _life = recorder.reserve(recorder.LIFE, now())


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
        return original(inqueue, outqueue, *rest, **options)

    return worker


class ProcessWorker:
    """Times one worker's messages. `get` and `put` are what its loop calls."""

    __slots__ = (
        "_beat",
        "_counters",
        "_dark",
        "_gate",
        "_get",
        "_last_run",
        "_lock",
        "_marks",
        "_open",
        "_put",
        "_queues",
        "_reads",
        "_run_queue",
        "_streams",
        "_writes",
    )

    def __init__(self, inqueue: "Any", outqueue: "Any") -> None:
        self._queues = inqueue, outqueue
        self._get, self._put = inqueue.get, outqueue.put
        self._reads = Reads(inqueue._reader)
        self._writes = Writes(outqueue._writer)
        self._lock = None
        if outqueue._wlock is not None:
            self._lock = outqueue._wlock = LockTimes(outqueue._wlock)
        self._gate = Gate()
        self._run_queue = RunQueue()
        self._marks = tasks.Marks()
        self._open: Any = None
        self._dark: Any = None
        self._counters: Any = None
        self._last_run = 0
        self._streams: Any = None
        self._beat = recorder.reserve(recorder.BEAT)
        if _life:
            recorder.pack_1(_life[0], _life[1] + 8 * READY, now())

    def stands(self) -> "tuple[Stand, Stand]":
        """What the loop gets in place of its queues."""
        inqueue, outqueue = self._queues
        return Stand(inqueue, get=self.get), Stand(outqueue, put=self.put)

    # -- a message in

    def get(self, *args: "Any", **options: "Any") -> "Any":
        """The queue's own `get`, timed."""
        at = now()
        self._reads.header = 0
        try:
            task = self._get(*args, **options)
        except BaseException as error:
            hide(error)
            raise
        loaded = now()
        gate = self._gate
        if at < gate.until and task is not None:
            gate.seen += 1
            if not gate.seen & COUNT_EVERY:
                self._count(loaded)
            self._dark = at, loaded, task
            return task
        try:
            return self._begin(at, loaded, task)
        except Exception as error:
            recorder.trouble("worker.get", error)
            self._open = None
            return task

    def _begin(self, at: int, loaded: int, task: "Any") -> "Any":
        if task is None:
            self._count(loaded)
            recorder.reserve(recorder.LAST_GET, at, loaded)
            return task
        gate = self._gate
        if not gate.opens(at):
            self._count(loaded)
            self._dark = at, loaded, task
            return task
        if self._streams is None:
            self._streams = hash_streams()
        job, index, items = tasks.describe(task)
        count = 1 if items is None else len(items)
        if items is not None and self._shall_mark(count):
            self._marks = tasks.Marks()
            task = self._marks.watch(task)
        reads = self._reads
        times = (at, reads.begun, reads.header, reads.payload, loaded)
        self._counters = read_usage(), self._run_queue(), process_cpu(), thread_cpu()
        self._open = (job, index, count, gate.seen, *times), now(), reads.size
        recorder.pack_2(self._beat[0], self._beat[1] + 8 * OPENED, index, loaded)
        return task

    def _shall_mark(self, count: int) -> bool:
        few = self._gate.seen <= 8 or not self._gate.seen & COUNT_EVERY  # noqa: PLR2004
        return count > 1 and (few or self._last_run > count * tasks.LIGHT_NS)

    # -- a message out

    def put(self, result: "Any") -> None:
        """The queue's own `put`, timed; the record is written before the result can be read."""
        ended = now()
        where = None
        try:
            if self._open is not None:
                where = self._record(ended)
            elif self._dark is not None:
                where = self._record_if_slow(ended)
        except Exception as error:
            recorder.trouble("worker.put", error)
        began = now()
        try:
            self._put(result)
        except BaseException as error:
            hide(error)
            raise
        if where is not None:
            self._complete(where, began, ended)

    def _record(self, ended: int) -> "tuple[Any, int]":
        cpu, all_cpu, queued, usage = thread_cpu(), process_cpu(), self._run_queue(), read_usage()
        head, began, size = self._open
        self._open = None
        usage0, queued0, all_cpu0, cpu0 = self._counters
        self._counters = None
        self._last_run = ended - began
        switches = faults = -1
        if usage is not None:
            forced = usage.ru_nivcsw - usage0.ru_nivcsw
            switches = (usage.ru_nvcsw - usage0.ru_nvcsw) << 32 | forced
            faults = usage.ru_minflt - usage0.ru_minflt
        wait = queued - queued0 if queued >= 0 and queued0 >= 0 else -1
        costs = cpu - cpu0, all_cpu - all_cpu0, wait, switches, faults, all_cpu
        if self._streams:
            self._compare_streams()
        if self._marks.times:
            self._marks.record(head[0], head[1])
            self._marks.times = []
        return recorder.put(recorder.TASK, *head, began, ended, now(), 0, 0, 0, 0, size, *costs)

    def _record_if_slow(self, ended: int) -> "tuple[Any, int] | None":
        """A message that came while the probe was dark, but gave it time enough to be recorded."""
        at, loaded, task = self._dark
        self._dark = None
        if ended - loaded < SLOW_NS:
            return None
        job, index, items = tasks.describe(task)
        reads = self._reads
        times = (at, reads.begun, reads.header, reads.payload, loaded)
        head = (job, index, 1 if items is None else _length(items), self._gate.seen, *times)
        unknown = (-1,) * 6
        return recorder.put(
            recorder.TASK, *head, loaded, ended, now(), 0, 0, 0, 0, reads.size, *unknown
        )

    def _complete(self, where: "tuple[Any, int]", began: int, ended: int) -> None:
        sent = now()
        lock = self._lock
        wanted, got = (lock.wanted, lock.got) if lock else (self._writes.begun,) * 2
        shared, offset = where
        recorder.pack_5(shared, offset + 96, began, wanted, got, sent, self._writes.size)
        self._gate.spend(began - ended + SPENT_AT_GET_NS)

    def _count(self, at: int) -> None:
        shared, offset = self._beat
        recorder.pack_2(shared, offset + 8, self._gate.seen, at)

    # -- random streams

    def _compare_streams(self) -> None:
        """Note, after the first task, whether it drew from the global generators."""
        if _life:
            before, after = self._streams, hash_streams()
            shared, offset = _life
            for index, hashes in enumerate(zip(before, after)):  # noqa: B905 - the same length
                recorder.pack_2(shared, offset + 8 * (STREAMS + 2 * index), *hashes)
        self._streams = ()


SPENT_AT_GET_NS = 6_000
"""What a record costs beside the part that is timed: before the task, and after sending."""


def _length(items: "Any") -> int:
    try:
        return len(items)
    except TypeError:
        return 1


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
