"""One chunk as one call on an engine of somebody else: an executor, a cluster.

What such a call is given and gives back are plain bytes and tuples, which any engine can carry.
Large things that many chunks need (a function with what is bound to it, an array that all items
hold) are sent once and kept here by their digest; a call that finds one missing says so, and is
sent again with it.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from poolwise.wire import codec, failures
from poolwise.wire.payload import DecodedPayload, Packed
from poolwise.worker.clock import PICKLE, UNPICKLE, WorkerClock
from poolwise.worker.run import ChunkRun

LACKS, UNREAD, ANSWER = "lacks", "unread", "answer"
"""Kinds of answer of a call: digests it lacks; what could not be rebuilt; values."""

Blob = tuple[bytes, list[bytes]]
"""A pickle, and the buffers that it leaves out."""

Answer = tuple[Any, ...]

_FLAT = codec.ATOMIC | {bytearray}


class _Kept:
    """LRU cache of large things in this process, by digest."""

    most_bytes = 1 << 30
    """All together; the newest one stays in any case. No benchmark found it."""

    def __init__(self) -> None:
        self._things: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()  # some engines run calls in several threads of a process

    def add(self, digest: str, blob: Blob) -> None:
        nbytes = len(blob[0]) + sum(map(len, blob[1]))
        with self._lock:
            self._things[digest] = blob, nbytes
            total = sum(size for _, size in self._things.values())
            while total > self.most_bytes and len(self._things) > 1:
                total -= self._things.popitem(last=False)[1][1]

    def missing(self, digests: Sequence[str]) -> list[str]:
        with self._lock:
            return [digest for digest in digests if digest not in self._things]

    def get(self, digest: str) -> Any:
        with self._lock:
            self._things.move_to_end(digest)
            return self._things[digest][0]

    def replace(self, digest: str, thing: Any) -> None:
        with self._lock:
            if digest in self._things:
                self._things[digest] = thing, self._things[digest][1]


_kept = _Kept()
_states: dict[str, Mapping[str, Any] | None] = {}
"""State that initializers have left in this process, by the pool they belong to."""

_starting = threading.Lock()
_of_thread = threading.local()


# -- the beginning


def begin(pool: str, setup: bytes | None) -> tuple[Any, ...]:
    """Say who this is, and run the pool's initializer if it has not run in this process.

    :param setup: a pickled callable, or None.
    """
    said = (_version(), sys.version_info[:2], machine(), os.getpid())
    with _starting:
        if setup is None or pool in _states:
            return (*said, None)
        try:
            _states[pool] = _run_setup(setup)
        except BaseException as error:
            return (*said, failures.encode(error))
    return (*said, None)


def _version() -> str:
    return str(sys.modules["poolwise"].__version__)


def machine() -> str:
    """Name of the machine that this runs on, different for each boot where the system tells."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        import platform

        return platform.node()


def _run_setup(setup: bytes) -> Mapping[str, Any] | None:
    from poolwise.shared import preload

    with preload.used(None):
        codec.loads(setup)()
        return preload.current()


def ping() -> bool:
    """True: to measure what a call costs."""
    return True


# -- a chunk


def run(
    head: tuple[str, int, str | None, bool],
    main: bytes,
    buffers: Sequence[bytes | str],
    digests: Sequence[str],
    *blobs: Blob,
) -> Answer:
    """Run a chunk.

    :param head: the pool, how long it may take, the digest of the function, and whether the pool
        can open shared memory of this machine.
    :param main: the pickled chunk.
    :param buffers: that it leaves out, or their digests.
    :param digests: of ``blobs``, which are to be kept.
    """
    pool, most_ns, function_id, is_near = head
    for digest, blob in zip(digests, blobs, strict=True):
        _kept.add(digest, blob)
    needed = [one for one in (function_id, *buffers) if isinstance(one, str)]
    if missing := _kept.missing(needed):
        return LACKS, missing
    with ExitStack() as around:
        if pool in _states:
            from poolwise.shared import preload

            around.enter_context(preload.used(_states[pool]))
        return _run(most_ns, function_id, main, buffers, is_near=is_near)


def _run(
    most_ns: int,
    function_id: str | None,
    main: bytes,
    buffers: Sequence[bytes | str],
    *,
    is_near: bool,
) -> Answer:
    clock = _clock()
    before = clock.read()
    clock.to(UNPICKLE)
    try:
        mode, items = _load_items(main, buffers)
    except BaseException as error:
        return UNREAD, False, failures.encode(error)
    try:
        function = codec.call if function_id is None else _function(function_id)
    except BaseException as error:
        return UNREAD, True, failures.encode(error)
    kept = run_items(clock, function, mode, items, most_ns)
    packed, is_apart = _pack(kept) if is_near else _pack_by_value(kept)
    clock.to(PICKLE)
    after = clock.read()
    spent = tuple(b - a for a, b in zip(before, after, strict=True))
    pieces, aside = flatten(packed)
    return ANSWER, len(kept[0]), *kept[2:4], is_apart, spent, after[0], pieces, aside


def _clock() -> WorkerClock:
    clock: WorkerClock | None = getattr(_of_thread, "clock", None)
    if clock is None:
        clock = _of_thread.clock = WorkerClock()
    return clock


def _load_items(main: bytes, buffers: Sequence[bytes | str]) -> tuple[int, list[Any]]:
    if not buffers:
        loaded = codec.load_chunk(memoryview(main))
    else:
        looks = [_Look(_kept.get(one)[0] if isinstance(one, str) else one) for one in buffers]
        loaded = codec.load_chunk(DecodedPayload([memoryview(main)], list(looks), 0))
    return loaded[2], list(loaded[3])


class _Look:
    """Memory that may be looked at several times: each look is a copy, which may be changed."""

    def __init__(self, part: bytes) -> None:
        self._part = part

    def view(self) -> memoryview:
        return memoryview(bytearray(self._part))


class _Fresh:
    """A function with large buffers, rebuilt for every task around the same read-only memory.

    So none sees what another did to the rest of it, and one that would change the memory of all
    fails: to copy it for each task would cost more than many tasks do.
    """

    __slots__ = ("_buffers", "_pickled")

    def __init__(self, pickled: bytes, buffers: Sequence[bytes]) -> None:
        self._pickled = pickled
        self._buffers = buffers

    def __call__(self, *args: Any) -> Any:
        return pickle.loads(self._pickled, buffers=self._buffers)(*args)


def _function(digest: str) -> Callable[..., Any]:
    thing = _kept.get(digest)
    if type(thing) is not tuple:
        function: Callable[..., Any] = thing
        return function
    pickled, buffers = thing
    function = pickle.loads(pickled, buffers=buffers)
    if buffers:
        function = _Fresh(pickled, buffers)
    _kept.replace(digest, function)
    return function


class _Slice(ChunkRun):
    """A chunk that ends when it has run for long: what has not begun goes back with the answer."""

    def _flush_between(self) -> None:
        self._returned += len(self._items) - len(self._out)
        del self._items[len(self._out) :]


def run_items(  # noqa: PLR0913 - what a run is made of
    clock: WorkerClock,
    function: Callable[..., Any],
    mode: int,
    items: list[Any],
    most_ns: int,
    describe: Callable[[BaseException], Any] = failures.encode,
) -> tuple[Any, ...]:
    """Run items in this thread: values, errors, time, how many were not begun, their times."""
    said: list[tuple[Any, ...]] = []

    def keep(*answer: Any, last: bool) -> None:  # noqa: ARG001 - there is one answer, the last
        said.append(answer[2:])

    answer: Any = keep
    _Slice(0, function, mode, items, most_ns, answer, clock, describe).run()
    return said[0]


def run_here(mode: int, function: Callable[..., Any], items: list[Any], most_ns: int) -> Answer:
    """Run a chunk in a thread of the pool's own process: nothing is pickled."""
    clock = _clock()
    before = clock.read()
    kept = run_items(clock, function, mode, items, most_ns, _as_raised)
    after = clock.read()
    spent = tuple(b - a for a, b in zip(before, after, strict=True))
    return ANSWER, len(kept[0]), *kept[2:4], None, spent, after[0], kept, ()


def _as_raised(error: BaseException) -> BaseException:
    return error


# -- the answer


def _pack(kept: tuple[Any, ...]) -> tuple[Packed, bool]:
    """The values, in one pickle if nothing in them can fail to be rebuilt elsewhere."""
    values, errors, _, _, times = kept
    if len(values) == 1 or all(map(_is_flat, values)):
        try:
            return codec.pack_answer(values, errors, times), False
        except BaseException:  # noqa: S110 - said below, value by value
            pass
    return codec.pack_itemwise(values, errors, times, failures.refused), True


def _pack_by_value(kept: tuple[Any, ...]) -> tuple[Packed, bool]:
    """The values, for a pool on another machine: what is shared here goes there by its value."""
    from poolwise.shared import packing as shared

    with shared.by_value():
        return _pack(kept)


def _is_flat(value: Any) -> bool:
    kind = type(value)
    return kind in _FLAT or (kind.__module__ == "numpy" and not _holds_objects(value))


def _holds_objects(value: Any) -> bool:
    return bool(getattr(getattr(value, "dtype", None), "hasobject", True))


def flatten(packed: Packed) -> Blob:
    """A pickle and its buffers as bytes."""
    if isinstance(packed, bytes):
        return packed, []
    return b"".join(packed.pieces), [bytes(buffer) for buffer in packed.buffers]
