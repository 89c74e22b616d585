"""Pickling without a copy of what is large: buffers stay outside, long strings become pieces.

Protocol 5 lets arrays and frames hand out their memory instead of writing it into the pickle.
``bytes``, ``bytearray`` and ``str`` cannot do that; but a pickler that writes to a file hands a
long one over as it is, and an unpickler that reads from one reads it straight into its place. So a
pickle with long strings is kept as a list of pieces.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Sequence
from copyreg import dispatch_table
from typing import Any

from poolwise.wire.parcel import LEAST_BLOCK_BYTES, Packed, Parcel, Part

PROTOCOL = 5
_OLDER_PROTOCOL = 4

LEAST_BUFFER_BYTES = LEAST_BLOCK_BYTES
"""A smaller buffer stays in the pickle."""

LEAST_PIECE_BYTES = 96 * 1024
"""A shorter string is copied into the pickle. The pickler itself hands over nothing below 64 KiB,
and frames of about that size. A pickle so long does not go through the pipe, whatever is in it:
things of 4 and 16 KiB take a fifth to a third less time (``benchmarks/small_payloads``)."""

_LOOK_OUT = 16
"""After a long pickle, so many are made in pieces in case they are long as well."""

_SMALL_IN_A_ROW = 8
"""After so many pickles with small arrays only, the older protocol is used, which asks nobody what
to do with a buffer: half the cost of an array of 100 bytes (``benchmarks/small_payloads``). Fewer
would make inputs in which small and large take turns pickle the large ones twice."""

_STRINGS = frozenset({bytes, bytearray, str})
_READ_BY_PICKLE = frozenset({"memmap", "Tensor"})


class ReadOnlyArray(Exception):
    """Plain pickling would hand over an array that its receiver cannot write to."""


class Aside(list[memoryview]):
    """Collects the large buffers of a pickle, as its ``buffer_callback``."""

    __slots__ = ("has_met",)
    has_met: bool
    """A buffer was offered, large or not."""

    def __init__(self) -> None:
        self.has_met = False

    def __call__(self, buffer: pickle.PickleBuffer) -> bool:
        """True leaves the buffer in the pickle.

        :raises ReadOnlyArray: pickle anew with :meth:`keep` and the reducers of ``arrays.py``.
        """
        self.has_met = True
        try:
            raw = buffer.raw()
        except BufferError:
            return True  # not contiguous: the pickler will say so
        if raw.readonly and type(raw.obj).__name__ == "ndarray":
            raise ReadOnlyArray
        if raw.nbytes < LEAST_BUFFER_BYTES:
            return True
        self.append(raw)
        return False

    def keep(self, buffer: pickle.PickleBuffer) -> bool:
        """The same without looking at what it is a buffer of."""
        raw = buffer.raw()
        if raw.nbytes < LEAST_BUFFER_BYTES:
            return True
        self.append(raw)
        return False


def dumps(value: Any, aside: Aside | None = None) -> bytes:
    """Pickle plainly; what only multiprocessing's own pickler can handle goes through that.

    :param aside: takes the large buffers; None leaves them in the pickle.
    :raises Exception: whatever plain pickling raised, when neither can.
    """
    try:
        return pickle.dumps(value, PROTOCOL, buffer_callback=aside)
    except ReadOnlyArray:
        file = io.BytesIO()
        _dump(value, file, aside)
        return file.getvalue()
    except Exception as error:
        if aside is not None:
            aside.clear()
        from multiprocessing.reduction import ForkingPickler

        try:
            return bytes(ForkingPickler.dumps(value, PROTOCOL))
        except Exception:
            raise error from None


def _dump(value: Any, file: Any, aside: Aside | None) -> None:
    """Pickle to a file, with reducers of our own where there can be arrays."""
    if aside is not None:
        aside.clear()
    keep = None if aside is None else aside.keep
    pickler: Any = pickle.Pickler(file, PROTOCOL, buffer_callback=keep)
    pickler.dispatch_table = ChainMap(*_reducers(), dispatch_table)
    pickler.dump(value)


def _reducers() -> Iterator[dict[type, Any]]:
    """Our own, for what the libraries that are loaded pickle in ways that leave a wish open."""
    if sys.modules.get("numpy"):  # None stands for one that shall not be imported
        from poolwise.wire import arrays

        yield arrays.reducers()
    if sys.modules.get("torch"):
        from poolwise.wire import tensors

        yield tensors.reducers()


def pack_to_spawn(value: Any) -> Parcel:
    """What a process is given while it is started: locks, queues and connections can travel then.

    :raises Exception: it cannot be pickled.
    """
    from multiprocessing.reduction import ForkingPickler

    aside, sheaf = Aside(), _Sheaf()
    pickler: Any = ForkingPickler(sheaf, PROTOCOL, True, aside.keep)  # noqa: FBT003 - takes no names
    pickler.dispatch_table = ChainMap(*_reducers(), pickler.dispatch_table)
    pickler.dump(value)
    return Parcel(sheaf.pieces(), aside)


def dumps_function(
    function: Callable[..., Any], aside: Aside | None = None, *, by_value: bool = False
) -> bytes:
    """Pickle a callable with its bound data; cloudpickle helps where plain pickle cannot.

    :param by_value: the worker cannot find it by name (defined in a notebook, or after the
        worker was forked), so its code must travel.
    :raises Exception: whatever plain pickling raised, when cloudpickle cannot either.
    """
    if by_value:
        return dumps_by_value(function, aside)
    try:
        return dumps(function, aside)
    except Exception as error:
        try:
            return dumps_by_value(function, aside)
        except Exception:
            raise error from None


def dumps_by_value(value: Any, aside: Aside | None) -> bytes:
    """Pickle with the code of whatever in it belongs to the main module.

    :raises Exception: cloudpickle cannot.
    """
    import cloudpickle

    if aside is not None:
        aside.clear()
    keep = None if aside is None else aside.keep
    pickled: bytes = cloudpickle.dumps(value, PROTOCOL, buffer_callback=keep)
    return pickled


class Packer:
    """Pickles one value after the other. Where long strings were, it looks out for more of them.

    A pickle in pieces costs 2 us more than a plain one, so it is made where the last one was long,
    or where the value is itself a long string.
    """

    __slots__ = ("_long_ones_left", "_small_in_a_row")

    def __init__(self) -> None:
        self._long_ones_left = 0
        self._small_in_a_row = 0

    def pack(self, value: Any, lone: Any = None, count: int = 1) -> Packed:
        """The value as one string of bytes if it is small, else as a parcel.

        :param lone: the one thing that the value is about, if there is but one.
        :param count: how many things it is about; many short ones do not make a long one.
        :raises Exception: it cannot be pickled.
        """
        if self._long_ones_left or _asks_for_pieces(lone):
            return self._pack_in_pieces(value, count)
        if self._small_in_a_row >= _SMALL_IN_A_ROW:
            pickled = _dumps_older(value)
            if pickled is not None and _is_short(pickled, count):
                return _by_length(pickled)
            self._small_in_a_row = 0
        aside = Aside()
        try:
            pickled = pickle.dumps(value, PROTOCOL, buffer_callback=aside)
        except Exception:
            pickled = dumps(value, aside)
        if aside or len(pickled) >= LEAST_PIECE_BYTES * count:
            self._small_in_a_row = 0
            self._look_out(len(pickled), count)
            return Parcel([pickled], aside)
        self._small_in_a_row += aside.has_met
        return _by_length(pickled)

    def pack_function(self, function: Callable[..., Any], *, by_value: bool) -> Packed:
        """A callable with its bound data, likewise.

        :raises Exception: it cannot be pickled.
        """
        aside = Aside()
        pickled = dumps_function(function, aside, by_value=by_value)
        if len(pickled) >= LEAST_PIECE_BYTES and not by_value:
            return self._pack_in_pieces(function, pickled=pickled)
        return Parcel([pickled], aside) if aside else pickled

    def _pack_in_pieces(
        self, value: Any, count: int = 1, *, pickled: bytes | None = None
    ) -> Packed:
        aside, sheaf = Aside(), _Sheaf()
        try:
            _dump(value, sheaf, aside)
        except Exception:
            aside.clear()
            pieces: list[Part] = [pickled or dumps(value, aside)]
        else:
            pieces = sheaf.pieces()
        length = sum(map(len, pieces))
        self._look_out(length, count)
        return Parcel(pieces, aside) if aside or length >= LEAST_PIECE_BYTES else bytes(pieces[0])

    def _look_out(self, length: int, count: int) -> None:
        is_long = length >= LEAST_PIECE_BYTES * count
        self._long_ones_left = _LOOK_OUT if is_long else max(0, self._long_ones_left - 1)


def _dumps_older(value: Any) -> bytes | None:
    """A pickle of the older protocol; None if there is none."""
    try:
        return pickle.dumps(value, _OLDER_PROTOCOL)
    except Exception:
        return None  # said by whoever tries next


_FRAME, _FRAME_HEAD, _FRAME_BYTES = 0x95, 9, 64 * 1024
"""A frame of a pickle (PEP 3154): its opcode, with the length behind; what is longer has none."""


def _is_short(pickled: bytes, count: int) -> bool:
    """Whether it is, for so many, and has no large buffer in it: that might be one for them all.

    They would all write into the same memory. A string that is as long as a frame stands between
    two of them, so only the heads are looked at.
    """
    length = len(pickled)
    if length < LEAST_BUFFER_BYTES:
        return True
    if length >= LEAST_BUFFER_BYTES * count or LEAST_BUFFER_BYTES < _FRAME_BYTES:
        return False
    at = 2  # behind the protocol's number
    while at < length and pickled[at] == _FRAME:
        at += _FRAME_HEAD + int.from_bytes(pickled[at + 1 : at + _FRAME_HEAD], "little")
    return length - at < _FRAME_BYTES


def _by_length(pickled: bytes) -> Packed:
    """Many short things may make a long pickle."""
    return pickled if len(pickled) < LEAST_PIECE_BYTES else Parcel([pickled], ())


def _asks_for_pieces(lone: Any) -> bool:
    """A long string; a mapped file, or a tensor, which plain pickling would read."""
    kind = type(lone)
    if kind in _STRINGS:
        return len(lone) >= LEAST_PIECE_BYTES
    return kind.__name__ in _READ_BY_PICKLE


class Shelf:
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
        from poolwise.wire.address import address_of

        key = address_of(buffer), buffer.nbytes
        at = self._found.setdefault(key, len(self.buffers))
        if at == len(self.buffers):
            self.buffers.append(buffer)
        else:
            self.repeated.add(at)
        return at


class _Sheaf:
    """A file to pickle to: long strings are kept apart, the rest is joined."""

    def __init__(self) -> None:
        self._pieces: list[Part | bytearray] = []
        self._short: list[Part] = []

    def write(self, data: Any) -> None:
        if len(data) < LEAST_PIECE_BYTES:
            self._short.append(data)
        else:
            self._join()
            self._pieces.append(data)

    def pieces(self) -> list[Part]:
        """All that was written, in order."""
        self._join()
        return [memoryview(p) if isinstance(p, bytearray) else p for p in self._pieces]

    def _join(self) -> None:
        if self._short:
            self._pieces.append(b"".join(self._short))
            self._short = []


def loads(pieces: Sequence[Part], buffers: Iterable[memoryview]) -> Any:
    """Unpickle from pieces, with the buffers that were left out.

    :raises Exception: anything can happen in ``__setstate__``.
    """
    if len(pieces) == 1:
        return pickle.loads(pieces[0], buffers=buffers)
    return pickle.Unpickler(_Pieces(pieces), buffers=buffers).load()


class _Pieces:
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
