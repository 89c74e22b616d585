"""``poolwise.share(obj)``: put an object down once, send handles of it."""

from __future__ import annotations

import sys
from collections import OrderedDict
from multiprocessing.process import parent_process
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload
from weakref import WeakValueDictionary

from poolwise.payloads import registry
from poolwise.shared import packing
from poolwise.shared.holding import MODES, Handle, Held, ModeName, is_let_go, receive

if TYPE_CHECKING:
    import numpy as np
    from typing_extensions import Self

    from poolwise.memory.segment_posix import Mode
    from poolwise.shared.arrays import SharedArray

T = TypeVar("T")

_NOTHING: Any = object()

_alive: WeakValueDictionary[tuple[object, Mode], Shared[Any]] = WeakValueDictionary()

KEPT = 8
"""A worker keeps so many built objects between its tasks: pools drop a task, with its handle, when
it is done, and the next one brings a new handle of the same object. Found by no benchmark."""

_kept: OrderedDict[tuple[object, Mode], tuple[Handle, Shared[Any]]] = OrderedDict()
"""Built objects of this worker, those used longest ago first, each with the handle it came by."""


@overload
def share(  # type: ignore[overload-overlap]
    obj: np.ndarray[Any, Any], mode: ModeName = ...
) -> SharedArray: ...
@overload
def share(obj: T, mode: ModeName = ...) -> Shared[T]: ...
def share(obj: Any, mode: ModeName = "read-only") -> Any:
    """Put ``obj`` into shared memory, once for all processes.

    A numpy array becomes an array that pickles as a handle, as its slices and views do. Anything
    else becomes a :class:`Shared`, whose ``get()`` gives the object in every process.

    :param mode: what a process may do with the memory: ``"read-only"``; ``"copy-on-write"``, where
        what it writes stays its own; ``"read-write"``, where everybody sees it.
    :raises OutOfSharedMemory: the system or a limit refuses; the message says which.
    :raises ValueError: there is no such mode.
    :raises Exception: whatever pickling raised.
    """
    if mode not in MODES:
        message = f"unknown mode {mode!r}: choose 'read-only', 'copy-on-write' or 'read-write'"
        raise ValueError(message)
    if _is_plain_array(obj):
        from poolwise.shared.arrays import share_array

        return share_array(obj, MODES[mode])
    return Shared(packing.pack(obj), MODES[mode])


def _is_plain_array(obj: Any) -> bool:
    """A numpy array of numbers, records or texts, and not of a subclass with ways of its own."""
    arrays = sys.modules.get("poolwise.shared.arrays")
    if arrays is not None and type(obj) is arrays.SharedArray:
        return not obj.dtype.hasobject
    library = registry.of(type(obj))
    return library is not None and library.as_array(obj) is not None


class Shared(Generic[T]):
    """An object in shared memory; pickled, it is a handle.

    One process builds the object once, however many handles arrive: a worker keeps what it has
    built, until whoever shared it has let it go. Its buffers (the columns of a frame, the arrays
    in a dict) are those of all processes.
    """

    __slots__ = ("__weakref__", "_came_by", "_held", "_mode", "_object")

    def __init__(self, held: Held, mode: Mode, came_by: Handle | None = None) -> None:
        self._held = held
        self._mode = mode
        self._came_by = came_by
        self._object: T = _NOTHING
        _alive[held.segment.address()[0], mode] = self

    def get(self) -> T:
        """The object: the same one at every call in one process.

        :raises SharedMemoryGone: it was closed in this process.
        :raises Exception: whatever unpickling raised.
        """
        if self._object is _NOTHING:
            built = packing.unpack(self._held.map(self._mode))
            if self._object is _NOTHING:  # else another thread was first
                self._object = built
                self._keep()
        return self._object

    def _keep(self) -> None:
        """Let a worker find what it built when the next task brings another handle of it."""
        if self._came_by is None or parent_process() is None:
            return
        _kept[self._came_by[0], self._mode] = self._came_by, self
        while len(_kept) > KEPT:
            _kept.popitem(last=False)

    @property
    def is_closed(self) -> bool:
        """True if it was closed in this process."""
        return self._held.segment.is_closed

    @property
    def nbytes(self) -> int:
        """Bytes of shared memory that it takes."""
        return self._held.segment.size_bytes

    def close(self) -> None:
        """Let go of it: from here, it can be opened by nobody any more.

        What :meth:`get` gave stays valid, here and elsewhere; the memory is given back with it.
        """
        self._object = _NOTHING
        self._held.segment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        if packing.is_active():
            return _share_again, (self.get(), self._mode)
        return attach, (self._held.handle(), self._mode)

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else f"{self.nbytes} bytes"
        return f"<poolwise.Shared {state}, {_name_of(self._mode)}>"


def attach(handle: Handle, mode: Mode) -> Shared[Any]:
    """Object that a handle stands for; unpickling calls this.

    :raises SharedMemoryGone: who made the handle has ended, or has closed the memory.
    """
    held = receive(handle)
    known = _alive.get((handle[0], mode))
    if known is not None and not known.is_closed:
        return known
    _forget_what_is_gone()
    return Shared(held, mode, handle)


def _forget_what_is_gone() -> None:
    """Drop what no further handle can come of, so that its memory is given back."""
    for key, (handle, shared) in list(_kept.items()):
        if shared.is_closed or is_let_go(handle):
            _kept.pop(key, None)


def _share_again(obj: Any, mode: Mode) -> Shared[Any]:
    return Shared(packing.pack(obj), mode)


def _name_of(mode: Mode) -> str:
    return next(name for name, short in MODES.items() if short == mode)
