"""The public functions: map, starmap, imap and plan, which choose by measurement."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from poolwise.choose.call import Call
from poolwise.choose.ended import Ended
from poolwise.choose.intake import refuse_endless
from poolwise.choose.options import Options
from poolwise.choose.run import Run

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from poolwise.choose.options import MapOptions
    from poolwise.choose.plan import Plan

S = TypeVar("S")
T = TypeVar("T")


class Mapped(list[T]):
    """The list of results, with the plan by which they were made.

    :param plan: says what was chosen and why; ``print(results.plan)``.
    """

    plan: Plan


@overload
def map(  # noqa: A001 - as poolwise.map
    function: Callable[[S], Awaitable[T]], items: Iterable[S], **options: Unpack[MapOptions]
) -> Mapped[T]: ...
@overload
def map(  # noqa: A001
    function: Callable[[S], T], items: Iterable[S], **options: Unpack[MapOptions]
) -> Mapped[T]: ...
def map(  # noqa: A001
    function: Callable[..., Any], items: Iterable[Any], **options: Unpack[MapOptions]
) -> Mapped[Any]:
    """``[function(x) for x in items]``, by whatever is fastest: a loop, threads or processes.

    It begins as that loop, in the calling thread, measures what items cost while it runs them, and
    hands over what is left if that pays. No item is run twice. ``.plan`` of the list says what was
    chosen and why.

    A coroutine function is awaited, so many at once as throughput grows by.

    :param options: see :class:`poolwise.choose.options.MapOptions`; none is needed.
    :raises Exception: what the first failing item raised (``on_error="return"``: is in its place).
    :raises ValueError: the items never end, or an option is out of range.
    """
    return _filled(Call(function, has_many=False, seed=options.get("seed")), items, options)


@overload
def starmap(
    function: Callable[..., Awaitable[T]],
    items: Iterable[Iterable[Any]],
    **options: Unpack[MapOptions],
) -> Mapped[T]: ...
@overload
def starmap(
    function: Callable[..., T], items: Iterable[Iterable[Any]], **options: Unpack[MapOptions]
) -> Mapped[T]: ...
def starmap(
    function: Callable[..., Any], items: Iterable[Iterable[Any]], **options: Unpack[MapOptions]
) -> Mapped[Any]:
    """``[function(*x) for x in items]``; see :func:`map`."""
    return _filled(Call(function, has_many=True, seed=options.get("seed")), items, options)


def _filled(call: Call, items: Iterable[Any], options: MapOptions) -> Mapped[Any]:
    refuse_endless(items)
    values: Mapped[Any] = Mapped()
    run = Run(call, items, Options.of(options))
    values.plan = run.plan
    shown = run.show()
    kill = True
    try:
        run.begin()
        run.fill(values)
        kill = False
    except Exception:
        kill = False
        raise
    finally:
        run.close(kill=kill)
        if shown is not None:
            shown.close()
    return values


class Values(Iterator[T], Generic[T]):
    """The values of a lazy call, one by one.

    ``plan`` says what is chosen and why, from the moment on in which it is; :meth:`close` (or
    leaving a ``with`` block) ends what works ahead.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._shown = run.show()
        self._has_begun = self._is_closed = False

    @property
    def plan(self) -> Plan:
        """Choice so far, and its reasons."""
        return self._run.plan

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        if self._is_closed:
            raise StopIteration
        kill = True
        try:
            if not self._has_begun:
                self._has_begun = True
                self._run.begin()
            return self._run.next_value()  # type: ignore[no-any-return]
        except Ended:
            self.close()
            raise StopIteration from None
        except Exception:
            kill = False
            raise
        finally:
            if kill and self._is_interrupted():
                self.close(kill=True)

    def _is_interrupted(self) -> bool:
        import sys

        error = sys.exc_info()[1]
        return error is not None and not isinstance(error, (Exception, StopIteration))

    def close(self, *, kill: bool = False) -> None:
        """Read no more: what has not begun is not run, and the input is read no further.

        :param kill: end the workers as well, whatever they run.
        """
        if not self._is_closed:
            self._is_closed = True
            self._run.close(kill=kill)
            if self._shown is not None:
                self._shown.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_is_closed", True):
            self.close()


def imap(
    function: Callable[[S], T],
    items: Iterable[S],
    *,
    ordered: bool = True,
    **options: Unpack[MapOptions],
) -> Values[T]:
    """The values of :func:`map` one by one, made as they are asked for; ``items`` may be endless.

    While it is serial each item is run when its value is asked for. Workers work ahead, within the
    limits of ``Pool.imap``.

    :param ordered: values come in the order of the items; else as they are ready.
    :param options: see :class:`poolwise.choose.options.MapOptions`.
    """
    call = Call(function, has_many=False, seed=options.get("seed"))
    checked = Options.of(options)
    return Values(Run(call, items, checked, is_lazy=True, is_ordered=ordered))


def plan(
    function: Callable[..., Any],
    sample: Iterable[Any],
    *,
    length: int | None = None,
    **options: Unpack[MapOptions],
) -> Plan:
    """Plan of :func:`map` for such items, found by running each of the sample once, here.

    :param sample: items to run. ``plan.runs`` says how often the function was called.
    :param length: how many items the plan is for; None: as many as the sample has.
    """
    run = Run(Call(function, has_many=False, seed=options.get("seed")), sample, Options.of(options))
    try:
        return run.only_plan(length)
    finally:
        run.close()
