"""Common part of the pool and the executor: an engine, its options, and the jobs they make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from poolwise.backends.choose import (
    Style,
    limits_of_timed,
    open_engine,
    open_intake,
)
from poolwise.core.contract import JobPosted
from poolwise.core.job import (
    CALL_PROMPT_NS,
    CALLS,
    STREAM_PROMPT_NS,
    Function,
    Job,
    Submitted,
    no_call,
)
from poolwise.core.signals import DEFER_UNTIL_ASSIGNED
from poolwise.doors.site import find_site

if TYPE_CHECKING:
    from collections.abc import Callable

    from poolwise.backends.intake import SharedIntake
    from poolwise.core.contract import Backend
    from poolwise.core.engine import Engine
    from poolwise.core.job import Sink, Source
    from poolwise.options import PoolOptions, ProgressKind, TaskRules
    from poolwise.report.live.board import Shown
    from poolwise.report.pool import Report


class Door:
    """Base of the public interfaces. Its users call :meth:`_open` first of all."""

    _style = Style()
    _engine: Engine
    _intake: SharedIntake

    def _open(self, options: PoolOptions, sink: Sink) -> None:
        """Open the engine.

        :param sink: of the job of all calls that are submitted one by one.
        """
        self._options = options
        self._submitted = Submitted()
        with DEFER_UNTIL_ASSIGNED:
            self._engine = open_engine(options, self._style)
        self._limits = self._engine.backend.limits
        self._calls = self._make_job(Function(no_call), CALLS, self._submitted, sink, unit=1)
        self._are_calls_shown = options.progress is None
        self._engine.enqueue(JobPosted(self._calls))
        self._intake = open_intake(self._engine)
        self._engine.watch(self, self._submitted)

    def _make_job(  # noqa: PLR0913 - what a call is made of
        self,
        function: Function,
        mode: int,
        source: Source,
        sink: Sink,
        *,
        unit: int | None,
        rules: TaskRules | None = None,
        prompt_ns: int = CALL_PROMPT_NS,
        is_stream: bool = False,
    ) -> Job:
        rules = rules or self._options.rules
        limits = self._limits
        if rules.task_timeout_s is not None:
            limits = limits_of_timed(self.backend)
        return Job(
            function,
            mode,
            source,
            sink,
            rules,
            lanes=self._engine.state.most_lanes,
            prompt_ns=STREAM_PROMPT_NS if is_stream else prompt_ns,
            unit=unit,
            site=None if mode == CALLS else find_site(),
            is_stream=is_stream,
            limits=limits,
        )

    def _fixed(self, func: Callable[..., Any]) -> Function:
        """A function as it is now: its call does not wait."""
        function = Function(func)
        self._intake.function(function)
        return function

    def _show_calls(self) -> None:
        """From the first single call on, show them all as one."""
        if not self._are_calls_shown:
            self._are_calls_shown = True
            self._show(self._calls, self._options.progress)

    def _show(self, job: Job, kind: ProgressKind | None) -> Shown | None:
        """Show how far the job is, if that is wanted; before the job is posted."""
        if kind is None:
            return None
        from poolwise.report.live.board import show
        from poolwise.telemetry.tally import Tally

        return show(Tally(job, self._engine.state).look, kind)

    @property
    def backend(self) -> Backend:
        """The back end that makes the workers; ``backend.promises`` says what they can do."""
        return self._engine.backend

    def statistics(self) -> dict[str, int]:
        """Counts since it was made.

        ``tasks``, ``chunks``, ``deaths`` of workers, ``retries``, ``given_back`` (items returned
        unbegun by busy workers while others were idle), ``workers`` (alive now).
        """
        return self._engine.statistics()

    def report(self) -> Report:
        """Report of where every second of workers and this process went, until now or the end.

        ``print(pool.report())`` says it in words and bars, a notebook shows it by itself, and
        ``pool.report().save("run.html")`` writes a page (``.trace.json`` a trace, ``.json`` data).
        """
        from poolwise.report.pool import Report

        return Report.of(self._engine.report())
