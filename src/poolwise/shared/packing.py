"""An object as one pickle and its buffers, side by side in one segment.

::

    length of the table (8 bytes) | table | pickle | buffer | buffer ...

The table, a pickle itself, says where each of the others begins and how long it is. Each begins at
a multiple of 64 bytes, as vector instructions like it.
"""

from __future__ import annotations

import io
import pickle
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from poolwise.shared.holding import Held
from poolwise.wire import offers, reducers

if TYPE_CHECKING:
    from poolwise.memory.segment_posix import Mapping

_ALIGN = 64
_LENGTH = struct.Struct("<Q")

_NATIVE_FORMATS = frozenset("bBcdfhHiIlLnNqQ?")
"""Formats that ``memoryview.cast`` can give."""

_this_thread = threading.local()


def is_active() -> bool:
    """An object is being packed: what is shared already goes into the new segment by value.

    Else the new segment would hold handles that are good only for as long as the old ones live.
    """
    return getattr(_this_thread, "is_packing", False)


@contextmanager
def by_value() -> Iterator[None]:
    """Pickle what is shared by its value in this thread: it goes where the memory is not."""
    before = is_active()
    _this_thread.is_packing = True
    try:
        yield
    finally:
        _this_thread.is_packing = before


class HoldsDescriptor(TypeError):
    """A descriptor is handed from one process to another; it cannot lie in shared memory."""


def pack(value: Any) -> Held:
    """Put ``value`` into shared memory of its own.

    :raises OutOfSharedMemory: the system or a limit refuses.
    :raises HoldsDescriptor: there is a connection, a socket or the like in it.
    :raises Exception: whatever pickling raised.
    """
    offers.take()
    pickled, buffers = _dumps(_as_picklable(value))
    if offered := offers.take():
        offers.Offers(offered)
        message = "an open connection, socket or file is handed to one process, not shared by many"
        raise HoldsDescriptor(message)
    parts = [memoryview(pickled), *(buffer.raw() for buffer in buffers)]
    table, size_bytes = _lay_out([part.nbytes for part in parts])
    held = Held.create(size_bytes)
    held.segment.check_room(size_bytes)
    index = pickle.dumps(table, pickle.HIGHEST_PROTOCOL)
    held.segment.write(0, _LENGTH.pack(len(index)) + index)
    for (start, length), part in zip(table, parts, strict=True):
        if length:
            held.segment.write(start, part)
    return held


def unpack(mapping: Mapping) -> Any:
    """Build what was packed; its buffers lie in ``mapping``, which they keep alive.

    :raises Exception: whatever unpickling raised.
    """
    view = memoryview(mapping)
    (length,) = _LENGTH.unpack_from(view)
    table = pickle.loads(view[_LENGTH.size : _LENGTH.size + length])
    pickled, *buffers = (view[start : start + length] for start, length in table)
    return pickle.loads(pickled, buffers=buffers)


def _lay_out(lengths: list[int]) -> tuple[list[tuple[int, int]], int]:
    """Begin of each part, with its length, and the size of all."""
    longest = _LENGTH.size + 64 + 24 * len(lengths)  # of the table: no number pickles longer
    table, at = [], longest
    for length in lengths:
        at = -(-at // _ALIGN) * _ALIGN
        table.append((at, length))
        at += length
    return table, at


def _dumps(value: Any) -> tuple[bytes, list[pickle.PickleBuffer]]:
    buffers: list[pickle.PickleBuffer] = []
    _this_thread.is_packing = True
    try:
        return _dumps_plainly(value, buffers), buffers
    except Exception as error:
        import cloudpickle

        buffers.clear()
        try:
            return cloudpickle.dumps(value, 5, buffer_callback=buffers.append), buffers
        except Exception:
            raise error from None
    finally:
        _this_thread.is_packing = False


def _dumps_plainly(value: Any, buffers: list[pickle.PickleBuffer]) -> bytes:
    file = io.BytesIO()
    pickler: Any = pickle.Pickler(file, 5, buffer_callback=buffers.append)
    pickler.dispatch_table = reducers.find_for_many()
    pickler.dump(value)
    return file.getvalue()


# -- bytes and their like, which pickle would copy


class _Bytes:
    """Stands for a bytes-like object; unpickling this gives a memoryview of the shared bytes."""

    def __init__(self, value: Any) -> None:
        self._view = memoryview(value)

    def __reduce__(self) -> tuple[Any, ...]:
        view = self._view
        flat = view if view.contiguous else view.tobytes()
        return _shaped, (pickle.PickleBuffer(flat), view.format, view.shape)


def _as_picklable(value: Any) -> Any:
    is_castable = isinstance(value, memoryview) and value.format in _NATIVE_FORMATS
    return _Bytes(value) if is_castable or type(value) in {bytes, bytearray} else value


def _shaped(view: Any, code: Any, shape: tuple[int, ...]) -> Any:
    flat = memoryview(view).cast("B")
    return flat.cast(code) if 0 in shape else flat.cast(code, shape)
