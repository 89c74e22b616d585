"""Views of a pool of ours under the names of `multiprocessing.pool.Pool`'s private attributes.

Programs look at a pool's inside (`while pool._cache: ...`) and put work there, as the well-known
`istarmap` does. The standard library's own functions do nothing else, so they run on a pool of
ours too: what a program has put around one of them may go on calling the original.

No view keeps its pool alive, but for those that take work for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from multiprocessing import get_context
from multiprocessing.pool import (  # type: ignore[attr-defined]
    CLOSE,
    TERMINATE,
    _helper_reraises_exception,
    job_counter,
)
from typing import TYPE_CHECKING, Any

from poolwise import errors
from poolwise.core.contract import InputEnded, JobPosted
from poolwise.core.job import CALLS, Function, Submitted, no_call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poolwise.core.engine import Engine
    from poolwise.core.job import Chunk, Job, News

Task = tuple[Any, int, Callable[..., Any], tuple[Any, ...], dict[str, Any]]
"""A task as the standard pool knows it: job, position, function, arguments."""

_TASKS_AHEAD = 256
_BYTES_AHEAD = 64 << 20
"""So many tasks of a generator, or of so much weight, wait for workers; then it is read no further.
No benchmark found them: the standard pool reads what its pipe holds, 64 KiB."""


class Cache(MutableMapping[Any, Any]):
    """Unfinished results by job number: ours, and standard ones, which enter and leave it.

    Whoever looks at it waits for all work to be done, whether results are read or not. So streams
    work ahead without limit from then on, as those of the standard pool always do.
    """

    def __init__(self, pool: Any) -> None:
        self._engine: Engine = pool._engine  # noqa: SLF001 - one mechanism with the pool
        self._streams = pool._streams  # noqa: SLF001
        self._in_callbacks = pool._in_callbacks  # noqa: SLF001
        self._registered: dict[Any, Any] = {}

    def registered(self, number: Any) -> Any:
        """The standard result of that number; None when it is finished."""
        return self._registered.get(number)

    def __setitem__(self, number: Any, result: Any) -> None:
        self._registered[number] = result

    def __delitem__(self, number: Any) -> None:
        del self._registered[number]

    def __getitem__(self, number: Any) -> Any:
        result = self.registered(number)
        if result is not None:
            return result
        for result in self._find_ours():
            if _number_of(result) == number:
                return result
        raise KeyError(number)

    def __len__(self) -> int:
        return len(self._registered) + len(self._find_ours())

    def __iter__(self) -> Iterator[Any]:
        yield from [*self._registered, *map(_number_of, self._find_ours())]

    def _find_ours(self) -> list[Any]:
        streams = list(self._streams)
        for stream in streams:
            stream.lift()
        readers = {id(stream._job): stream for stream in streams}  # noqa: SLF001
        found = self._engine.look(lambda: list(self._search(readers)))
        return [result for result in found if not getattr(result, "is_carrier", False)]

    def _search(self, readers: dict[int, Any]) -> Iterator[Any]:
        if self._engine._error is not None:  # noqa: SLF001 - then all has ended
            return
        yield from list(self._in_callbacks)
        for job in self._engine.state.jobs:
            if job.has_calls:
                yield from unanswered(self._engine, job)
            else:
                yield readers.get(id(job), job.sink)


def unanswered(engine: Engine, job: Job) -> Iterator[Any]:
    """The calls of a job that wait, or are with a worker. While nobody changes the state."""
    yield from list(getattr(job.source, "items", ()))
    for chunk in job._again:  # noqa: SLF001 - as those that wait, it is the job's own
        yield from chunk.items
    for lane in engine.state.lanes.values():
        for chunk in lane.chunks:
            if chunk.job is job:
                yield from chunk.items[chunk.done :]


def _number_of(result: Any) -> Any:
    number = vars(result).get("_job")
    if number is None:
        number = result._job = next(job_counter)  # noqa: SLF001
    return number


def _cache(pool: Any) -> Cache:
    cache: Cache = vars(pool).setdefault("_cache", Cache(pool))
    return cache


# -- work that a program puts there


class TaskQueue:
    """Queue that takes the standard pool's tasks, and tells how many calls wait for a worker."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def put(self, entry: tuple[Iterable[Task], Callable[[int], object] | None] | None) -> None:
        """Run tasks; each result goes to the standard result object that waits for it."""
        if entry is None:
            return
        tasks, set_length = entry
        if isinstance(tasks, (list, tuple)):
            self._submit(tasks, set_length)
        else:
            _TaskReader(self._pool, tasks, set_length).start()

    def _submit(self, tasks: Sequence[Task], set_length: Callable[[int], object] | None) -> None:
        apply_async = _own(self._pool, "apply_async")
        for task in tasks:
            arrival = _Arrival(self._pool._cache, task)  # noqa: SLF001
            carrier = apply_async(*task[2:], arrival.succeed, arrival.fail)
            carrier.is_carrier = True
        if set_length is not None:
            set_length(len(tasks))
        self._pool._engine.ensure_background()  # noqa: SLF001 - who waits for a standard result does not drive

    put_nowait = put

    def qsize(self) -> int:
        """Number of calls of which nothing was sent to a worker; a map is one call."""
        engine: Engine = self._pool._engine  # noqa: SLF001
        return engine.look(lambda: sum(map(_count_unsent, engine.state.jobs)))

    def empty(self) -> bool:
        """No call waits."""
        return not self.qsize()


def _count_unsent(job: Job) -> int:
    if job.has_calls:
        return job.waiting
    return int(not job.handed_out and not job.is_over)


class _TaskReader:
    """Reads a generator of standard tasks, in a thread, since it may block.

    :param set_length: is told how many tasks there were.
    """

    def __init__(
        self, pool: Any, tasks: Iterable[Task], set_length: Callable[[int], object] | None
    ) -> None:
        self._pool = pool
        self._engine: Engine = pool._engine  # noqa: SLF001
        self._cache: Cache = pool._cache  # noqa: SLF001
        self._tasks = tasks
        self._set_length = set_length
        self._source = Submitted()
        sink = _Arrivals(pool._calls.sink, self._source)  # noqa: SLF001
        self._job: Job = pool._make_job(Function(no_call), CALLS, self._source, sink, unit=1)  # noqa: SLF001

    def start(self) -> None:
        """Post the job, and begin to read."""
        self._engine.post(JobPosted(self._job))
        thread = threading.Thread(target=self._run, name="poolwise-tasks", daemon=True)
        self._pool._readers.add(thread)  # noqa: SLF001 - the pool waits for it at its end
        thread.start()

    def _run(self) -> None:
        try:
            self._hand_in_all()
        finally:
            if hasattr(self._tasks, "close"):
                self._tasks.close()
            self._source.end()
            self._try(lambda: self._engine.post(InputEnded(self._job)))

    def _hand_in_all(self) -> None:
        position = -1
        for task in self._tasks:
            if not self._source.wait_for_room(self._room):
                return
            position = task[1]
            self._hand_in(task)
        if self._set_length is not None:
            self._set_length(position + 1)

    def _room(self) -> int:
        room, each = _TASKS_AHEAD, self._job.sizer.item_bytes
        if each:
            room = min(room, max(2 * self._job.lanes, int(_BYTES_AHEAD / each)))
        return room - len(self._source.items)

    def _hand_in(self, task: Task) -> None:
        arrival, call = _Arrival(self._cache, task), task[2:]
        if task[2] is _helper_reraises_exception:  # the input has raised: no worker is needed
            arrival.fail(*task[3])
            return
        carrier = self._pool._async_result_class(  # noqa: SLF001
            self._pool, self._engine, arrival.succeed, arrival.fail, call
        )
        carrier.is_carrier = True
        # Before a thread can send it: the generator may reuse what it gave.
        carrier.kept = self._pool._intake.call(call, len(self._source.items))  # noqa: SLF001
        self._source.items.append(carrier)
        self._try(self._engine.submitted)
        self._engine.ensure_background()

    def _try(self, tell: Callable[[], None]) -> None:
        try:
            tell()
        except errors.PoolwiseError:
            self._source.end()  # the pool was terminated, and the job with it


class _Arrival:
    """Hands the outcome of a task to the standard result that waits for it."""

    def __init__(self, cache: Cache, task: Task) -> None:
        self._cache = cache
        self._number, self._position = task[:2]

    def succeed(self, value: Any) -> None:
        self._set((True, value))

    def fail(self, error: BaseException) -> None:
        self._set((False, error))

    def _set(self, outcome: tuple[bool, Any]) -> None:
        result = self._cache.registered(self._number)
        if result is not None:
            result._set(self._position, outcome)  # noqa: SLF001 - what the standard pool calls


class _Arrivals:
    """Sink of standard tasks: there is room for more when some are done."""

    def __init__(self, sink: Any, source: Submitted) -> None:
        self._sink = sink
        self._source = source

    def deliver(
        self, chunk: Chunk, first: int, values: Sequence[Any], errors: dict[int, BaseException]
    ) -> News:
        """Give each task its value."""
        news: News = self._sink.deliver(chunk, first, values, errors)
        self._source.ring()
        return news

    def end(self, error: BaseException | None) -> News:
        """No more tasks are wanted."""
        self._source.end()
        return ()

    def room(self, job: Job) -> None:
        """Any number of tasks may be handed out."""


# -- the threads that the standard pool has


class Handler:
    """Stands for one of the standard pool's three threads: its state is the pool's."""

    daemon = True
    name = "poolwise"
    ident = None

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    @property
    def _state(self) -> str:
        state: str = self._pool._state  # noqa: SLF001
        return state

    @_state.setter
    def _state(self, state: str) -> None:
        """Programs write it to end a pool, or to keep it from starting new workers."""
        if state == CLOSE:
            _own(self._pool, "close")()
        elif state == TERMINATE:
            _own(self._pool, "terminate")()

    def is_alive(self) -> bool:
        """The pool has not ended."""
        engine = self._pool._engine  # noqa: SLF001
        return not engine.is_closed or bool(engine.state.lanes)

    def join(self, timeout: float | None = None) -> None:
        """Wait until the pool has ended."""
        for stream in list(self._pool._streams):  # noqa: SLF001
            stream.lift()
        if self.is_alive():
            self._pool._engine.wait(lambda: not self.is_alive(), timeout)  # noqa: SLF001


class Notifier:
    """Stands for the pipe that wakes the standard pool's threads."""

    def put(self, _: object) -> None:
        """Ours are woken by themselves."""


def _own(pool: Any, name: str) -> Callable[..., Any]:
    """Our own method, whatever a program has put in its place."""
    door = getattr(type(pool), "_poolwise_door", type(pool))
    method: Callable[..., Any] = getattr(door, name).__get__(pool)
    return method


VIEWS: dict[str, Callable[[Any], Any]] = {
    "_cache": _cache,
    "_taskqueue": TaskQueue,
    "_ctx": lambda pool: pool._engine.backend.context or get_context(),  # noqa: SLF001
    "_worker_handler": Handler,
    "_task_handler": Handler,
    "_result_handler": Handler,
    "_change_notifier": lambda _: Notifier(),
    "_terminate": lambda pool: _own(pool, "terminate"),
}
