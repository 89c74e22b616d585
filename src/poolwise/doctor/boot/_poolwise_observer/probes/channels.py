"""Probes of what programs build pools of by hand: queues, pipes, and proxies of a manager.

Only calls that the program itself makes count; the libraries' own traffic passes by. In a process
that the program started, what happens between taking a message and the next put, or the next
take, is recorded as a task, as if the process were a worker of a pool.
"""

import sys
from _thread import get_ident

from .. import recorder
from ..clocks import now
from ..gate import COUNT_EVERY
from ..seams import Reads, Writes, hide, replace
from . import sites, workers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

    Method = Callable[..., Any]

INTERNAL = frozenset(
    {
        "_poolwise_observer",
        "concurrent",
        "joblib",
        "loky",
        "multiprocess",
        "multiprocessing",
        "poolwise",
    }
)
"""Packages whose own messages are not the program's."""

_MESSAGE = (0, 0, None, (), None)
"""Stands for a message of the program, of which nothing is known, in the form of a pool's task."""

_internal: "dict[str, bool]" = {}
_meters: "dict[Any, Meter]" = {}


def attach(module: "Any") -> None:
    """Probe `multiprocessing.queues`, `.connection` or `.managers`."""
    if hasattr(module, "BaseProxy"):
        replace(module.BaseProxy, "_callmethod", _make_call)
    elif hasattr(module, "SimpleQueue"):
        for kind in (module.Queue, module.SimpleQueue):
            replace(kind, "get", _make_take(kind.__name__, "get"))
            replace(kind, "put", _make_give(kind.__name__, "put"))
        replace(module.JoinableQueue, "put", _make_give("JoinableQueue", "put"))
    else:
        replace(module._ConnectionBase, "recv", _make_take("Pipe", "recv"))
        replace(module._ConnectionBase, "send", _make_give("Pipe", "send"))


def forget_parent() -> None:
    """Reset the counts in a forked child."""
    _meters.clear()


class Meter:
    """Counts the calls of one thread from one line, in one slot that is written over."""

    __slots__ = ("_where", "calls", "inside", "move", "size", "wait")

    def __init__(self, kind: str, operation: str, frame: "FrameType | None") -> None:
        self.calls = self.wait = self.move = self.size = self.inside = 0
        number = len(_meters) + 1
        place = frame and (frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
        facts = {"id": number, "kind": kind, "operation": operation, "place": place}
        recorder.event("meter", thread=get_ident(), **facts)
        self._where = recorder.reserve(recorder.METER, number)

    def add(self, wait: int, move: int, size: int, at: int) -> None:
        """One more call: how long it waited, how long it moved data, and how much."""
        self.calls += 1
        self.wait += wait
        self.move += move
        self.size += size
        if workers.current is not None and workers.current.is_inside:
            self.inside += wait + move
        counts = (self.calls, self.wait, self.move, self.size, self.inside, at)
        recorder.pack_6(self._where[0], self._where[1] + 16, *counts)


def _meter(kind: str, operation: str, frame: "FrameType | None") -> Meter:
    key = (kind, operation, get_ident(), frame and id(frame.f_code), frame and frame.f_lasti)
    found = _meters.get(key)
    if found is None:
        found = _meters[key] = Meter(kind, operation, frame)
    return found


def _is_internal(frame: "FrameType") -> bool:
    name = frame.f_globals.get("__name__", "")
    found = _internal.get(name)
    if found is None:
        found = _internal[name] = name.partition(".")[0] in INTERNAL
    return found


def _own_worker(reads: Reads) -> "workers.MessageWorker | None":
    """Worker record of this process, if the program started it as one."""
    if workers.current is None and workers.is_child():
        workers.current = workers.MessageWorker(reads)
    return workers.current if isinstance(workers.current, workers.MessageWorker) else None


# -- taking


def _make_take(kind: str, operation: str) -> "Callable[[Method], Method]":
    def make(original: "Method") -> "Method":
        def take(self: "Any", *args: "Any", **options: "Any") -> "Any":
            frame = sys._getframe(1)
            if _is_internal(frame):
                return original(self, *args, **options)
            reads = _reads_of(self)
            worker = _own_worker(reads)
            asked = now()
            if worker is not None:
                worker.end(asked)
                worker.reads = reads
            reads.header = 0
            try:
                message = original(self, *args, **options)
            except BaseException as error:
                hide(error)
                raise
            loaded = now()
            came = reads.header or loaded
            _meter(kind, operation, frame).add(came - asked, loaded - came, reads.size, loaded)
            if worker is not None and message is not None:
                _begin(worker, asked, loaded)
            return message

        return take

    return make


def _begin(worker: "workers.MessageWorker", asked: int, loaded: int) -> None:
    try:
        gate = worker.gate
        if asked >= gate.until and gate.opens(asked):
            worker.begin(0, gate.seen, 1, asked, loaded)
            return
        gate.seen += asked < gate.until
        worker.dark = loaded, _MESSAGE, gate.seen
        if not gate.seen & COUNT_EVERY:
            worker.count(loaded)
    except Exception as error:  # this message goes unseen
        recorder.trouble("channels", error)


def _reads_of(channel: "Any") -> Reads:
    reads = getattr(channel, "_poolwise_reads", None)
    if reads is None:
        reads = channel._poolwise_reads = Reads(getattr(channel, "_reader", channel))
    return reads


# -- giving


def _make_give(kind: str, operation: str) -> "Callable[[Method], Method]":
    def make(original: "Method") -> "Method":
        def give(self: "Any", *args: "Any", **options: "Any") -> "Any":
            frame = sys._getframe(1)
            if _is_internal(frame):
                return original(self, *args, **options)
            writes = _writes_of(self)
            worker = workers.current if workers.is_child() else None
            began = now()
            where = None if worker is None else worker.end(began)
            try:
                result = original(self, *args, **options)
            except BaseException as error:
                hide(error)
                raise
            sent = now()
            size, writes.counted = writes.total - writes.counted, writes.total
            if worker is not None and where is not None:
                wrote = min(max(began, writes.begun), sent)
                worker.complete(where, began, began, wrote, wrote, size)
            is_moved = kind != "Queue"  # a Queue's own thread moves the message, later
            wait, move = (0, sent - began) if is_moved else (sent - began, 0)
            _meter(kind, operation, frame).add(wait, move, size, sent)
            return result

        return give

    return make


def _writes_of(channel: "Any") -> Writes:
    writes = getattr(channel, "_poolwise_writes", None)
    if writes is None:
        writes = channel._poolwise_writes = Writes(getattr(channel, "_writer", channel))
    return writes


# -- calls through a manager's proxies


def _make_call(original: "Method") -> "Method":
    def _callmethod(self: "Any", methodname: str, *args: "Any", **options: "Any") -> "Any":
        began = now()
        try:
            return original(self, methodname, *args, **options)
        except BaseException as error:
            hide(error)
            raise
        finally:
            ended = now()
            kind = getattr(getattr(self, "_token", None), "typeid", "?")
            frame = sites.program_frame()
            _meter(f"proxy {kind}", methodname, frame).add(ended - began, 0, 0, ended)

    return _callmethod
