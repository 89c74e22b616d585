"""``poolwise.pipe``: stages written in the order of the data."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from poolwise.pipeline.failures import put_note
from poolwise.pipeline.options import RunOptions, RunSettings
from poolwise.pipeline.run import Run
from poolwise.pipeline.source import Source
from poolwise.pipeline.spec import Spec, make_batch, make_spec, make_unbatch, with_input
from poolwise.pipeline.steps import FILTER, FLAT_MAP, MAP, TAP

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from poolwise.pipeline.failures import Failures
    from poolwise.pipeline.flow import Token
    from poolwise.pipeline.headspace import Headspace
    from poolwise.pipeline.report import PipeReport
    from poolwise.pipeline.spec import StageOptions


def pipe(source: Any, *, until: Any = None, **settings: Unpack[RunSettings]) -> Pipe:
    """A pipe over the items of ``source``; give it stages, then iterate it or call ``run()``.

    :param source: a list, a generator, an async generator, an open text file (its lines), a queue,
        or another pipe, whose stages then come first. It is read in a thread of its own (a list
        too), an async one on the event loop; generators are closed at the end.
    :param until: the item that ends a queue; it is not passed on.
    :param settings: see :class:`poolwise.pipeline.options.RunSettings`.
    :raises TypeError: it is nothing that items can be read from.
    """
    if isinstance(source, Pipe):
        return source.with_settings(**settings)
    return Pipe(Source(source, until), (), settings)


class Pipe:
    """A source and stages. Each method returns a longer pipe; nothing runs before it is iterated.

    Iterated by ``for`` or by ``async for``, or run by :meth:`run`. Each run of a list begins anew;
    an iterator can be read by one run only.
    """

    def __init__(self, source: Source, specs: tuple[Spec, ...], settings: RunSettings) -> None:
        self._source = source
        self._specs = specs
        self._settings = settings
        self._options = RunOptions.of(settings)
        self._last: Run | None = None

    # -- stages

    def map(self, function: Callable[..., Any], **options: Unpack[StageOptions]) -> Pipe:
        """Call a function with each item; its result goes on.

        What a generator function yields goes on one by one, as in :meth:`flat_map`.

        :param options: see :class:`poolwise.pipeline.spec.StageOptions`.
        """
        return self._with(make_spec(MAP, function, options))

    def flat_map(self, function: Callable[..., Any], **options: Unpack[StageOptions]) -> Pipe:
        """Call a function with each item; the members of its result go on one by one."""
        return self._with(make_spec(FLAT_MAP, function, options))

    def filter(self, function: Callable[..., Any], **options: Unpack[StageOptions]) -> Pipe:
        """Let only those items go on of which the function's value is true."""
        return self._with(make_spec(FILTER, function, options))

    def tap(self, function: Callable[..., Any], **options: Unpack[StageOptions]) -> Pipe:
        """Call a function with each item; the item goes on."""
        return self._with(make_spec(TAP, function, options))

    def batch(self, size: int, *, timeout: float | None = None) -> Pipe:
        """Put items into lists of ``size``; the last one may be shorter.

        :param timeout: a list goes on so many seconds after its first item, full or not.
        """
        return self._with(make_batch(size, timeout))

    def unbatch(self) -> Pipe:
        """Pass the members of each item on one by one."""
        return self._with(make_unbatch())

    def zip_with_input(self) -> Pipe:
        """Let the stage before give pairs: the item it was given, and its result."""
        if not self._specs:
            message = "zip_with_input() must follow .map() or .flat_map(); this pipe has no stage"
            raise ValueError(message)
        return Pipe(self._source, (*self._specs[:-1], with_input(self._specs[-1])), self._settings)

    def with_settings(self, **settings: Unpack[RunSettings]) -> Pipe:
        """Copy of the pipe with other options of its runs."""
        return Pipe(self._source, self._specs, {**self._settings, **settings})

    def _with(self, spec: Spec) -> Pipe:
        return Pipe(self._source, (*self._specs, spec), self._settings)

    # -- running

    def __iter__(self) -> Results:
        return Results(self._start(None))

    def __aiter__(self) -> AsyncIterator[Any]:
        return _results_async(self)

    def run(self, sink: Any = None, **settings: Unpack[RunSettings]) -> Any:
        """Run to the end: a list of the results, or their number if ``sink`` takes them.

        :param sink: is called with each result, in this thread; or has a ``put`` (a queue).
        """
        pipe = self.with_settings(**settings) if settings else self
        results = iter(pipe)
        self._last = pipe._last  # noqa: SLF001 - one class
        with results:
            if sink is None:
                return list(results)
            take = _taker(sink)
            count = 0
            for result in results:
                take(result)
                count += 1
            return count

    def _start(self, loop: asyncio.AbstractEventLoop | None) -> Run:
        run = Run(self._source, list(self._specs), self._options, loop)
        self._last = run
        run.start()
        return run

    # -- what became of it

    @property
    def failed(self) -> Failures:
        """The items that failed in the latest run, skipped ones too."""
        return self.latest().failed

    def report(self) -> PipeReport:
        """Report of the latest run, stage by stage, until now or until its end."""
        from poolwise.pipeline.report import PipeReport

        return PipeReport.of(self.latest())

    def measure_headspace(self, stage: str, items: int | None = None) -> Headspace:
        """Headspace of a stage by experiment: runs with it, and with its results in its place.

        ``report().headspace`` predicts it. The pipe runs several times, in order, with all that its
        functions do elsewhere; its source must be a list.

        :param stage: its name.
        :param items: only the first so many; enough that starting workers does not matter.
        :raises TypeError: the source is no list.
        :raises ValueError: there is no such stage.
        """
        from poolwise.pipeline.headspace import measure

        return measure(self, stage, items)

    @property
    def specs(self) -> tuple[Spec, ...]:
        """The stages as they were asked for."""
        return self._specs

    @property
    def source(self) -> Source:
        """Source of its items."""
        return self._source

    def over(self, items: Any, specs: tuple[Spec, ...]) -> Pipe:
        """A pipe with the settings of this one, in order, over other items and stages."""
        return Pipe(Source(items, None), specs, {**self._settings, "ordered": True})

    def latest(self) -> Run:
        """The latest run.

        :raises RuntimeError: it has not run yet.
        """
        if self._last is None:
            message = "this pipe has not run yet"
            raise RuntimeError(message)
        return self._last

    def __repr__(self) -> str:
        names = "".join(f" -> {spec.name}" for spec in self._specs)
        return f"<poolwise.pipe {type(self._source.items).__name__}{names}>"


class Results:
    """Iterator over a run's results; closing or dropping it ends the run."""

    def __init__(self, run: Run) -> None:
        self._run: Run | None = run
        self._ready: deque[Token] = deque()
        self._reading = threading.Lock()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        with self._reading:
            if not self._ready:
                self._read()
            token = self._ready.popleft()
        if token.error is not None:
            try:
                self._end()
                raise _raisable(token.error)
            finally:
                del token
        return token.value

    def _read(self) -> None:
        run = self._run
        if run is None:
            raise StopIteration
        try:
            self._ready.extend(run.read())
        except StopIteration as error:
            self._end()
            raise _raisable(error) from error
        except BaseException:
            self._end()
            raise
        if not self._ready:
            self.close()
            raise StopIteration

    def close(self) -> None:
        """End the run, if it has not ended: nothing of it is left.

        :raises BaseException: a stage's teardown raised it.
        """
        run = self._end()
        if run is not None and run.error is not None:
            raise _raisable(run.error)

    def _end(self) -> Run | None:
        run, self._run = self._run, None
        self._ready.clear()
        if run is not None:
            run.close()
        return run

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._end()

    def __del__(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.close_soon()


def _raisable(error: BaseException) -> BaseException:
    """The error; a StopIteration would end a loop as if all were well, so another stands for it."""
    if not isinstance(error, StopIteration):
        return error
    raisable = RuntimeError(f"a stage of a pipe raised {error!r}")
    for note in getattr(error, "__notes__", ()):
        put_note(raisable, note)
    raisable.__cause__ = error
    return raisable


async def _results_async(pipe: Pipe) -> AsyncIterator[Any]:
    """The results of a run whose coroutine stages run on the calling event loop."""
    loop = asyncio.get_running_loop()
    there = asyncio.Event()
    run = pipe._start(loop)  # noqa: SLF001 - the pipe's own generator
    run.on_news = lambda: _call(loop, there.set)
    try:
        while True:
            there.clear()
            tokens = run.read(may_wait=False)
            if not tokens:
                if run.flow.outlet.is_over:
                    break
                await there.wait()
                continue
            for token in tokens:
                if token.error is not None:
                    raise _raisable(token.error)
                yield token.value
    finally:
        await _close_async(run, loop)
    if run.error is not None:
        raise run.error


async def _close_async(run: Run, loop: asyncio.AbstractEventLoop) -> None:
    """End a run without holding up the loop, on which a part of it may live."""
    run.stop()
    for executor in run.executors:
        if hasattr(executor, "wait_closed"):
            await executor.wait_closed()
    over = loop.create_future()

    def close() -> None:
        run.close()
        _call(loop, over.set_result, None)

    threading.Thread(target=close, name="poolwise-close", daemon=True).start()
    await asyncio.shield(over)


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *args: Any) -> None:
    try:
        loop.call_soon_threadsafe(function, *args)
    except RuntimeError:
        pass  # the loop has ended, and with it whoever waited


def _taker(sink: Any) -> Callable[[Any], object]:
    takers: tuple[Any, ...] = (sink, getattr(sink, "put", None))
    for take in filter(callable, takers):
        return take
    message = f"run(sink=...) needs a function or a queue, not {sink!r}"
    raise TypeError(message)
