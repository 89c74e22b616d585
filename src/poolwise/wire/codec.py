"""What the messages between a pool and its workers look like, and how values are pickled.

=============  ==================================================================
to a worker
FUNCTION       a callable and its bound data: sent once, used by number afterwards
CHUNK          items for a function
GIVE_BACK      others are idle: return what has not begun
AGAIN          the last answer could not be read here: send it value by value
STOP           finish and leave
from a worker
READY          the initializer is through
ANSWER         the next values of a chunk, perhaps the last ones
APART          the values of an earlier answer, each a pickle of its own
UNREAD         a chunk (or its function) could not be rebuilt in the worker
FAILED_START   the initializer raised
=============  ==================================================================

A batch is one pickle, so that a class or a string that many items share is written once. Calls
that were submitted one by one are pickled one by one unless all they hold is immutable: two
tasks must never receive the *same* list because they happened to travel together.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from poolwise import errors

if TYPE_CHECKING:
    from poolwise.wire.failures import Failure

FUNCTION, CHUNK, GIVE_BACK, AGAIN, STOP = range(1, 6)
READY, ANSWER, APART, UNREAD, FAILED_START = range(1, 6)

MAP, STARMAP, CALLS, PICKLED_CALLS = range(4)
"""How a chunk's items are applied: ``f(x)``, ``f(*x)``, ``x[0](*x[1], **x[2])``, and the last
with each item a pickle of its own."""

Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]

PROTOCOL = 5

_ATOMIC = frozenset({int, float, complex, bool, str, bytes, type(None)})
_by_reference = frozenset({type(len), type(lambda: None), type})
"""Callables that pickle as a name: nothing of them is copied, so nothing can be shared."""

loads = pickle.loads


def dumps(value: Any) -> bytes:
    """Pickle plainly; what only multiprocessing's own pickler can handle goes through that.

    :raises Exception: whatever plain pickling raised, when neither can.
    """
    try:
        return pickle.dumps(value, PROTOCOL)
    except Exception as error:
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


def dumps_call(call: Call) -> bytes:
    """Pickle one ``(function, args, kwargs)`` by itself."""
    try:
        return dumps(call)
    except Exception:
        carried = _Carried(dumps_function(call[0]))
        return dumps((carried, call[1], call[2]))


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


def dumps_items(head: ChunkHead, mode: int, items: Sequence[Any]) -> bytes:
    """The pickle of a CHUNK whose items share one pickle, as in ``multiprocessing.Pool``."""
    return dumps((*head, mode, items))


def dumps_calls(head: ChunkHead, calls: Sequence[Call]) -> bytes:
    """The pickle of a CHUNK of calls: one for all where nothing mutable is in it, else one each."""
    if len(calls) == 1 or all(map(_is_plain, calls)):
        try:
            return pickle.dumps((*head, CALLS, calls), PROTOCOL)
        except Exception:  # noqa: S110 - said below, call by call
            pass
    return pickle.dumps((*head, PICKLED_CALLS, list(map(dumps_call, calls))), PROTOCOL)


def pack_chunk_id(chunk_id: int) -> bytes:
    """What stands before the pickle of a CHUNK."""
    return _CHUNK_ID.pack(chunk_id)


def chunk_id(payload: memoryview) -> int:
    """The number of the chunk in a CHUNK's payload, without unpickling it."""
    number: int = _CHUNK_ID.unpack_from(payload)[0]
    return number


def loads_chunk(payload: memoryview) -> tuple[int, int, int, Sequence[Any]]:
    """The rest of a CHUNK's payload: function's number, prompt_ns, mode, items."""
    chunk: tuple[int, int, int, Sequence[Any]] = loads(payload[_CHUNK_ID.size :])
    return chunk


_ANSWER = struct.Struct("<qqqqqBB")


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


def dumps_answer(
    head: AnswerHead, values: Sequence[Any], failures: dict[int, Failure]
) -> tuple[bytes, bytes]:
    """An ANSWER whose values share one pickle."""
    return _ANSWER.pack(*head), dumps((values, failures))


def dumps_apart(
    head: AnswerHead,
    values: Sequence[Any],
    failures: dict[int, Failure],
    refused: Callable[[Exception, Any], Failure],
) -> tuple[bytes, bytes]:
    """An ANSWER with each value pickled by itself; what cannot be pickled becomes a failure."""
    failed, pickled = dict(failures), []
    for at, value in enumerate(values):
        try:
            pickled.append(dumps(value))
        except Exception as error:
            failed[at] = refused(error, value)
            pickled.append(_NOTHING)
    apart = head._replace(is_apart=True)
    return _ANSWER.pack(*apart), pickle.dumps((pickled, failed), PROTOCOL)


def loads_values(payload: memoryview) -> tuple[list[Any], dict[int, Failure]]:
    """The values of an ANSWER (or their pickles) and the failures by position among them."""
    said: tuple[list[Any], dict[int, Failure]] = loads(payload[_ANSWER.size :])
    return said


_NOTHING = pickle.dumps(None, PROTOCOL)
