"""Views of our results under the names of the private attributes of the standard ones."""

from __future__ import annotations

from _thread import get_ident
from collections.abc import Callable
from multiprocessing.pool import job_counter  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self


class Event:
    """Stands for the event that is set when a result is there."""

    def __init__(self, result: Any) -> None:
        self._result = result

    def is_set(self) -> bool:
        """The result is there."""
        return bool(self._result.ready())

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the result is there, for ``timeout`` seconds at most; whether it is."""
        self._result.wait(timeout)
        return self.is_set()


class Arrived:
    """Stands for the queue of results that have arrived and wait to be read."""

    def __init__(self, results: Any) -> None:
        self._results = results

    def __len__(self) -> int:
        return len(self._results._stream.ready)  # noqa: SLF001 - one mechanism with the iterator

    def popleft(self) -> tuple[bool, Any]:
        """The next result: whether it is a value or an exception, and that.

        :raises IndexError: none has arrived.
        """
        if not len(self):
            message = "no result has arrived"
            raise IndexError(message)
        try:
            return True, _own(self._results).next(self._results, 0)
        except Exception as error:
            return False, error


class Condition:
    """Stands for the condition under which a reader looks whether there is a result, and waits.

    Results arrive meanwhile. So it is noted for the thread that holds it whether all had arrived
    before it looked: if not, to have found nothing does not mean that nothing is left.
    """

    def __init__(self, results: Any) -> None:
        self._results = results

    def __enter__(self) -> Self:
        self._note()
        return self

    def __exit__(self, *_: object) -> None:
        del _notes(self._results)[get_ident()]

    def _note(self) -> None:
        _notes(self._results)[get_ident()] = self._results._stream.is_over  # noqa: SLF001

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until a result has arrived, or none will, for ``timeout`` seconds at most."""
        stream, engine = self._results._stream, self._results._engine  # noqa: SLF001
        is_there = bool(engine.wait(stream.has_news, timeout))
        self._note()
        return is_there


def _notes(results: Any) -> dict[int, bool]:
    notes: dict[int, bool] = vars(results).setdefault("_had_all_arrived", {})
    return notes


def _own(results: Any) -> Any:
    """Our own class, whatever a program has put in the place of its methods."""
    return getattr(type(results), "_poolwise_door", type(results))


def _cache_of(result: Any) -> Any:
    """Jobs of its pool that are under way; a result that is there has let go of its pool."""
    pool = result._pool  # noqa: SLF001 - one mechanism with the results
    return {} if pool is None else pool._cache  # noqa: SLF001


def _number(result: Any) -> int:
    number: int = vars(result).setdefault("_job", next(job_counter))
    return number


def _success(result: Any) -> bool | None:
    """None before it is ready: managers read every attribute of what they hand out."""
    return bool(result.successful()) if result.ready() else None


def _chunksize(result: Any) -> int:
    """As given, or as the standard pool would choose it."""
    if result.unit is not None:
        return int(result.unit)
    # As the standard pool does when it is given no chunksize.
    chunks: int = 4 * result.lanes
    return -(-len(result._values) // chunks)  # noqa: SLF001


def _number_left(result: Any) -> int:
    """Chunks that are not done; never more than a moment ago."""
    if result.ready():
        return 0
    left = len(result._values) - result.count_delivered  # noqa: SLF001
    return -(-int(left) // max(1, _chunksize(result)))


def _index(results: Any) -> int:
    """Number of results that have arrived. No longer limited: a program that asks may read none."""
    if get_ident() not in _notes(results):
        results.lift()
    stream = results._stream  # noqa: SLF001
    return int(stream.count_read + len(stream.ready))


def _length(results: Any) -> int | None:
    """Number of results there will be; None as long as the input is being read."""
    if not _notes(results).get(get_ident(), True):
        return None
    if results._stream.is_over:  # noqa: SLF001
        return _index(results)
    job = results._job  # noqa: SLF001
    source = job.source
    if source.remaining is not None:
        return int(job.handed_out + source.remaining)
    return int(source.count_fed) if source.is_ended else None


VIEWS: dict[str, Callable[[Any], Any]] = {
    "_job": _number,
    "_cache": _cache_of,
    "_event": Event,
    "_success": _success,
    "_chunksize": _chunksize,
    "_number_left": _number_left,
    "_index": _index,
    "_length": _length,
    "_items": Arrived,
    "_cond": Condition,
}
