"""The contents of a message: job and position, the number of items, the time of each item."""

from itertools import islice

from .. import recorder
from ..clocks import now
from . import sites

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

MARKS = 256
"""Limit of item times kept of one message; neighbours are added up."""

LIGHT_NS = 10_000
"""Items that take less than this are timed only now and then: a mark costs about 0.2 us."""

_TIMES_A_SLOT = 17


def describe(task: "Any") -> "tuple[int, int, Sequence[Any] | None]":
    """Job, index and the items of a chunk (None: one call) of a pool's or executor's message."""
    if type(task) is tuple:
        job, index, function, arguments, _ = task
        is_chunk = getattr(function, "__name__", "") in {"mapstar", "starmapstar"}
        return job, index or 0, arguments[0][1] if is_chunk else None
    return 0, task.work_id, task.args[0] if _is_chunk(task.fn) else getattr(task.fn, "items", None)


def is_batch(task: "Any") -> bool:
    """True if joblib made the message: its batch does more around a call than the call may take."""
    return type(task) is not tuple and type(getattr(task.fn, "items", None)) is list


def _is_chunk(function: "Any") -> bool:
    inner = getattr(function, "func", None)
    return getattr(inner, "__name__", "") == "_process_chunk"


def first_call(task: "Any") -> "tuple[Any, Any]":
    """The user's function and the first item of a message; the item as the function gets it."""
    if type(task) is tuple:
        _, _, function, arguments, _ = task
        if getattr(function, "__name__", "") in {"mapstar", "starmapstar"}:
            function, items = arguments[0]
            return function, items[0]
        return function, _unpack(arguments)
    if _is_chunk(task.fn):
        return task.fn.args[0], _unpack(task.args[0][0])
    items = getattr(task.fn, "items", None)  # joblib's BatchedCalls
    if items:
        return items[0][0], _unpack(items[0][1])
    return task.fn, _unpack(task.args)


def _unpack(arguments: "Any") -> "Any":
    return arguments[0] if len(arguments) == 1 else arguments


class Marks:
    """The clock after every item, or every few items, of one chunk.

    The chunk's list is replaced by an iterator that looks at the clock when it is asked for the
    next item: nothing of ours is on the stack while the user's function runs.
    """

    __slots__ = ("_index", "_job", "_step", "_times")

    def __init__(self, job: int, index: int) -> None:
        self._job = job
        self._index = index
        self._times: list[int] = []
        self._step = 1

    def watch(self, task: "Any") -> "Any":
        """Wrap a task so that its items are timed; left as it is if its form is unknown."""
        if type(task) is tuple:
            job, index, function, arguments, keywords = task
            inner, items = arguments[0]
            return job, index, function, ((inner, self._iterate(items)),), keywords
        if _is_chunk(task.fn):
            task.args = (self._iterate(task.args[0]), *task.args[1:])
        else:
            task.fn.items = self._iterate(task.fn.items)
        return task

    def _iterate(self, items: "Sequence[Any]") -> "Iterator[Any]":
        self._step = step = -(-len(items) // MARKS)
        mark = self._times.append
        remaining = iter(items)
        mark(now())
        for _ in range(0, len(items), step):
            yield from islice(remaining, step)
            mark(now())

    def record(self) -> None:
        """Write the times between marks, in nanoseconds, into as many slots as they need."""
        times, head = self._times, (self._job, self._index)
        spans = [times[at] - times[at - 1] for at in range(1, len(times))]
        for first in range(0, len(spans), _TIMES_A_SLOT):
            some = spans[first : first + _TIMES_A_SLOT]
            some += [-1] * (_TIMES_A_SLOT - len(some))
            recorder.put(recorder.ITEMS, *head, first, self._step, len(spans), 0, *some)


SMALL_BYTES = 256
"""Parts lighter than this are no payload."""

ENOUGH_BYTES = 32 << 20
"""Heavy messages are sampled no more once so many bytes were: pickling them costs time."""


class Sampler:
    """Looks into few messages of each function: the 1st, 2nd, 3rd, 5th, 9th, ... of those recorded.

    It pickles the message's parts once more, each alone, and notes type, size and a hash.
    """

    def __init__(self) -> None:
        self._seen: dict[Any, int] = {}
        self._sampled_bytes: dict[Any, int] = {}

    def look(self, task: "Any", **where: "Any") -> bool:
        """Look into a message that has been sent, if it is its turn; tell if it was."""
        return self.look_into(*first_call(task), **where)

    def look_into(self, function: "Any", item: "Any", **where: "Any") -> bool:
        """Sample one call and its arguments."""
        inner = sites.unwrap(function)
        key = id(getattr(inner, "__code__", type(inner)))
        number = self._seen[key] = self._seen.get(key, -1) + 1
        if number & number - 1 or self._sampled_bytes.get(key, 0) > ENOUGH_BYTES:
            return False
        size = sum(sample(name, value, where) for name, value in sites.leaves(function, item))
        if number:
            self._sampled_bytes[key] = self._sampled_bytes.get(key, 0) + size
        return True


def sample(name: str, value: "Any", where: "dict[str, Any]") -> int:
    """Note type, size and a hash of one part; its size."""
    from multiprocessing.reduction import ForkingPickler

    kind = type(value)
    if kind.__module__.partition(".")[0] == "poolwise":
        return 0  # a handle: light, and memory waits for one that was pickled to be opened
    try:
        pickled = bytes(ForkingPickler.dumps(value))
    except Exception:
        return 0
    if len(pickled) >= SMALL_BYTES:
        facts = {"size": len(pickled), "digest": hash(pickled), "type": name_of_kind(value)}
        recorder.event("leaf", name=name, **facts, **where)
    return len(pickled)


def name_of_kind(value: "Any") -> str:
    """A type's name with its module. An array of objects is a kind of its own: it is no buffer."""
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    is_array = kind.__module__ == "numpy" and hasattr(value, "dtype")
    return f"{name} of objects" if is_array and value.dtype.hasobject else name
