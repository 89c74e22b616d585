"""What the messages between a pool and its workers look like, and how values are pickled.

=============  ==================================================================
to a worker
FUNCTION       a callable and its bound data: sent once, used by number afterwards
CHUNK          items for a function
GIVE_BACK      others are idle: return what has not begun
AGAIN          the last answer could not be read here: send it value by value
STOP           finish and leave
FREED          blocks of the worker's arena that nobody looks at any more
from a worker
READY          the initializer is through
ANSWER         the next values of a chunk, perhaps the last ones
APART          the values of an earlier answer, each a pickle of its own
UNREAD         a chunk (or its function) could not be rebuilt in the worker
FAILED_START   the initializer raised
FREED          blocks of the parent's arena, likewise
=============  ==================================================================

A batch is one pickle, so that a class or a string that many items share is written once. Calls
that were submitted one by one are pickled one by one unless all they hold is immutable: two
tasks must never receive the *same* list because they happened to travel together. The same holds
for items with large buffers: each is a pickle of its own, loaded when its turn comes.

Messages with large buffers have :data:`BIG` added to their kind and are parcels (``parcel.py``).
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from poolwise import errors
from poolwise.wire import parcel

if TYPE_CHECKING:
    from poolwise.wire.failures import Failure

FUNCTION, CHUNK, GIVE_BACK, AGAIN, STOP, FREED = range(1, 7)
READY, ANSWER, APART, UNREAD, FAILED_START, _ = range(1, 7)
BIG = 0x80

MAP, STARMAP, CALLS, PICKLED_CALLS = range(4)
"""How a chunk's items are applied: ``f(x)``, ``f(*x)``, ``x[0](*x[1], **x[2])``, and the last
with each item a pickle of its own."""

PACKED = 0x80
"""Added to one of the first three: each item is a pickle of its own, with buffers beside it."""

Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]

PROTOCOL = 5

_ATOMIC = frozenset({int, float, complex, bool, str, bytes, type(None)})
_LISTS = frozenset({list, tuple})
_by_reference = frozenset({type(len), type(lambda: None), type})
"""Callables that pickle as a name: nothing of them is copied, so nothing can be shared."""

loads = pickle.loads


def dumps(value: Any, aside: parcel.Aside | None = None) -> bytes:
    """Pickle plainly; what only multiprocessing's own pickler can handle goes through that.

    :param aside: takes the large buffers; None leaves them in the pickle.
    :raises Exception: whatever plain pickling raised, when neither can.
    """
    try:
        return pickle.dumps(value, PROTOCOL, buffer_callback=aside)
    except Exception as error:
        if aside is not None:
            aside.buffers.clear()
        from multiprocessing.reduction import ForkingPickler

        try:
            return bytes(ForkingPickler.dumps(value, PROTOCOL))
        except Exception:
            raise error from None


def dumps_function(function: Callable[..., Any], *, by_value: bool = False) -> bytes:
    """Pickle a callable with its bound data; cloudpickle helps where plain pickle cannot.

    :param by_value: the worker cannot find it by name (defined in a notebook, or after the
        worker was forked), so its code must travel.
    :raises Exception: whatever plain pickling raised, when cloudpickle cannot either.
    """
    if by_value:
        return _cloud_dumps(function)
    try:
        return dumps(function)
    except Exception as error:
        try:
            return _cloud_dumps(function)
        except Exception:
            raise error from None


def _cloud_dumps(function: Callable[..., Any]) -> bytes:
    import cloudpickle

    pickled: bytes = cloudpickle.dumps(function, PROTOCOL)
    return pickled


def is_atomic(values: Sequence[Any]) -> bool:
    """True when all values are of immutable built-in types, so that sharing them is harmless."""
    return _ATOMIC.issuperset(map(type, values))


class _Carried:
    """A callable already pickled; unpickling this gives the callable itself."""

    def __init__(self, pickled: bytes) -> None:
        self.pickled = pickled

    def __reduce__(self) -> tuple[Any, ...]:
        return pickle.loads, (self.pickled,)


def dumps_call(call: Call, aside: parcel.Aside) -> bytes:
    """Pickle one ``(function, args, kwargs)`` by itself."""
    try:
        return dumps(call, aside)
    except Exception:
        carried = _Carried(dumps_function(call[0]))
        return dumps((carried, call[1], call[2]), aside)


def call_pickled(pickled: bytes) -> Any:
    """Run, in the worker, one call that travelled as a pickle of its own."""
    try:
        function, args, kwargs = loads(pickled)
    except Exception as error:
        message = "the call could not be rebuilt in the worker (see the cause above)"
        raise errors.ArgumentNotLoadable(message) from error
    return function(*args, **kwargs)


def call(parts: Call) -> Any:
    """Run, in the worker, one call."""
    return parts[0](*parts[1], **parts[2])


def _is_plain(parts: Call) -> bool:
    return type(parts[0]) in _by_reference and not parts[2] and is_atomic(parts[1])


_CHUNK_ID = struct.Struct("<q")
"""Stands before the pickle of a CHUNK, so that one can be refused or returned unread."""

ChunkHead = tuple[int, int]
"""The function's number and ``prompt_ns``: how long a finished value may wait for its siblings."""


def pack_items(head: ChunkHead, mode: int, items: Sequence[Any]) -> parcel.Packed:
    """A CHUNK whose items share one pickle, as in ``multiprocessing.Pool``, unless they are big."""
    aside = parcel.Aside()
    pickled = dumps((*head, mode, items), aside)
    if aside.buffers and len(items) > 1 and type(items) in _LISTS:
        return _pack_each(head, mode, items, dumps)
    return pickled, aside.buffers


def pack_calls(head: ChunkHead, calls: Sequence[Call]) -> parcel.Packed:
    """A CHUNK of calls: one pickle for all where nothing mutable is in it, else one each."""
    aside = parcel.Aside()
    if len(calls) == 1 or all(map(_is_plain, calls)):
        try:
            pickled = pickle.dumps((*head, CALLS, calls), PROTOCOL, buffer_callback=aside)
        except Exception:  # said below, call by call
            aside.buffers.clear()
        else:
            return pickled, aside.buffers
    blobs = [dumps_call(call, aside) for call in calls]
    if aside.buffers:
        return _pack_each(head, CALLS, calls, dumps_call)
    return pickle.dumps((*head, PICKLED_CALLS, blobs), PROTOCOL), aside.buffers


def _pack_each(
    head: ChunkHead,
    mode: int,
    items: Sequence[Any],
    dump: Callable[[Any, parcel.Aside], bytes],
) -> parcel.Packed:
    """A CHUNK with a pickle for each item, and how many of the buffers are its own."""
    buffers: list[memoryview] = []
    packed = []
    for item in items:
        aside = parcel.Aside()
        packed.append((dump(item, aside), len(aside.buffers)))
        buffers += aside.buffers
    return pickle.dumps((*head, mode | PACKED, packed), PROTOCOL), buffers


def pack_chunk_id(chunk_id: int) -> bytes:
    """What stands before the pickle of a CHUNK."""
    return _CHUNK_ID.pack(chunk_id)


def chunk_id(payload: memoryview) -> int:
    """The number of the chunk in a CHUNK's payload, without unpickling it."""
    number: int = _CHUNK_ID.unpack_from(payload)[0]
    return number


CHUNK_AT = _CHUNK_ID.size
"""Where the pickle, or the parcel, of a CHUNK begins."""

Loaded = tuple[int, int, int, Sequence[Any]]
"""A CHUNK's function's number, prompt_ns, mode, and items."""


def loads_chunk(payload: memoryview) -> Loaded:
    """The rest of a CHUNK's payload."""
    chunk: Loaded = loads(payload[CHUNK_AT:])
    return chunk


Opener = Callable[[memoryview, int], parcel.Opened]
"""Opens a parcel that begins somewhere in a payload."""


def unpack_chunk(payload: memoryview, opener: Opener) -> Loaded:
    """The rest of a big CHUNK's payload; packed items are still to be loaded, by `load_item`."""
    pickled, buffers = opener(payload, CHUNK_AT)
    chunk: Loaded = parcel.loads(pickled, buffers)
    function_id, prompt_ns, mode, items = chunk
    if mode & PACKED:
        items = list(_share_out(items, buffers))
    return function_id, prompt_ns, mode, items


def _share_out(
    packed: Iterable[tuple[bytes, int]], buffers: Sequence[memoryview]
) -> Iterator[list[Any]]:
    """Each pickle with the buffers that are its own."""
    rest = iter(buffers)
    for pickled, count in packed:
        yield [pickled, list(islice(rest, count))]


def load_value(packed: list[Any]) -> Any:
    """One packed value; what it was packed in is emptied, for it is large."""
    pickled, buffers = packed
    packed.clear()
    return parcel.loads(pickled, buffers)


def load_item(packed: list[Any]) -> Any:
    """One packed item, in the worker, when its turn comes."""
    try:
        return load_value(packed)
    except Exception as error:
        message = "the argument could not be rebuilt in the worker (see the cause above)"
        raise errors.ArgumentNotLoadable(message) from error


_ANSWER = struct.Struct("<qqqqqBB")

ANSWER_AT = _ANSWER.size
"""Where the pickle, or the parcel, of an ANSWER begins."""


class AnswerHead(NamedTuple):
    """What stands before the values of an ANSWER, readable whether they are or not.

    ``first`` is the position of the first value in the chunk, ``returned`` the number of items
    given back (-1: all that are left), ``is_last`` ends the chunk, ``is_apart`` says that each
    value is a pickle of its own.
    """

    chunk_id: int
    first: int
    size: int
    run_ns: int
    returned: int
    is_last: bool
    is_apart: bool = False

    @classmethod
    def unpack(cls, payload: memoryview) -> AnswerHead:
        return cls._make(_ANSWER.unpack_from(payload))

    def pack(self) -> bytes:
        return _ANSWER.pack(*self)


def pack_answer(values: Sequence[Any], failures: dict[int, Failure]) -> parcel.Packed:
    """What follows the head of an ANSWER whose values share one pickle."""
    aside = parcel.Aside()
    return dumps((values, failures), aside), aside.buffers


def pack_apart(
    values: Sequence[Any],
    failures: dict[int, Failure],
    refused: Callable[[Exception, Any], Failure],
) -> parcel.Packed:
    """The same with each value pickled by itself; what cannot be pickled becomes a failure."""
    failed, packed = dict(failures), []
    buffers: list[memoryview] = []
    for at, value in enumerate(values):
        aside = parcel.Aside()
        try:
            packed.append((dumps(value, aside), len(aside.buffers)))
        except Exception as error:
            failed[at] = refused(error, value)
            packed.append((_NOTHING, 0))
        else:
            buffers += aside.buffers
    return pickle.dumps((packed, failed), PROTOCOL), buffers


Said = tuple[list[Any], dict[int, "Failure"]]
"""The values of an ANSWER, and the failures by position among them."""


def loads_values(head: AnswerHead, pickled: memoryview, buffers: Sequence[memoryview]) -> Said:
    """The values of an ANSWER; where they are apart, they are still to be loaded: `load_value`."""
    said: Said = parcel.loads(pickled, buffers)
    if head.is_apart:
        return list(_share_out(said[0], buffers)), said[1]
    return said


_NOTHING = pickle.dumps(None, PROTOCOL)
