"""Messages between a pool and its workers: their kinds, heads, and pickled values.

=============  ==================================================================
to a worker
FUNCTION       a callable and its bound data: sent once, used by number afterwards
CHUNK          items for a function
GIVE_BACK      others are idle: return what has not begun
RESEND          the last answer could not be read here: send it value by value
STOP           finish and leave
FREED          blocks of the worker's arena that nobody looks at any more
from a worker
READY          the initializer is through
ANSWER         the next values of a chunk, perhaps the last ones
ITEMWISE          the values of an earlier answer, each a pickle of its own
DECODE_FAILED         a chunk (or its function) could not be rebuilt in the worker
FAILED_START   the initializer raised
FREED          blocks of the parent's arena, likewise
OUTPUT         something that was printed, logged or warned of
ENDING         the last words of a worker that was told to stop: its clock
=============  ==================================================================

A batch is one pickle, so that a class or a string that many items share is written once. Calls
that were submitted one by one are pickled one by one unless all they hold is immutable: two
tasks must never receive the *same* list because they happened to travel together. The same holds
for items with large buffers: each is a pickle of its own, loaded when its turn comes.

Messages with large buffers have :data:`BIG` added to their kind and are payloads (``payload.py``).
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from poolwise import errors
from poolwise.payloads import registry
from poolwise.record import Row
from poolwise.wire import pickling, reducers
from poolwise.wire.payload import BufferRef, DecodedPayload, Packed, Payload, view_of
from poolwise.wire.pickling import PROTOCOL, OutOfBandBuffers, dumps, dumps_function

FUNCTION, CHUNK, GIVE_BACK, RESEND, STOP, FREED = range(1, 7)
READY, ANSWER, ITEMWISE, DECODE_FAILED, FAILED_START, _, ENDING, OUTPUT, MEMORY = range(1, 10)
BIG = 0x80

MAP, STARMAP, CALLS = range(3)
"""Modes of applying a function to a chunk's items: ``f(x)``, ``f(*x)``, ``x[0](*x[1], **x[2])``."""

PACKED = 0x80
"""Added to one of those: each item is a pickle of its own, with buffers beside it."""

Failure = tuple[bytes, str]
"""A pickled exception that is known to unpickle, and its traceback as text."""

Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]

ATOMIC = frozenset({int, float, complex, bool, str, bytes, type(None)})
"""Immutable built-in types that hold nothing else."""

_FEW = 4
"""Fewer values are not looked at for something that they have in common."""

_LISTS = frozenset({list, tuple})
_by_reference = frozenset({type(len), type(lambda: None), type})
"""Callables that pickle as a name: nothing of them is copied, so nothing can be shared."""

loads = pickle.loads


def is_atomic(values: Sequence[Any]) -> bool:
    """True when all values are of immutable built-in types, so that sharing them is harmless."""
    return ATOMIC.issuperset(map(type, values))


class Snapshot:
    """An object as it was when it was handed in, pickled; unpickling this gives the object itself.

    :param offers: closes what descriptors the pickle offers, and nobody took, when this goes.
    """

    __slots__ = ("buffers", "offers", "pickled")

    def __init__(
        self, pickled: bytes, buffers: Sequence[memoryview] = (), offers: object = None
    ) -> None:
        self.pickled = pickled
        self.buffers = buffers
        self.offers = offers

    @property
    def size_bytes(self) -> int:
        """Memory that it takes, about."""
        return len(self.pickled) + sum(buffer.nbytes for buffer in self.buffers)

    def load(self) -> Any:
        """The object anew."""
        return _load(self.pickled, *self.buffers)

    def __reduce__(self) -> tuple[Any, ...]:
        return _load, (self.pickled, *map(pickle.PickleBuffer, self.buffers))


def _load(pickled: bytes, *buffers: Any) -> Any:
    return pickle.loads(pickled, buffers=buffers)


class _Carried:
    """A callable already pickled; unpickling this gives the callable itself."""

    def __init__(self, pickled: bytes) -> None:
        self.pickled = pickled

    def __reduce__(self) -> tuple[Any, ...]:
        return pickle.loads, (self.pickled,)


def dumps_call(call: Call, aside: OutOfBandBuffers) -> bytes:
    """Pickle one ``(function, args, kwargs)`` by itself."""
    try:
        return dumps(call, aside)
    except Exception:
        carried = _Carried(dumps_function(call[0]))
        return dumps((carried, call[1], call[2]), aside)


def call(parts: Call) -> Any:
    """Run, in the worker, one call.

    :raises Stopped: it raised StopIteration.
    """
    try:
        return parts[0](*parts[1], **parts[2])
    except StopIteration as error:
        raise Stopped from error


class Stopped(BaseException):
    """Carrier of StopIteration (its cause) out of a C loop, which would take it for its own end."""


def is_plain(parts: Call) -> bool:
    """True if nothing in this call can change before it is sent."""
    function = parts[0]
    return (
        type(function) in _by_reference
        and not parts[2]
        and type(parts[1]) is tuple  # else the task fails: it is none of our errors
        and is_atomic(parts[1])
        and getattr(function, "__closure__", None) is None
    )


_CHUNK_ID = struct.Struct("<q")
"""Stands before the pickle of a CHUNK, so that one can be refused or returned unread."""

ChunkHead = tuple[int, int]
"""The function's number and ``prompt_ns``: how long a finished value may wait for its siblings."""


def pack_items(head: ChunkHead, mode: int, items: Sequence[Any]) -> Packed:
    """A CHUNK whose items share one pickle, as in ``multiprocessing.Pool``.

    Big items, and those that were pickled when they were handed in, are a pickle each.
    """
    is_listed = type(items) in _LISTS
    if is_listed and items and type(items[0]) is Snapshot:
        return _pack_each(head, mode, items, dumps)
    sent = _compact(items) if is_listed and len(items) >= _FEW else items
    packed = pickling.pack((*head, mode, sent), items if is_listed else ())
    if is_listed and sent is items and len(items) > 1 and _can_be_parted(packed):
        return _pack_each(head, mode, items, dumps)
    return packed


def pack_calls(head: ChunkHead, calls: Sequence[Call], *, by_value: bool = False) -> Packed:
    """A CHUNK of calls: one pickle for all where nothing mutable is in it, else one each.

    :param calls: as tuples, or as what unpickles as one.
    :param by_value: the code of functions and classes of the main module travels with them.
    """
    if by_value:
        return _pack_each(head, CALLS, calls, partial(dumps, by_value=True))
    is_kept = any(type(parts) is not tuple for parts in calls)
    if not is_kept and (len(calls) == 1 or all(map(is_plain, calls))):
        try:
            is_one = len(calls) == 1 and is_plain(calls[0])
            return pickling.pack((*head, CALLS, calls), calls[0][1] if is_one else ())
        except Exception:  # noqa: S110 - said below, call by call
            pass
    return _pack_each(head, CALLS, calls, dumps_call)


def _compact(values: Sequence[Any]) -> Any:
    """The values, or what a library has that is pickled faster (a list of numpy's numbers)."""
    kind = type(values[0])
    library = registry.of(kind)
    if library is None or kind in reducers.find():
        return values
    return library.compact(values)


def _can_be_parted(packed: Packed) -> bool:
    """True if it has buffers, and offers nothing that only the first to load it gets."""
    if isinstance(packed, bytes) or not packed.buffers:
        return False
    from poolwise.wire import offers

    return not offers.is_any()


def _pack_each(
    head: ChunkHead,
    mode: int,
    items: Sequence[Any],
    dump: Callable[[Any, OutOfBandBuffers], bytes],
) -> Packed:
    """A CHUNK with a pickle for each item; a buffer that several leave out travels once.

    :param dump: pickles what is no snapshot already.
    """
    shelf = pickling.BufferTable()
    blobs: list[Blob] = []
    aside: Sequence[memoryview]
    for item in items:
        if type(item) is Snapshot:
            pickled, aside = item.pickled, item.buffers
        else:
            pickled = dump(item, aside := OutOfBandBuffers())
        blobs.append((pickled, shelf.add(aside)) if aside else pickled)
    return _beside(pickling.pack((*head, mode | PACKED, blobs)), shelf.buffers, shelf.repeated)


def _beside(packed: Packed, buffers: list[memoryview], repeated: Iterable[int] = ()) -> Packed:
    """Send buffers beside a pickle that speaks of them by their positions."""
    if not buffers:
        return packed
    pieces = [packed] if isinstance(packed, bytes) else packed.pieces
    return Payload(pieces, buffers, (len(pieces) + at for at in repeated))


def pack_chunk_id(chunk_id: int) -> bytes:
    """Head of a CHUNK."""
    return _CHUNK_ID.pack(chunk_id)


def chunk_id(payload: memoryview) -> int:
    """The number of the chunk in a CHUNK's payload, without unpickling it."""
    number: int = _CHUNK_ID.unpack_from(payload)[0]
    return number


CHUNK_AT = _CHUNK_ID.size
"""Offset of the pickle, or the payload, in a CHUNK."""

Loaded = tuple[int, int, int, Sequence[Any]]
"""A CHUNK's function's number, prompt_ns, mode, and items."""


Arrived = memoryview | DecodedPayload
"""Content of a message that was read: a pickle, or where it is large a payload."""


def load_chunk(arrived: Arrived) -> Loaded:
    """The rest of a CHUNK."""
    chunk: Loaded = load(arrived)
    return chunk if chunk[2] < PACKED else _share_out_items(chunk, buffers_of(arrived))


def load(arrived: Arrived) -> Any:
    """The value that arrived; a new one each time where it is for several.

    :raises Exception: whatever unpickling raised.
    """
    return load_payload(arrived) if isinstance(arrived, DecodedPayload) else loads(arrived)


def buffers_of(arrived: Arrived) -> Sequence[BufferRef]:
    """The memory that its pickle leaves out."""
    return arrived.buffers if isinstance(arrived, DecodedPayload) else ()


def load_payload(opened: DecodedPayload) -> Any:
    """The value of a payload; a new one each time where the payload is for several."""
    pieces = list(map(view_of, opened.pieces))
    return pickling.loads(pieces, map(view_of, opened.buffers))


PackedValue = list[Any]
"""A pickle, and the buffers that it leaves out."""

Blob = bytes | tuple[bytes, Sequence[int]]
"""A pickle of its own, and the positions of the buffers that it leaves out, if it does."""


def _share_out_items(chunk: Any, buffers: Sequence[BufferRef]) -> Loaded:
    """Items that are a pickle each: loaded now if they are small, else each in its turn.

    Calls are loaded in their turn: one that cannot be rebuilt fails alone.
    """
    function_id, prompt_ns, mode, items = chunk
    if not buffers and mode != CALLS | PACKED:
        return function_id, prompt_ns, mode & ~PACKED, list(map(loads, items))
    return function_id, prompt_ns, mode, _share_out(items, buffers)


def _share_out(packed: Sequence[Blob], buffers: Sequence[BufferRef]) -> list[PackedValue]:
    """Each pickle with the buffers that it leaves out."""
    return [
        [blob, []] if isinstance(blob, bytes) else [blob[0], [buffers[at] for at in blob[1]]]
        for blob in packed
    ]


def load_value(packed: PackedValue) -> Any:
    """Unpickle a packed value; what it was packed in is emptied, for it is large."""
    pickled, buffers = packed
    packed.clear()
    return pickle.loads(pickled, buffers=map(view_of, buffers))


def load_item(packed: list[Any]) -> Any:
    """Unpickle a packed item, in the worker, when its turn comes."""
    try:
        return load_value(packed)
    except BaseException as error:  # SystemExit of a constructor is not the task's own
        message = "the argument could not be rebuilt in the worker (see the cause above)"
        raise errors.not_loadable(message, error) from error


class Reading(Row):
    """A worker's clock, in ns: the moment, and what was spent since it began in each state.

    ``run_queued_ns`` is the part of ``run_ns`` in which no CPU was granted, ``wait_queued_ns`` the
    same for all that comes before a run.
    """

    at_ns: int
    wait_ns: int
    receive_ns: int
    unpickle_ns: int
    run_ns: int
    pickle_ns: int
    send_ns: int
    cpu_ns: int
    run_queued_ns: int
    wait_queued_ns: int

    @classmethod
    def unpack(cls, payload: memoryview, at: int = 0) -> Reading:
        return cls._make(_READING.unpack_from(payload, at))

    def pack(self) -> bytes:
        return _READING.pack(*self)


_READING = struct.Struct("<10q")

Times = tuple[int, int, int, dict[int, int]]
"""The slowest item of a chunk (position, ns, end), and a histogram of the times of all."""


class Hello(Row):
    """Content of READY: the pid of the worker, and when it began to be of use."""

    pid: int
    served_ns: int
    ready_ns: int


_ANSWER = struct.Struct("<qqqqqBB")

READING_AT = _ANSWER.size
"""Offset of the worker's clock in an ANSWER."""

ANSWER_AT = _ANSWER.size + _READING.size
"""Offset of the pickle, or the payload, in an ANSWER."""


_FUNCTION_ID = struct.Struct("<qq")


def pack_function_head(function_id: int, gone: Sequence[int]) -> bytes:
    """Head of a FUNCTION: its number, and those that are not needed again."""
    return struct.pack(f"<{2 + len(gone)}q", function_id, len(gone), *gone)


def unpack_function_head(payload: memoryview) -> tuple[int, tuple[int, ...], int]:
    """Decode the head of a FUNCTION: the two, and where the pickle or payload begins."""
    function_id, count = _FUNCTION_ID.unpack_from(payload)
    at = _FUNCTION_ID.size
    end = at + 8 * count
    return function_id, struct.unpack(f"<{count}q", payload[at:end]), end


def brings_classes(pickled: bytes | memoryview) -> bool:
    """True if a FUNCTION comes with classes of the main module: that begins it."""
    return b"poolwise.wire.code" in bytes(pickled[:_BEGINNING])


_BEGINNING = 64


class AnswerHead(Row):
    """Head of an ANSWER, readable whether its values are or not.

    ``first`` is the position of the first value in the chunk, ``returned`` the number of items
    given back (-1: all that are left), ``is_last`` ends the chunk, ``is_itemwise`` says that each
    value is a pickle of its own.
    """

    chunk_id: int
    first: int
    size: int
    run_ns: int
    returned: int
    is_last: bool
    is_itemwise: bool

    @classmethod
    def unpack(cls, payload: memoryview) -> AnswerHead:
        return cls._make(_ANSWER.unpack_from(payload))

    def pack(self) -> bytes:
        return _ANSWER.pack(*self)


def pack_answer(
    values: Sequence[Any],
    failures: dict[int, Failure],
    times: Times | None,
) -> Packed:
    """Body of an ANSWER whose values share one pickle."""
    sent = _compact(values) if len(values) >= _FEW else values
    return pickling.pack((sent, failures, times), values)


def pack_itemwise(
    values: Sequence[Any],
    failures: dict[int, Failure],
    times: Times | None,
    refused: Callable[[BaseException, Any], Failure],
) -> Packed:
    """Body of an ANSWER with a pickle for each value; what cannot be pickled is a failure."""
    failed, blobs = dict(failures), []
    buffers: list[memoryview] = []
    for at, value in enumerate(values):
        aside = OutOfBandBuffers()
        try:
            blob = dumps(value, aside)
        except BaseException as error:
            failed[at] = refused(error, value)
            blob = _NOTHING
        blobs.append((blob, range(len(buffers), len(buffers) + len(aside))))
        buffers += aside
    return _beside(pickling.pack((blobs, failed, times)), buffers)


Answered = tuple[list[Any], dict[int, Failure], Times | None]
"""The values of an ANSWER, the failures by position among them, and what single items took."""


def load_values(arrived: Arrived, *, is_itemwise: bool) -> Answered:
    """The values of an ANSWER; those that are a pickle each are still to be loaded."""
    answered: Answered = load(arrived)
    if is_itemwise:
        return _share_out(answered[0], buffers_of(arrived)), *answered[1:]
    return answered


_NOTHING = pickle.dumps(None, PROTOCOL)
