"""Options of a call that chooses, checked where they are made."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_args

from poolwise.choose.model import KINDS, Kind
from poolwise.options import TaskRules, checked_chunksize, checked_progress
from poolwise.record import record

if TYPE_CHECKING:
    from os import PathLike

    from poolwise.doors.profile import Profile
    from poolwise.options import CallOptions, ProgressKind
    from poolwise.pool import Pool

OnError = Literal["raise", "return"]


class MapOptions(TypedDict, total=False):
    """Options of :func:`poolwise.map` and its sisters.

    :param kind: ``"serial"``, ``"threads"``, ``"processes"`` or ``"asyncio"``: this, whatever is
        measured.
    :param allow: the kinds that may be chosen; ``{"serial", "threads"}`` for a function that needs
        the caller's memory. Serial is always allowed.
    :param workers: at most so many threads, processes or coroutines at once.
    :param chunksize: as in ``Pool.map``; None lets the pool choose.
    :param timeout: seconds one item may run; then its worker is stopped and the item fails with
        :class:`poolwise.TaskTimeout`. Nothing is run in the calling thread then.
    :param retries: how often an item is run again whose worker died, that ran too long, or that
        raised what ``retry_on`` names.
    :param retry_on: exceptions of an item that are worth another try.
    :param progress: show how far the call is, as in ``Pool.map``.
    :param seed: random streams of each item's own, the same for every kind and number of workers:
        :func:`poolwise.rng`, and ``random`` and ``numpy.random`` where items share no process.
    :param on_error: ``"raise"`` what the first failing item raised, or ``"return"`` exceptions in
        the places of their items' results.
    :param pool: a pool of yours that does the work, if it pays to have a pool do it.
    :param native_threads: cap the threads of BLAS, OpenMP and others in worker processes, so that
        workers times threads fit the CPUs.
    :param profile: the file that ``poolwise tune --save`` wrote for this function, or the profile
        itself: the call begins as it says, and goes on measuring. ``POOLWISE_PROFILE`` names those
        of calls that are given none.
    """

    kind: Kind | None
    allow: Collection[Kind] | None
    workers: int | None
    chunksize: int | None
    timeout: float | None
    retries: int
    retry_on: tuple[type[BaseException], ...]
    progress: bool | Literal["text"]
    seed: int | None
    on_error: OnError
    pool: Pool | None
    native_threads: bool
    profile: str | PathLike[str] | Profile | None


@record
class Options:
    """All options of one call, checked."""

    kind: Kind | None
    kinds: frozenset[Kind]
    workers: int | None
    chunksize: int | None
    rules: TaskRules
    progress: ProgressKind | None
    seed: int | None
    returns_errors: bool
    pool: Any
    native_threads: bool
    profile: Any = None

    @classmethod
    def of(cls, given: MapOptions) -> Options:
        """Options as a caller has given them, with the defaults.

        :raises TypeError: there is no option of a name, or a value is of the wrong kind.
        :raises ValueError: a value is out of range.
        """
        unknown = given.keys() - MapOptions.__annotations__.keys()
        if unknown:
            names = ", ".join(MapOptions.__annotations__)
            message = f"unknown argument {min(unknown)!r}; there are {names}"
            raise TypeError(message)
        kind = _checked_kind(given.get("kind"))
        return cls(
            kind,
            _checked_kinds(given.get("allow"), kind),
            _checked_workers(given.get("workers")),
            checked_chunksize(given.get("chunksize")),
            TaskRules(given.get("timeout"), given.get("retries", 0), given.get("retry_on", ())),
            checked_progress(given.get("progress", False)),
            given.get("seed"),
            _checked_on_error(given.get("on_error", "raise")) == "return",
            given.get("pool"),
            given.get("native_threads", True),
            given.get("profile"),
        )

    @property
    def call_rules(self) -> CallOptions:
        """The rules as a pool's call takes them."""
        rules = self.rules
        return {
            "task_timeout": rules.task_timeout_s,
            "retries": rules.retries,
            "retry_on": rules.retry_on,
        }

    @property
    def is_careful(self) -> bool:
        """Items are run one by one, because what one raises may not be the end."""
        return self.returns_errors or bool(self.rules.retries and self.rules.retry_on)


def _checked_kind(kind: Any) -> Kind | None:
    if kind is None or kind in KINDS:
        return kind  # type: ignore[no-any-return]
    message = f"kind must be one of {', '.join(map(repr, KINDS))}, or None to choose, not {kind!r}"
    raise ValueError(message)


def _checked_kinds(allow: Collection[Kind] | None, kind: Kind | None) -> frozenset[Kind]:
    if kind is not None:
        return frozenset({kind})
    if allow is None:
        return frozenset(KINDS)
    names = (allow,) if isinstance(allow, str) else allow
    return frozenset({"serial", *(name for each in names if (name := _checked_kind(each)))})


def _checked_workers(workers: Any) -> int | None:
    if workers is None:
        return None
    if not isinstance(workers, int) or workers < 1:
        message = f"workers must be a whole number of 1 or more (None: it chooses), not {workers!r}"
        raise ValueError(message)
    return workers


def _checked_on_error(on_error: object) -> object:
    if on_error not in get_args(OnError):
        message = f"on_error must be 'raise' or 'return', not {on_error!r}"
        raise ValueError(message)
    return on_error
