"""An array that finds no room in shared memory: through the pipe, or read by its receiver.

Through the pipe is what poolwise does. ``process_vm_readv`` takes half the time, and is no way of
ours: the array must be copied first, for its owner may change it; where Yama is on, as on most
desktops, a worker may not read from its parent; and what needs it, a single argument larger than a
quarter of the machine's memory, is rare.
"""

from __future__ import annotations

import ctypes
import os
import struct
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks import peers
from benchmarks.arrays import by_apply, check, length_of, make_arrays
from benchmarks.harness import units
from benchmarks.harness.model import Claim, Entrant, wall_time_per_item

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PLACE = struct.Struct("<qq")


class _Piece(ctypes.Structure):
    """``struct iovec``."""

    _fields_ = (("address", ctypes.c_void_p), ("length", ctypes.c_size_t))


def read_from(pid: int, address: int, length: int) -> Any:
    """Memory of another process, in memory of this one.

    :raises OSError: the system does not allow it.
    """
    import numpy as np

    read = ctypes.CDLL(None, use_errno=True).process_vm_readv
    target, done = np.empty(length, dtype="u1"), 0
    while done < length:
        here = _Piece(target.ctypes.data + done, length - done)
        there = _Piece(address + done, length - done)
        count = read(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
        if count <= 0:
            raise OSError(ctypes.get_errno(), "process_vm_readv")
        done += count
    return target


@contextmanager
def reader() -> Iterator[tuple[int, int]]:
    """A child that reads what it is told of, and answers with its length."""
    (orders, order), (answers, answer) = os.pipe(), os.pipe()
    parent, pid = os.getpid(), os.fork()
    if not pid:
        try:
            os.close(order)
            while place := os.read(orders, _PLACE.size):
                found = read_from(parent, *_PLACE.unpack(place))
                os.write(answer, struct.pack("<q", len(found)))
        finally:
            os._exit(0)
    os.close(answer)
    yield order, answers
    os.close(order)
    os.waitpid(pid, 0)


def by_reading(ends: tuple[int, int], arrays: Sequence[Any]) -> list[int]:
    order, answers = ends
    lengths = []
    for array in arrays:
        copy = array.copy()
        os.write(order, _PLACE.pack(copy.ctypes.data, copy.nbytes))
        (length,) = struct.unpack("<q", os.read(answers, 8))
        lengths.append(length // array.itemsize)
    return lengths


@contextmanager
def pool_without_memory() -> Iterator[Any]:
    os.environ["POOLWISE_SHARED_BYTES"] = str(1 << 20)
    with peers.poolwise_pool() as pool:
        yield pool


CLAIM = Claim(
    title="float64 array as argument that finds no room in shared memory",
    cases={"8 MB": partial(make_arrays, 8, 20), "100 MB": partial(make_arrays, 100, 5)},
    measure=wall_time_per_item,
    unit=units.SECONDS_PER_ITEM,
    check=check,
    entrants=[
        Entrant("poolwise, by pipe", by_apply(length_of), pool_without_memory),
        Entrant("poolwise, in shared memory", by_apply(length_of), peers.poolwise_pool),
        Entrant("process_vm_readv of a copy", by_reading, reader),
        Entrant("mp.Pool", by_apply(length_of), peers.mp_pool, portion=0.4),
    ],
)
