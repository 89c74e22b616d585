"""Every error poolwise raises, in one tree.

::

    PoolwiseError                     anything below can be caught as this
    |-- WorkerDied                    the worker process ended while it ran this task
    |   (also BrokenProcessPool, which users of the standard executor catch)
    |-- TaskTimeout                   the task ran longer than its ``task_timeout``
    |   (also the built-in TimeoutError)
    |-- TaskCancelled                 the task was stopped by ``cancel(force=True)``
    |-- InitializerFailed             no worker came through the pool's initializer
    |   (also BrokenProcessPool)
    |-- EngineFailed                  what the workers run on is not there, broke or was shut down
    |   (also BrokenExecutor)
    |-- PoolTerminated                the pool was terminated before this task ended
    |-- PoolInterrupted               an exception struck the pool's own bookkeeping
    |-- UsedAfterFork                 a pool was used in a child that was forked from its owner
    |-- ResultNotPicklable            a result (or an exception) could not be sent back
    |   (also MaybeEncodingError and PicklingError)
    |-- ArgumentNotLoadable           an argument could not be rebuilt in the worker
    |   (also BrokenProcessPool)
    |   `-- NameNotFound              because the worker does not know something by its name
    |-- ResultNotLoadable             a result could not be rebuilt in this process
    |   (also BrokenProcessPool)
    |-- OutOfSharedMemory             the system or a limit refuses shared memory
    |   (also the built-in MemoryError)
    |-- SharedMemoryGone              shared memory was asked for after its last holder let it go
    |-- SampleFailed                  the function raised while it was tuned; names the item
    `-- ExtraMissing                  an optional library is not installed; says which extra has it
        (also the built-in ImportError)
    RemoteTraceback                   the cause of a task's error: its traceback as text

Each crosses a process boundary whole. Those that are also errors of the standard library are made
on first use, because the modules that hold their bases are heavy and a healthy run needs none.
"""

from __future__ import annotations

import signal
from typing import Any


class PoolwiseError(Exception):
    """The root of every error that poolwise raises by itself."""


class RemoteTraceback(Exception):
    """Carries the traceback of a worker as text; it stands as the ``__cause__`` of a task's error.

    :param tb: the formatted traceback.
    """

    def __init__(self, tb: str) -> None:
        super().__init__(tb)
        self.tb = tb

    def __str__(self) -> str:
        return f'\n"""\n{self.tb}"""'


class TaskTimeout(PoolwiseError, TimeoutError):
    """A task ran longer than its time limit; its worker was stopped, the pool goes on."""


class TaskCancelled(PoolwiseError):
    """A running task was stopped on request; only that task is lost."""


class PoolTerminated(PoolwiseError):
    """The pool was terminated before this task had ended."""


class PoolInterrupted(PoolwiseError):
    """An exception (a signal handler's, as a rule) struck inside the pool's own bookkeeping.

    What the pool knew of its tasks can no longer be trusted, so all of them fail with this error.
    Make a new pool.
    """


class UsedAfterFork(PoolwiseError, RuntimeError):
    """A pool was used in a process that was forked from the one that owns it."""


class OutOfSharedMemory(PoolwiseError, MemoryError):
    """Shared memory could not be had; the message names the limit that refused it."""


class SharedMemoryGone(PoolwiseError):
    """A shared object arrived after the last process that held its memory had let it go."""


class SampleFailed(PoolwiseError):
    """A function raised on an item of the sample that it was tuned with; its error is the cause."""


class ExtraMissing(PoolwiseError, ImportError):
    """A library that is optional is needed for this and is not installed.

    :param what: what is missing, and for what.
    :param extra: the extra of poolwise that has it.
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(what, extra)
        self.what = what
        self.extra = extra

    def __str__(self) -> str:
        return f"{self.what}. Install it with: pip install 'poolwise[{self.extra}]'"


UNGUARDED = 83
"""Exit code of a process whose main module, while it was imported, wanted to start processes
(:mod:`poolwise.backends.unguarded`). Any number would do that programs do not use."""


class Death:
    """End of a worker, in numbers and in words.

    :param pid: its process id (None when it never came to be).
    :param exitcode: as ``multiprocessing.Process.exitcode``: negative is a signal's number.
    :param fault: why the pool itself ended it, if it did.
    """

    __slots__ = ("exitcode", "fault", "pid")

    def __init__(self, pid: int | None, exitcode: int | None, fault: str | None = None) -> None:
        self.pid = pid
        self.exitcode = exitcode
        self.fault = fault

    def __repr__(self) -> str:
        return f"Death(pid={self.pid}, exitcode={self.exitcode})"

    @property
    def is_certain(self) -> bool:
        """Every other worker would end the same way."""
        return self.exitcode == UNGUARDED

    @property
    def how(self) -> str:
        """``killed by SIGSEGV``, ``exited with code 1``: the fact."""
        code = self.exitcode
        if self.fault is not None:
            return f"was ended, because {self.fault},"
        if code is None:
            return "ended"
        if code >= 0:
            return f"exited with code {code}"
        try:
            return f"was killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"was killed by signal {-code}"

    @property
    def why(self) -> str:
        """The likely cause of such an end."""
        code = self.exitcode
        if self.fault is not None:
            return "the task closed, or wrote to, file descriptors that were not its own"
        if code is not None and code >= 0:
            return "the task called os._exit() or a library it uses ended the process"
        if code is None:
            return "not known here: look at the logs of what it belonged to"
        return _LIKELY_CAUSE.get(-code, "another process sent it that signal")

    @property
    def why_early(self) -> str:
        """The likely cause, if the worker had no task yet.

        Python ends with 1 after an exception, here one of the imports: multiprocessing itself
        raises it when the main module starts processes while a new one imports it.
        """
        if self.exitcode == UNGUARDED:
            return (
                "a new process imports the main module first (start methods spawn and "
                "forkserver), and here that starts processes again. Put what starts them under "
                "`if __name__ == '__main__':`"
            )
        if self.exitcode == 1:
            return (
                "its traceback is on stderr. Under spawn and forkserver a worker imports the main "
                "module first: what starts processes there belongs under "
                "`if __name__ == '__main__':`"
            )
        if self.exitcode is not None and self.exitcode >= 0:
            return "something it imports or the initializer ended the process"
        return self.why


_LIKELY_CAUSE = {
    9: "the system ran out of memory (look for 'Out of memory' in dmesg), a container's memory "
    "limit was reached, or somebody sent it kill -9",
    11: "a crash in compiled code that the task calls (run it with python -X faulthandler)",
    6: "compiled code that the task calls gave up (abort), often after memory was corrupted",
    7: "a read or write outside of mapped memory, often a full /dev/shm",
    15: "another process asked it to end, as service managers and batch systems do",
    24: "its CPU time limit was reached (ulimit -t)",
}


def _make_worker_died() -> type[PoolwiseError]:
    from concurrent.futures.process import BrokenProcessPool

    class WorkerDied(PoolwiseError, BrokenProcessPool):
        """The worker process ended while it ran this task; the pool goes on without it.

        ``pid``, ``exitcode`` and ``item`` (the task's position in its call, None for a single
        call) say which worker, how it ended, and on what.
        """

        def __init__(
            self,
            message: str,
            pid: int | None = None,
            exitcode: int | None = None,
            item: int | None = None,
        ) -> None:
            super().__init__(message)
            self.pid = pid
            self.exitcode = exitcode
            self.item = item

        def __reduce__(self) -> tuple[Any, ...]:
            return _rebuild, ("WorkerDied", (self.args[0], self.pid, self.exitcode, self.item))

    return WorkerDied


def _make_initializer_failed() -> type[PoolwiseError]:
    from concurrent.futures.process import BrokenProcessPool

    class InitializerFailed(PoolwiseError, BrokenProcessPool):
        """No worker came through the pool's initializer, so no task can run."""

        def __reduce__(self) -> tuple[Any, ...]:
            return _rebuild, ("InitializerFailed", self.args)

    return InitializerFailed


def _make_engine_failed() -> type[PoolwiseError]:
    from concurrent.futures import BrokenExecutor

    class EngineFailed(PoolwiseError, BrokenExecutor):
        """The engine below the pool (an executor, a cluster) cannot run tasks, or not any more."""

        def __reduce__(self) -> tuple[Any, ...]:
            return _rebuild, ("EngineFailed", self.args)

    return EngineFailed


class _Words:
    """Stands in an error for a value: its repr is the value's, or a string that was one."""

    def __init__(self, value: object) -> None:
        try:
            self._text = value if type(value) is str else repr(value)
        except Exception:
            self._text = object.__repr__(value)  # a class may break even there

    def __repr__(self) -> str:
        return self._text


def _make_result_not_picklable() -> type[PoolwiseError]:
    from multiprocessing.pool import MaybeEncodingError  # type: ignore[attr-defined]
    from pickle import PicklingError

    class ResultNotPicklable(PoolwiseError, MaybeEncodingError, PicklingError):  # type: ignore[misc]
        """A task's result cannot be pickled, so it cannot leave the worker.

        ``exc`` and ``value`` are the representations of the pickling error and of the result.
        """

        def __init__(self, exc: object, value: object) -> None:
            super().__init__(_Words(exc), _Words(value))

        def __reduce__(self) -> tuple[Any, ...]:
            return _rebuild, ("ResultNotPicklable", (self.exc, self.value))

        def __str__(self) -> str:
            return (
                f"the result {self.value} cannot be sent back to the parent process: {self.exc}. "
                "Return something that pickle can handle (plain data, or instances of classes "
                "defined at the top level of a module)."
            )

    return ResultNotPicklable


def _make_argument_not_loadable() -> type[PoolwiseError]:
    from concurrent.futures.process import BrokenProcessPool

    class ArgumentNotLoadable(PoolwiseError, BrokenProcessPool):
        """An argument was pickled here but could not be rebuilt in the worker: see ``__cause__``.

        The standard executor breaks of it, hence its name among the bases; ours goes on.
        """

        def __reduce__(self) -> tuple[Any, ...]:
            return _rebuild, ("ArgumentNotLoadable", self.args)

    return ArgumentNotLoadable


def _make_name_not_found() -> type[PoolwiseError]:
    base: type[PoolwiseError] = __getattr__("ArgumentNotLoadable")

    class NameNotFound(base):  # type: ignore[misc,valid-type]
        """A worker does not know what the pickle of a call speaks of by its name.

        It was defined after the worker was forked, or at a prompt.
        """

        def __reduce__(self) -> tuple[Any, ...]:
            return _rebuild, ("NameNotFound", self.args)

    return NameNotFound


def not_loadable(message: str, why: BaseException) -> PoolwiseError:
    """An :class:`ArgumentNotLoadable`, which tells if ``why`` is that a name was not found."""
    is_name = isinstance(why, (AttributeError, ImportError))
    error: PoolwiseError = __getattr__("NameNotFound" if is_name else "ArgumentNotLoadable")(
        message
    )
    return error


def _make_result_not_loadable() -> type[PoolwiseError]:
    from concurrent.futures.process import BrokenProcessPool

    class ResultNotLoadable(PoolwiseError, BrokenProcessPool):
        """A result was pickled in the worker but could not be rebuilt here: see ``__cause__``.

        The standard executor breaks of it, hence its name among the bases; ours goes on.
        """

        def __reduce__(self) -> tuple[Any, ...]:
            return _rebuild, ("ResultNotLoadable", self.args)

    return ResultNotLoadable


def never_ran(error: BaseException) -> bool:
    """True if a task's argument could not be sent, so that its function was not called.

    What the parent raised when it pickled the argument is marked as such.
    """
    kind = globals().get("ArgumentNotLoadable")  # it is made for the first such error
    return bool(getattr(error, "is_unsent", False) or (kind and isinstance(error, kind)))


def again(error: PoolwiseError) -> PoolwiseError:
    """Copy of an error, to be raised in one more place.

    What is raised twice keeps the frames of both places alive, with all that they hold.
    """
    made = type(error)(*error.args)
    made.__cause__ = error.__cause__
    return made


_MAKERS = {
    "ArgumentNotLoadable": _make_argument_not_loadable,
    "EngineFailed": _make_engine_failed,
    "InitializerFailed": _make_initializer_failed,
    "NameNotFound": _make_name_not_found,
    "ResultNotLoadable": _make_result_not_loadable,
    "ResultNotPicklable": _make_result_not_picklable,
    "WorkerDied": _make_worker_died,
}


def _rebuild(name: str, args: tuple[Any, ...]) -> Exception:
    error: Exception = __getattr__(name)(*args)
    return error


def __getattr__(name: str) -> Any:
    maker = _MAKERS.get(name)
    if maker is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    made = maker()
    made.__module__, made.__qualname__ = __name__, name
    return globals().setdefault(name, made)
