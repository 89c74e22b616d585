"""One chunk while it runs: the items, what they gave so far, and what can still be given back.

The work itself is one C loop, ``out.extend(map(function, items))``, so that a tiny item costs
little more than its function. Nothing is counted per item: how far the chunk has come is
``len(out)``, which the watch thread may read at any moment, and the part that has not begun
is returned by cutting the list that the loop is iterating over.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice, starmap
from typing import TYPE_CHECKING, Any, Protocol

from poolwise.wire import codec, failures
from poolwise.worker.clock import PICKLE, UNPICKLE

if TYPE_CHECKING:
    from poolwise.worker.clock import WorkerClock

_APPLY: dict[int, Callable[[Callable[..., Any], Iterable[Any]], Iterator[Any]]] = {
    codec.MAP: map,
    codec.STARMAP: starmap,
    codec.CALLS: lambda _, calls: map(codec.call, calls),
}


def call_each(function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> list[Any]:
    """One task that makes several calls: a chunk of a map that goes by way of `submit`."""
    return [function(*args) for args in calls]


class Answer(Protocol):
    """Sends the next values of a chunk on their way."""

    def __call__(  # noqa: PLR0913 - one message, unpacked
        self,
        chunk_id: int,
        first: int,
        values: list[Any],
        errors: dict[int, Any],
        run_ns: int,
        returned: int,
        times: codec.Times | None,
        *,
        last: bool,
    ) -> None: ...


class ChunkRun:
    """Runs one chunk and answers for it, in parts when it takes long.

    :param items: a list of this run's own: it may be cut short.
    :param prompt_ns: finished values wait no longer than this for a slow sibling.
    :param clock: the worker's own, which is told when the function begins and ends.
    :param describe: what to keep of an exception (it has to travel, as a rule).
    :param one_by_one: time each item by itself, however short.
    """

    def __init__(  # noqa: PLR0913 - one message, unpacked
        self,
        chunk_id: int,
        function: Callable[..., Any],
        mode: int,
        items: list[Any],
        prompt_ns: int,
        answer: Answer,
        clock: WorkerClock,
        describe: Callable[[BaseException], Any] = failures.encode,
        *,
        one_by_one: bool = False,
    ) -> None:
        self.chunk_id = chunk_id
        self.prompt_ns = prompt_ns
        self._items = items
        self._loading_ns = 0
        todo = map(self._load, items) if mode & codec.PACKED else items
        self._applied = _APPLY[mode & ~codec.PACKED](function, todo)
        self._answer = answer
        self._clock = clock
        self._describe = describe
        self._most_steps = 1 if one_by_one else sys.maxsize
        self._times = clock.times_of_chunk(is_exact=one_by_one)
        self._out: list[Any] = []
        self._errors: dict[int, Any] = {}
        self._sent = 0
        self._returned = 0
        self._flushing = threading.Lock()
        self._flushed_ns = time.perf_counter_ns()

    def run(self) -> None:
        """Run every item that is not given back meanwhile, and answer for all of them."""
        items, out, clock = self._items, self._out, time.perf_counter_ns
        step, most = 1, self._most_steps
        self._clock.begin_run()
        mark_ns, often_ns = clock(), 100_000  # a look at the clock (0.1 us) so often costs nothing
        while len(out) < len(items):
            first = len(out)
            self._run_some(step)
            now_ns = clock()
            spent_ns = now_ns - mark_ns
            self._times.add(spent_ns, first, len(out) - first, now_ns)
            if now_ns - self._flushed_ns >= self.prompt_ns and len(out) < len(items):
                self._flush_between()
                now_ns = clock()
            mark_ns = now_ns
            step = min(step * 2, most) if spent_ns < often_ns else max(1, step // 2)
        self._end_run()
        self.flush(last=True)
        self._errors.clear()  # in a thread of the pool their tracebacks refer to this frame
        self._applied = iter(
            ()
        )  # holds a method of ours: nothing large shall wait for the collector

    def _load(self, packed: list[Any]) -> Any:
        """One packed item, when its turn comes: unpickling, in the midst of the run."""
        begun_ns = time.perf_counter_ns()
        item = codec.load_item(packed)
        self._loading_ns += time.perf_counter_ns() - begun_ns
        return item

    def _end_run(self) -> None:
        self._clock.end_run()
        if self._loading_ns:
            self._clock.shift_to_unpickling(self._loading_ns)
            self._loading_ns = 0

    def _flush_between(self) -> None:
        self._end_run()
        self.flush()
        self._clock.begin_run()

    @property
    def done(self) -> int:
        """Number of items that are done."""
        return len(self._out)

    def _run_some(self, step: int) -> None:
        out = self._out
        goal = len(out) + step
        try:
            out.extend(islice(self._applied, step))
        except codec.Stopped as error:
            self._record(error.__cause__ or error)
        except BaseException as error:
            self._record(error)
        else:
            if len(out) < min(goal, len(self._items)):
                self._record(StopIteration("raised by the task"))

    def _record(self, error: BaseException) -> None:
        self._errors[len(self._out)] = self._describe(error)
        self._out.append(None)

    def flush(self, *, last: bool = False) -> None:
        """Answer with the values that are there and have not been sent."""
        with self._flushing:
            first, end, returned = self._sent, len(self._out), self._returned
            if end == first and not returned and not last:
                return
            now_ns = time.perf_counter_ns()
            run_ns = now_ns - self._flushed_ns
            values = self._out[first:end]
            if last:  # what is large in the items is given back with this answer
                self._clock.to(UNPICKLE)
                self._items.clear()
                self._clock.to(PICKLE)
            errors = {at - first: self._errors[at] for at in self._errors if first <= at < end}
            times = self._times.plain() if last else None
            self._answer(self.chunk_id, first, values, errors, run_ns, returned, times, last=last)
            self._times.has_parts = True
            self._sent, self._returned, self._flushed_ns = end, 0, now_ns

    def give_back(self) -> None:
        """Return the items that have not begun; the loop ends at the cut.

        May run in any thread. An item has begun only if all before it are in ``out``, so at most
        ``len(out) + 1`` have, whenever that is read after the cut.
        """
        items = self._items
        with self._flushing:
            whole = len(items)
            cut = len(self._out) + 1
            del items[cut:]
            begun = max(cut, len(self._out) + 1)
            self._returned += max(0, whole - begun)
        self.flush()
