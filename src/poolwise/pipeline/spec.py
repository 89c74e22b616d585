"""Stages as they were asked for: checked where they are written, with their name in every error."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from operator import index
from typing import Any, Literal, TypedDict

from poolwise.core.job import name_of
from poolwise.doors.functions import (
    is_async_generator_function,
    is_coroutine_function,
    is_generator_function,
)
from poolwise.options import _are_exceptions
from poolwise.pipeline.steps import FILTER, FLAT_MAP, MAP, TAP, Retry, Step
from poolwise.record import record

Kind = Literal["auto", "thread", "async", "process", "inline"]
KINDS = ("auto", "thread", "async", "process", "inline")

_PAIR = 2

MODE_NAMES = {MAP: "map", FLAT_MAP: "flat_map", FILTER: "filter", TAP: "tap"}

MOST_WORKERS = {"thread": 64, "async": 256}
"""Threads and coroutines that a stage may grow to if nobody names a number."""


class StageOptions(TypedDict, total=False):
    """Options of one stage.

    :param kind: where it runs: ``"thread"``, ``"async"`` (an event loop), ``"process"``,
        ``"inline"`` (in the worker of the stage before it), or ``"auto"``: by measurement.
    :param workers: how many items it works on at once: a number, the least and the most, or
        ``"auto"``.
    :param timeout: seconds that one item may take; a process that takes longer is replaced.
    :param retries: how often an item is tried again that failed with an exception of ``retry_on``,
        or took too long, or cost its worker.
    :param retry_on: exceptions that are worth another try.
    :param backoff: seconds to wait before the first try again; doubled each time.
    :param on_error: ``"raise"`` ends the run, ``"skip"`` goes on without the item and keeps it in
        ``failed``, a function is called with the :class:`~poolwise.pipeline.failures.Failure`, and
        what it returns takes the item's place (``failure.DROP``: nothing does).
    :param rate: items that are begun a second, at most.
    :param name: in reports and errors.
    :param setup: called in each worker before its first item; what it returns is the function's
        second argument, if it takes one.
    :param teardown: called with that when the worker ends.
    """

    kind: Kind
    workers: int | tuple[int, int] | Literal["auto"]
    timeout: float | None
    retries: int
    retry_on: type[BaseException] | tuple[type[BaseException], ...]
    backoff: float
    on_error: Literal["raise", "skip"] | Callable[[Any], Any]
    rate: float | None
    name: str | None
    setup: Callable[[], Any] | None
    teardown: Callable[..., Any] | None


@record
class Spec:
    """One stage, checked.

    :param batch: the size of lists and their time limit, if it is that kind of stage.
    :param least: workers at least, ``most`` at most (None: nobody has said).
    """

    name: str
    mode: int
    call: Callable[..., Any] | None
    kind: Kind = "auto"
    least: int = 1
    most: int | None = None
    timeout_s: float | None = None
    retry: Retry = Retry()
    on_error: Any = "raise"
    rate: float | None = None
    setup: Callable[[], Any] | None = None
    teardown: Callable[..., Any] | None = None
    gets_state: bool = False
    keeps_input: bool = False
    batch: tuple[int, float | None] | None = None

    @property
    def is_async(self) -> bool:
        """A coroutine function, or an async generator function."""
        return is_async(self.call)

    def step(self, stage: int) -> Step:
        """Function that runs in a worker."""
        return Step(
            stage, self.mode, self.call, self.retry, self.setup, self.teardown,
            self.gets_state, self.keeps_input,
        )  # fmt: skip

    def has_own_limits(self) -> bool:
        """True if it cannot share a worker visit with its neighbours."""
        return self.timeout_s is not None or self.rate is not None or callable(self.on_error)


def make_spec(mode: int, call: Any, options: StageOptions) -> Spec:
    """A stage as it was asked for.

    :raises TypeError: the function is not one, takes other arguments, or an option is not known.
    :raises ValueError: an option is out of range, or does not go with another.
    """
    verb = MODE_NAMES[mode]
    if not callable(call):
        message = f".{verb}() needs a function, not {call!r}"
        raise TypeError(message)
    name = options.get("name") or name_of(call)
    where = f"stage {name!r} (.{verb}())"
    if unknown := set(options) - StageOptions.__annotations__.keys():
        names = ", ".join(StageOptions.__annotations__)
        message = f"{where}: unknown argument {min(unknown)!r}; there are {names}"
        raise TypeError(message)
    if mode == MAP and (is_generator_function(call) or is_async_generator_function(call)):
        mode = FLAT_MAP
    setup = options.get("setup")
    spec = Spec(
        name,
        mode,
        call,
        _checked_kind(options.get("kind", "auto"), call, where),
        *_checked_workers(options.get("workers", "auto"), where),
        _positive(options.get("timeout"), "timeout", "seconds", where),
        _checked_retry(options, where),
        _checked_on_error(options.get("on_error", "raise"), where),
        _positive(options.get("rate"), "rate", "items a second", where),
        setup,
        options.get("teardown"),
        setup is not None and _takes(call, 2),
    )
    _check_together(spec, where)
    return spec


def _check_together(spec: Spec, where: str) -> None:
    if not _takes(spec.call, 2 if spec.gets_state else 1):
        message = (
            f"{where}: its function must be callable with one argument, the item"
            f"{_signature(spec.call)}. Bind others with functools.partial, or unpack the item in a "
            "lambda."
        )
        raise TypeError(message)
    functions: tuple[tuple[str, Any], ...] = (("setup", spec.setup), ("teardown", spec.teardown))
    for what, value in functions:
        if value is not None and not callable(value):
            message = f"{where}: {what} must be a function, not {value!r}"
            raise TypeError(message)
    if spec.teardown is not None and spec.setup is None:
        message = f"{where}: teardown without setup: there is nothing to give it"
        raise ValueError(message)
    if spec.kind == "inline" and (spec.timeout_s is not None or spec.most is not None):
        message = (
            f"{where}: an inline stage runs in the worker of the stage before it, so it has no "
            "timeout and no workers of its own"
        )
        raise ValueError(message)


def is_async(call: Any) -> bool:
    """A coroutine function, or an async generator function; partials and objects included."""
    return is_coroutine_function(call) or is_async_generator_function(call)


def _takes(call: Any, count: int) -> bool:
    """True if it can be called with so many arguments, or has no signature."""
    try:
        signature = inspect.signature(call)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def _signature(call: Any) -> str:
    return f", and this one is {name_of(call)}{inspect.signature(call)}"


def _checked_kind(kind: Any, call: Any, where: str) -> Kind:
    if kind not in KINDS:
        message = f"{where}: kind must be one of {', '.join(map(repr, KINDS))}, not {kind!r}"
        raise ValueError(message)
    if is_async(call) and kind not in {"auto", "async"}:
        message = (
            f"{where}: a coroutine function runs on an event loop (kind='async'), not with "
            f"kind={kind!r}. Leave kind out, or make it a plain function"
        )
        raise ValueError(message)
    if kind == "async" and not is_async(call):
        message = f"{where}: kind='async' needs a coroutine function (async def)"
        raise ValueError(message)
    return kind  # type: ignore[no-any-return] # one of KINDS


def _checked_workers(workers: Any, where: str) -> tuple[int, int | None]:
    if workers in {"auto", None}:
        return 1, None
    least, most = (
        workers if isinstance(workers, tuple) and len(workers) == _PAIR else (workers,) * 2
    )
    try:
        least, most = index(least), index(most)
    except TypeError:
        least = 0
    if not 1 <= least <= most:
        message = (
            f"{where}: workers must be a number of 1 or more, a pair (least, most) of them, or "
            f"'auto', not {workers!r}"
        )
        raise ValueError(message)
    return least, most


def _positive(value: Any, what: str, unit: str, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        message = f"{where}: {what} must be a positive number of {unit}, not {value!r}"
        raise ValueError(message)
    return float(value)


def _checked_retry(options: StageOptions, where: str) -> Retry:
    times: Any = options.get("retries", 0)
    if isinstance(times, bool) or not isinstance(times, int) or times < 0:
        message = f"{where}: retries must be 0 or more, not {times!r}"
        raise ValueError(message)
    on = options.get("retry_on", Exception)
    if not _are_exceptions(on):
        message = f"{where}: retry_on must be an exception class or a tuple of them, not {on!r}"
        raise TypeError(message)
    backoff: Any = options.get("backoff", 0.0)
    if isinstance(backoff, bool) or not isinstance(backoff, (int, float)) or not backoff >= 0:
        message = f"{where}: backoff must be a number of seconds, 0 or more, not {backoff!r}"
        raise ValueError(message)
    return Retry(times, on if isinstance(on, tuple) else (on,), float(backoff))


def _checked_on_error(on_error: Any, where: str) -> Any:
    if is_async(on_error):
        message = f"{where}: on_error must be a plain function; nobody would await {on_error!r}"
        raise TypeError(message)
    if on_error in ("raise", "skip") or callable(on_error):
        return on_error
    message = f"{where}: on_error must be 'raise', 'skip' or a function, not {on_error!r}"
    raise ValueError(message)


def make_batch(size: Any, timeout: Any) -> Spec:
    """A stage that makes lists of ``size`` items.

    :raises ValueError: the size is less than 1, or the time limit is not positive.
    :raises TypeError: the size is no whole number.
    """
    try:
        size = index(size)
    except TypeError:
        message = f".batch() needs a whole number of items, not {size!r}"
        raise TypeError(message) from None
    if size < 1:
        message = f".batch({size}) would make empty lists: give it 1 or more"
        raise ValueError(message)
    timeout_s = _positive(timeout, "timeout", "seconds", f"stage 'batch({size})'")
    return Spec(f"batch({size})", MAP, None, "inline", batch=(size, timeout_s))


def make_unbatch() -> Spec:
    """A stage that passes the members of each item on."""
    return Spec("unbatch", FLAT_MAP, None)


def with_input(spec: Spec) -> Spec:
    """The stage with each of its items beside the result.

    :raises ValueError: it is no stage that makes results of items.
    """
    if spec.batch is not None or spec.call is None or spec.mode not in {MAP, FLAT_MAP}:
        message = (
            "zip_with_input() puts the item of the stage before it beside its result, so it must "
            f"follow .map() or .flat_map(), not {spec.name!r}"
        )
        raise ValueError(message)
    fields = {name: getattr(spec, name) for name in Spec.__slots__}  # type: ignore[attr-defined]
    return Spec(**{**fields, "keeps_input": True})
