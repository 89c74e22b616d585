"""Back end for joblib: ``register()``, then ``parallel_config("poolwise")``.

Batches, windows, time limits and the order of results are joblib's own, as are the answers. Ours
are the workers, which stay from call to call, and the way of the data: a batch is pickled as loky
does it (functions of the main program by value), arrays of ``max_nbytes`` and more are put into
shared memory once a call, and memory-mapped files are mapped again by name.

On Linux workers are forked, by a thread that does nothing else: GNU's OpenMP hangs in a child of a
thread that has computed in parallel, and does not in the child of a new one. Elsewhere, or with
``start_method=`` or ``JOBLIB_START_METHOD``, they are started as multiprocessing does.
"""

from __future__ import annotations

import atexit
import os
import pickle
import sys
import threading
import traceback
import warnings
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from multiprocessing import current_process
from typing import Any, ClassVar

import joblib
from joblib._memmapping_reducer import _get_backing_memmap, _reduce_memmap_backed
from joblib.parallel import (
    AutoBatchingMixin,
    FallbackToBackend,
    ParallelBackendBase,
    SequentialBackend,
    register_parallel_backend,
)

from poolwise import errors
from poolwise.executor import ProcessPoolExecutor
from poolwise.shared.objects import share
from poolwise.system.cpus import cpu_count
from poolwise.wire.code import CodePickler, make_pickler
from poolwise.wire.pickling import PieceWriter

NAME = "poolwise"

Packed = tuple[bytes, list[pickle.PickleBuffer]]
"""A pickle, and the buffers beside it: the pool sends those that are large by shared memory."""


def register(*, make_default: bool = False) -> None:
    """Make the back end known to joblib by the name "poolwise".

    :param make_default: use it wherever no back end is named.
    """
    register_parallel_backend(NAME, PoolwiseBackend, make_default=make_default)


def shutdown() -> None:
    """End the workers that wait for the next call; that call starts new ones."""
    _idle.empty()


class PoolwiseBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc] # no types
    """joblib's view of a pool of ours: takes batches, calls back with futures."""

    supports_retrieve_callback = True
    supports_inner_max_num_threads = True

    _workers: ProcessPoolExecutor | None = None

    def __init__(
        self,
        nesting_level: int | None = None,
        inner_max_num_threads: int | None = None,
        **backend_kwargs: Any,
    ) -> None:
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads)
        self.backend_kwargs = backend_kwargs  # joblib's own base keeps them since 1.5

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Number of workers for ``n_jobs``, by loky's rules."""
        if n_jobs == 0:
            message = "n_jobs == 0 in Parallel has no meaning"
            raise ValueError(message)
        if n_jobs is None or n_jobs == 1:
            return 1
        if (why := self._why_serial()) is not None:
            warnings.warn(
                f"Poolwise-backed parallel loops cannot {why}, setting n_jobs=1", stacklevel=3
            )
            return 1
        most = min(cpu_count(), joblib.cpu_count())
        return n_jobs if n_jobs > 0 else max(most + 1 + n_jobs, 1)

    def _why_serial(self) -> str | None:
        """Reason for which no workers can be had here, after "cannot"."""
        if current_process().daemon:
            return "run in a daemonic process"
        if not (self.in_main_thread() or self.nesting_level == 0):
            return "be nested below threads"
        return None

    def configure(self, n_jobs: int = 1, parallel: Any = None, **options: Any) -> int:
        """Take workers for one call, or for a block of calls; returns how many."""
        n_jobs = self.effective_n_jobs(n_jobs)
        if n_jobs == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self.parallel = parallel
        wanted = {**self.backend_kwargs, **options}
        self._large = _LargeArrays(wanted.pop("max_nbytes", None), wanted.pop("mmap_mode", None))
        for of_joblib in ("prefer", "require", "verbose", "temp_folder", "context"):
            wanted.pop(of_joblib, None)  # no files are made
        self._workers = _idle.take(n_jobs, self._prepare_worker_env(n_jobs), wanted)
        return n_jobs

    def start_call(self) -> None:
        """Forget what was shared before: it may have changed."""
        self._large.clear()

    def submit(self, func: Any, callback: Callable[[Any], object] | None = None) -> Future[Any]:
        """Send a batch."""
        workers = self._workers
        assert workers is not None  # noqa: S101 - joblib configures first
        future: Any
        try:
            data, buffers = _pack(func, self._large)
        except Exception as error:
            future = Future()
            future.set_exception(_not_picklable(error))
        else:
            future = workers.submit(_run_batch, data, buffers)
            future.batch = func  # keeps arrays, and with them what they share, until it is done
        if callback is not None:
            future.add_done_callback(callback)
        return future  # type: ignore[no-any-return]

    def apply_async(
        self, func: Any, callback: Callable[[Any], object] | None = None
    ) -> Future[Any]:
        """Send a batch: the name that joblib had for it before 1.5."""
        return self.submit(func, callback)

    def retrieve_result_callback(self, out: Future[Packed]) -> list[Any]:
        """Values of a batch.

        :raises Exception: what one of its calls raised.
        """
        vars(out).pop("batch", None)
        data, buffers = out.result()
        values, error, trace = pickle.loads(data, buffers=buffers)
        if error is None:
            return values  # type: ignore[no-any-return]
        error.__cause__ = errors.RemoteTraceback(trace)
        raise error

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Kill the workers, with what they are doing."""
        if self._workers is not None:
            self._workers.kill_workers()
            self._workers = None
        if ensure_ready:
            parallel = self.parallel
            self.configure(parallel.n_jobs, parallel, **parallel._backend_kwargs)  # noqa: SLF001

    def terminate(self) -> None:
        """Give the workers back, for the next call."""
        if self._workers is not None:
            _idle.give_back(self._workers)
            self._workers = None
            self._large.clear()
        self.reset_batch_stats()


def _not_picklable(error: Exception) -> Exception:
    made = pickle.PicklingError("Could not pickle the task to send it to the workers.")
    made.__cause__ = error
    return made


# -- workers that wait for a call


class _IdleWorkers:
    """Keeps one executor between calls, as loky does. A call that runs has it for itself."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: tuple[Any, ProcessPoolExecutor] | None = None
        self._made_for: weakref.WeakKeyDictionary[ProcessPoolExecutor, Any] = (
            weakref.WeakKeyDictionary()
        )

    def take(
        self, n_jobs: int, env: dict[str, str], options: dict[str, Any]
    ) -> ProcessPoolExecutor:
        """An executor made for the same wish, or a new one."""
        key = os.getpid(), n_jobs, env, options
        with self._lock:
            kept, self._kept = self._kept, None
        if kept is not None and kept[0] == key:
            return kept[1]
        if kept is not None:
            _end(*kept)
        workers = _start_workers(n_jobs, env, **options)
        self._made_for[workers] = key
        return workers

    def give_back(self, workers: ProcessPoolExecutor) -> None:
        """Keep it for the next call, in the place of another one."""
        with self._lock:
            before, self._kept = self._kept, (self._made_for[workers], workers)
        if before is not None:
            _end(*before)

    def empty(self) -> None:
        """End those that are kept."""
        with self._lock:
            kept, self._kept = self._kept, None
        if kept is not None:
            _end(*kept)


_idle = _IdleWorkers()
atexit.register(shutdown)


def _end(key: Any, workers: ProcessPoolExecutor) -> None:
    """Shut it down, unless it came with a fork and belongs to the parent."""
    if key[0] == os.getpid():
        workers.shutdown()


def _start_workers(
    n_jobs: int,
    env: dict[str, str],
    *,
    start_method: str | None = None,
    initializer: Callable[..., object] | None = None,
    initargs: Sequence[Any] = (),
    **options: Any,
) -> ProcessPoolExecutor:
    method = start_method or os.environ.get("JOBLIB_START_METHOD", "").strip() or None
    if method is None and sys.platform == "linux":
        method = "fork"
    made: list[ProcessPoolExecutor] = []
    failed: list[BaseException] = []

    def start() -> None:
        try:
            workers = ProcessPoolExecutor(
                n_jobs, method, _prepare_worker, (env, initializer, initargs), **options
            )
            workers._engine.start_all()  # noqa: SLF001 - in this thread, see above
            made.append(workers)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=start, name="poolwise-start")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return made[0]


# -- in a worker


def _prepare_worker(
    env: dict[str, str], initializer: Callable[..., object] | None, initargs: Sequence[Any]
) -> None:
    """Limit the threads of numerical libraries, then do what the user wants done first."""
    thread = threading.current_thread()
    if thread is threading.main_thread():
        thread.__class__ = threading._MainThread  # type: ignore[attr-defined] # noqa: SLF001 - it
        # was forked by another one, and libraries ask for the class to know where they are
    os.environ.update(env)
    _limit_loaded(env)
    register()
    if initializer is not None:
        initializer(*initargs)


def _limit_loaded(env: dict[str, str]) -> None:
    """Limit libraries that are loaded already, in a forked worker: they have read their variables.

    That takes threadpoolctl, which comes with scikit-learn.
    """
    if "numpy" not in sys.modules:
        return
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return
    limits = {"blas": env["OPENBLAS_NUM_THREADS"], "openmp": env["OMP_NUM_THREADS"]}
    threadpool_limits({api: int(text.partition(",")[0]) for api, text in limits.items()})


def _run_batch(data: bytes, buffers: Sequence[Any]) -> Packed:
    """Run a batch; what it raises travels as its values do."""
    try:
        batch = pickle.loads(data, buffers=buffers)
    except Exception as error:
        message = f"a batch could not be loaded in a worker: {error!r}"
        raise errors.not_loadable(message, error) from error
    values, failure, trace = None, None, ""
    try:
        values = batch()
    except Exception as error:
        failure, trace = error, "".join(traceback.format_exception(error))
    try:
        return _pack((values, failure, trace), _LargeArrays(None, None))
    except Exception as error:
        if failure is not None:
            raise failure from None  # the pool knows what to do with those
        raise errors.ResultNotPicklable(error, values) from None


# -- data


class _LargeArrays:
    """Reduces arrays that lie in files or shall lie in shared memory.

    :param max_nbytes: arrays of so many bytes are shared; None: none.
    :param mmap_mode: what a worker may do with them, by numpy's letters; None: share none.
    """

    _MODES: ClassVar[dict[str | None, Any]] = {
        "r": "read-only", "r+": "read-write", "w+": "read-write", "c": "copy-on-write",
    }  # fmt: skip

    def __init__(self, max_nbytes: int | None, mmap_mode: str | None) -> None:
        self._mode: Any = self._MODES.get(mmap_mode)
        self._least_bytes = max_nbytes if self._mode is not None else None
        self._shared: dict[int, tuple[weakref.ref[Any], Any]] = {}
        numpy = sys.modules.get("numpy")
        self.kinds = frozenset({numpy.ndarray, numpy.memmap} if numpy is not None else ())

    def clear(self) -> None:
        """Forget which arrays are shared."""
        self._shared.clear()

    def reduce(self, array: Any) -> Any | None:
        """Reduced form of an array; None: it travels as any other."""
        mapped = _get_backing_memmap(array)
        if isinstance(mapped, sys.modules["numpy"].memmap):
            return _reduce_memmap_backed(array, mapped)
        least = self._least_bytes
        if least is None or array.nbytes < least or array.dtype.hasobject:
            return None
        try:
            return _as_plain, (self._share(array),)
        except errors.OutOfSharedMemory:
            return None

    def _share(self, array: Any) -> Any:
        key = id(array)
        if (found := self._shared.get(key)) is not None:
            return found[1]
        shared = share(array, self._mode)
        forget = self._shared.pop
        self._shared[key] = weakref.ref(array, lambda _: forget(key, None)), shared
        return shared


def _as_plain(shared: Any) -> Any:
    return shared.view(sys.modules["numpy"].ndarray)


class _BatchPickler(CodePickler):
    """Pickler with code by value, and large arrays by their place."""

    large: _LargeArrays

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) in self.large.kinds and (reduced := self.large.reduce(obj)) is not None:
            return reduced
        return super().reducer_override(obj)


def _pack(value: Any, large: _LargeArrays) -> Packed:
    """Pickle a value.

    :raises Exception: it cannot be pickled.
    """
    buffers: list[pickle.PickleBuffer] = []
    pieces = PieceWriter()
    pickler = make_pickler(pieces, kind=_BatchPickler, buffer_callback=buffers.append)
    pickler.large = large
    pickler.dump(value)
    return pieces.join(), buffers
