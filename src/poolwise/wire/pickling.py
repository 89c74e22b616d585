"""Pickling without a copy of what is large: buffers stay outside, long strings become pieces.

Protocol 5 lets arrays and frames hand out their memory instead of writing it into the pickle.
``bytes``, ``bytearray`` and ``str`` cannot do that; but a pickler that writes to a file hands a
long one over as it is, and an unpickler that reads from one reads it straight into its place. So a
pickle with long strings is kept as a list of pieces.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from poolwise.wire import reducers
from poolwise.wire.payload import LEAST_BLOCK_BYTES, Packed, Part, Payload

PROTOCOL = 5

LEAST_BUFFER_BYTES = LEAST_BLOCK_BYTES
"""A smaller buffer stays in the pickle."""

LEAST_PIECE_BYTES = 96 * 1024
"""A shorter string is copied into the pickle. The pickler itself hands over nothing below 64 KiB,
and frames of about that size. A pickle so long does not go through the pipe, whatever is in it:
things of 4 and 16 KiB take a fifth to a third less time (``benchmarks/small_payloads``)."""


class OutOfBandBuffers(list[memoryview]):
    """Collects the large buffers of a pickle, as its ``buffer_callback``."""

    __slots__ = ()

    def __call__(self, buffer: pickle.PickleBuffer) -> bool:
        """True leaves the buffer in the pickle."""
        try:
            raw = buffer.raw()
        except BufferError:
            return True  # not contiguous: the pickler will say so
        if raw.nbytes < LEAST_BUFFER_BYTES:
            return True
        self.append(raw)
        return False


class PieceWriter(list[Any]):
    """A file to pickle to: long strings stand apart as they are, the rest is joined.

    It is joined as it comes: so the frames of a long pickle all pass through the same memory.
    """

    __slots__ = ()

    def write(self, data: Any) -> None:
        if type(data) is pickle.PickleBuffer:
            data = data.raw()
        if len(data) >= LEAST_PIECE_BYTES:
            self.append(data if type(data) is bytes else memoryview(data))
        elif not self:
            self.append(data)  # as a rule it is all
        elif type(self[-1]) is bytearray:  # one of ours
            self[-1] += data
        elif len(self) == 1 and len(self[0]) < LEAST_PIECE_BYTES:
            self[0] = bytearray(self[0])
            self[0] += data
        else:
            self.append(bytearray(data))

    def join(self) -> bytes:
        """All of it as one string."""
        return b"".join(self) if len(self) > 1 else bytes(self[0])

    def pack(self, aside: OutOfBandBuffers) -> Packed:
        """The pickle as one string if it is short and has no buffers; else a payload."""
        if len(self) == 1 and not aside and len(self[0]) < LEAST_PIECE_BYTES:
            return bytes(self[0])
        return self.wrap(aside)

    def wrap(self, aside: OutOfBandBuffers) -> Payload:
        """The pieces, and the buffers that were left out."""
        return Payload([memoryview(p) if type(p) is bytearray else p for p in self], aside)


def dumps(value: Any, aside: OutOfBandBuffers | None = None, *, by_value: bool = False) -> bytes:
    """Pickle as the standard pools do: what was registered with multiprocessing goes its way.

    :param aside: takes the large buffers; None leaves them in the pickle.
    :param by_value: the code of whatever in it belongs to the main module travels along.
    :raises Exception: it cannot be pickled; then ``aside`` is empty.
    """
    pieces = PieceWriter()
    _dump(value, pieces, aside, by_value=by_value)
    return pieces.join()


def _dump(
    value: Any, file: PieceWriter, aside: OutOfBandBuffers | None, *, by_value: bool = False
) -> None:
    if by_value:
        from poolwise.wire.code import make_pickler

        pickler = make_pickler(file, buffer_callback=aside)
    else:
        foreign = reducers.find_replacement()
        if foreign is not None:
            value = reducers.Foreign(value, foreign)
        pickler = pickle.Pickler(file, PROTOCOL, buffer_callback=aside)
        pickler.dispatch_table = reducers.find()
    try:
        pickler.dump(value)
    except BaseException:  # the caller may try another way
        file.clear()
        if aside is not None:
            aside.clear()
        raise


def pack_to_spawn(value: Any) -> Payload:
    """Pickle what a process is given while it is started: locks and queues can travel then.

    :raises Exception: it cannot be pickled.
    """
    aside, pieces = OutOfBandBuffers(), PieceWriter()
    _dump(value, pieces, aside)
    return pieces.wrap(aside)


def dumps_function(
    function: Callable[..., Any], aside: OutOfBandBuffers | None = None, *, by_value: bool = False
) -> bytes:
    """Pickle a callable with its bound data; cloudpickle helps where plain pickle cannot.

    :param by_value: the worker cannot find it by name (defined in a notebook, or after the
        worker was forked), so its code must travel.
    :raises Exception: whatever plain pickling raised, when cloudpickle cannot either.
    """
    return _pickle_function(function, aside, by_value=by_value).join()


def _pickle_function(
    function: Callable[..., Any], aside: OutOfBandBuffers | None, *, by_value: bool
) -> PieceWriter:
    pieces = PieceWriter()
    if by_value:
        from poolwise.wire.code import with_classes_of_prompt

        function = with_classes_of_prompt(function)
    try:
        _dump(function, pieces, aside, by_value=by_value)
    except Exception as error:
        if by_value:
            raise
        try:
            _dump(function, pieces, aside, by_value=True)
        except Exception:
            raise error from None
    return pieces


def pack(value: Any, about: Sequence[Any] = ()) -> Packed:
    """Pickle a value: one string of bytes if it is small, else a payload.

    :param about: all that is in it but for plain numbers and strings, if the caller knows.
    :raises Exception: it cannot be pickled.
    """
    if (
        0 < len(about) <= _FEW
        and _PLAIN.issuperset(map(type, about))
        and sum(map(sys.getsizeof, about)) < LEAST_PIECE_BYTES
    ):
        # No reducer is asked about those: this takes 2 us, what is below 7.
        return pickle.dumps(value, PROTOCOL)
    aside, pieces = OutOfBandBuffers(), PieceWriter()
    _dump(value, pieces, aside)
    return pieces.pack(aside)


def pack_function(function: Callable[..., Any], *, by_value: bool) -> Packed:
    """Pickle a callable with its bound data, likewise.

    :raises Exception: it cannot be pickled.
    """
    aside = OutOfBandBuffers()
    pieces = _pickle_function(function, aside, by_value=by_value)
    if not aside:
        return pieces.pack(aside)
    from poolwise.wire import offers

    if offered := offers.take():
        # With buffers beside it, it would be loaded for each task; an offer is taken once.
        offers.Offers(offered)
        aside = OutOfBandBuffers()
        pieces = _pickle_function(function, None, by_value=by_value)
    return pieces.pack(aside)


_PLAIN = frozenset({int, float, complex, bool, str, bytes, type(None)})
_FEW = 8
"""Limit of values that are all looked at: with more, it takes longer than what it saves."""


class BufferTable:
    """The buffers of several pickles, each of them once."""

    __slots__ = ("_found", "buffers", "repeated")

    def __init__(self) -> None:
        self.buffers: list[memoryview] = []
        self.repeated: set[int] = set()
        self._found: dict[tuple[int, int], int] = {}

    def add(self, buffers: Sequence[memoryview]) -> list[int]:
        """The positions of the buffers of one more pickle."""
        return [self._position(buffer) for buffer in buffers]

    def _position(self, buffer: memoryview) -> int:
        from poolwise.system.address import address_of

        key = address_of(buffer), buffer.nbytes
        at = self._found.setdefault(key, len(self.buffers))
        if at == len(self.buffers):
            self.buffers.append(buffer)
        else:
            self.repeated.add(at)
        return at


def loads(pieces: Sequence[Part], buffers: Iterable[memoryview]) -> Any:
    """Unpickle from pieces, with the buffers that were left out.

    :raises Exception: anything can happen in ``__setstate__``.
    """
    if len(pieces) == 1:
        return pickle.loads(pieces[0], buffers=buffers)
    return pickle.Unpickler(PieceReader(pieces), buffers=buffers).load()


class PieceReader:
    """A file to unpickle from."""

    def __init__(self, pieces: Sequence[Part]) -> None:
        self._rest = [memoryview(piece) for piece in reversed(pieces)]

    def readinto(self, target: Any) -> int:
        """Fill ``target``, which never is longer than what is left unless the pickle is broken."""
        goal, done = memoryview(target), 0
        while self._rest and done < len(goal):
            piece = self._rest.pop()
            part = piece[: len(goal) - done]
            goal[done : done + len(part)] = part
            done += len(part)
            if len(part) < len(piece):
                self._rest.append(piece[len(part) :])
        return done

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        if self._rest and len(self._rest[-1]) > size:
            piece = self._rest[-1]
            self._rest[-1] = piece[size:]
            return bytes(piece[:size])
        data = bytearray(size)
        return bytes(data[: self.readinto(data)])

    def readline(self) -> bytes:
        """Only pickles of protocol 0 have lines."""
        raise pickle.UnpicklingError
