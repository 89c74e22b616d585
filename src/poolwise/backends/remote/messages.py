"""Messages to an engine's workers and back, and the words for what goes wrong with them."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from poolwise import errors
from poolwise.backends.answers import load_each, not_loadable
from poolwise.core import contract as c
from poolwise.core.job import name_of
from poolwise.core.signals import interruptible
from poolwise.wire import codec, failures, pickling
from poolwise.worker import remote

if TYPE_CHECKING:
    from poolwise.backends.remote.seat import Seat
    from poolwise.core.job import Chunk, Function, Job
    from poolwise.wire.payload import Packed

_OF_MAIN = b"__main__"


class Put:
    """Broadcast data that many chunks need, sent once to each worker, known by its digest."""

    small_bytes = 4096
    """So much is sent again rather than asked for. Found by no benchmark."""

    def __init__(self, blob: remote.Blob) -> None:
        self.blob = blob
        self.nbytes = len(blob[0]) + sum(map(len, blob[1]))
        self.is_small = self.nbytes <= self.small_bytes
        self.digest = _digest(blob)
        self._handle: Any = None
        self._made_in = 0

    def handle_for(self, seat: Seat) -> Any:
        """Handle to hand over for it; made once, since all seats of a pool are on one engine."""
        if self._handle is None or self._made_in != seat.generation:
            self._made_in = seat.generation
            self._handle = seat.put(self.blob)
        return self._handle


def _digest(blob: remote.Blob) -> str:
    from hashlib import blake2b

    made = blake2b(blob[0], digest_size=16)
    for buffer in blob[1]:
        made.update(buffer)
    return made.hexdigest()


# -- out


def sharing(*, is_near: bool) -> AbstractContextManager[None]:
    """Around pickling: what is in shared memory goes as a handle only to who can open it."""
    if is_near:
        return nullcontext()
    from poolwise.shared import packing as shared

    made: AbstractContextManager[None] = shared.by_value()
    return made


def put_function(function: Function, *, imports_main: bool) -> Put:
    """A job's function, ready to be sent.

    :raises Exception: it cannot be pickled.
    """
    by_value = function.by_value
    call = function.call if by_value or function.kept is None else function.kept
    packed = pickling.pack_function(call, by_value=by_value)
    if not (imports_main or by_value) and _speaks_of_main(packed):
        packed = pickling.pack_function(function.call, by_value=True)
    return Put(remote.flatten(packed))


def pack_callable(call: Callable[..., Any], *, by_value: bool) -> bytes:
    """A callable that is run once in each worker.

    :raises Exception: it cannot be pickled.
    """
    pickled = pickling.dumps_function(call)
    if by_value and _OF_MAIN in pickled:
        return pickling.dumps_function(call, by_value=True)
    return pickled


def pack_items(chunk: Chunk, *, imports_main: bool) -> Packed:
    """The items of a chunk; with their code where workers cannot import the main module.

    :raises Exception: one of them cannot be pickled.
    """
    packed = _pack_items(chunk, by_value=chunk.by_value)
    if imports_main or chunk.by_value or not _speaks_of_main(packed):
        return packed
    return _pack_items(chunk, by_value=True)


def _pack_items(chunk: Chunk, *, by_value: bool) -> Packed:
    job = chunk.job
    if job.has_calls:
        calls = [task.call if by_value else task.kept or task.call for task in chunk.items]
        return codec.pack_calls((0, 0), calls, by_value=by_value)
    if not by_value:
        return codec.pack_items((0, 0), job.mode, chunk.items)
    blobs = [pickling.dumps(item, by_value=True) for item in chunk.items]
    return pickling.pack((0, 0, job.mode | codec.PACKED, blobs))


def _speaks_of_main(packed: Packed) -> bool:
    """True if something in it is found in the main module, or is a text that says so."""
    pieces = [packed] if isinstance(packed, bytes) else packed.pieces
    return any(_OF_MAIN in bytes(piece) for piece in pieces)


def part(packed: Packed, job: Job, needed: dict[str, Put]) -> tuple[bytes, list[bytes | str]]:
    """A pickle and its buffers; in the place of what all items hold stands its digest.

    :param needed: what the digests stand for is added.
    """
    if isinstance(packed, bytes):
        return packed, []
    main = b"".join(packed.pieces)
    buffers: list[bytes | str] = []
    for buffer in packed.buffers:
        put = _find_common(buffer, job) if job.common else None
        if put is None:
            buffers.append(bytes(buffer))
        else:
            needed[put.digest] = put
            buffers.append(put.digest)
    return main, buffers


def _find_common(buffer: Any, job: Job) -> Put | None:
    """The :class:`Put` of an array that many items hold, if this is its memory."""
    from poolwise.system.address import address_of

    address = address_of(memoryview(buffer))
    for key, array in job.common.items():
        interface: Mapping[str, Any] = getattr(array, "__array_interface__", {})
        if interface.get("data", (None,))[0] == address and array.nbytes == len(buffer):
            if key not in job.deposits:
                job.deposits[key] = Put((bytes(buffer), []))
            put: Put = job.deposits[key]
            return put
    return None


# -- back


def read_answer(said: remote.Answer) -> c.Outcome:
    """The outcome that an answer tells of, without the lane's clock."""
    _, size, run_ns, returned, is_apart, _, _, main, aside = said
    outcome = c.Outcome(0, [None] * size, {}, run_ns, 0, returned)
    if is_apart is None:  # nothing was pickled
        outcome.values, outcome.errors, _, _, outcome.times = main
        return outcome
    outcome.nbytes = len(main) + sum(map(len, aside))
    buffers = [bytearray(one) for one in aside]
    try:
        with interruptible:
            values, failed, outcome.times = pickle.loads(main, buffers=buffers)
    except BaseException as error:
        outcome.errors = {at: not_loadable(error) for at in range(size)}
        return outcome
    outcome.errors = {at: failures.decode(failed[at]) for at in failed}
    if is_apart:
        loads = (partial(_load_blob, blob, buffers) for blob in values)
        values = load_each(loads, outcome.errors)
    outcome.values = values
    return outcome


def _load_blob(blob: codec.Blob, buffers: list[bytearray]) -> Any:
    pickled, positions = (blob, ()) if isinstance(blob, bytes) else blob
    return pickle.loads(pickled, buffers=[buffers[i] for i in positions])


# -- words


def engine_failed(message: str, cause: BaseException | None = None) -> errors.PoolwiseError:
    """An :class:`EngineFailed` with its cause."""
    said: errors.PoolwiseError = errors.EngineFailed(message)
    said.__cause__ = cause
    return said


def find_mismatch(version: str, python: tuple[int, int], name: str) -> errors.PoolwiseError | None:
    """Reason why these workers cannot serve this program, if they cannot."""
    ours = str(sys.modules["poolwise"].__version__)
    mine = sys.version_info[:2]
    if version == ours and tuple(python) == mine:
        return None
    return engine_failed(
        f"the workers of {name} run poolwise {version} on Python {python[0]}.{python[1]}, this "
        f"program poolwise {ours} on Python {mine[0]}.{mine[1]}: what one pickles the other may "
        "misread. Install the same versions on both sides"
    )


def no_worker(name: str, error: BaseException) -> errors.PoolwiseError:
    """The first call on an engine failed."""
    if isinstance(error, ModuleNotFoundError) and "poolwise" in str(error):
        message = (
            f"the workers of {name} do not have poolwise ({error}): install it where they run, "
            "in the same version as here"
        )
    else:
        message = (
            f"{name} could not run the first call of the pool: {error!r}. Look at its own logs; "
            "if its workers cannot import poolwise, install it where they run"
        )
    return engine_failed(message, error)


def lost_by_engine(name: str, chunk: Chunk, error: BaseException) -> errors.PoolwiseError:
    """An engine gave an error of its own in the place of a chunk's values."""
    at = chunk.start + chunk.done
    return engine_failed(
        f"{name} lost item {at} of {name_of(chunk.job.function.call)}, several times: {error!r}. "
        "That is an error of the engine, not of the task: look at its own logs",
        error,
    )
