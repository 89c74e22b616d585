"""Process stages: one pool of worker processes for all of them, a job each.

What neighbouring process stages pass to each other stays in the worker: they are one visit. Bytes
of large arrays travel through the pool's arena, as in every pool.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from poolwise import errors
from poolwise.core.contract import InputEnded, JobDropped, JobPosted
from poolwise.core.job import MAP, Fed, Function
from poolwise.doors.base import Door
from poolwise.doors.future import FutureSink
from poolwise.options import PoolOptions, TaskRules
from poolwise.pipeline.steps import DROPPED, Cut, Visit, Worker
from poolwise.wire.failures import decode
from poolwise.wire.pickling import dumps_function

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

    from poolwise.core.job import Chunk, Job, News
    from poolwise.pipeline.flow import Stage, Token
    from poolwise.pipeline.run import Run

_PATIENCE_S = 5.0
"""Workers whose stages want a teardown have so long for it when a run is broken off."""


class Lanes(Door):
    """The worker processes of a run, at most as many as it may use CPUs."""

    def __init__(self, workers: int, context: BaseContext | str | None) -> None:
        self.workers = workers
        self._open(PoolOptions.of(workers, context, None, (), None, {}), FutureSink())
        self._jobs: set[Job] = set()

    def open_job(self, function: Worker, rules: TaskRules, sink: Any) -> tuple[Job, Fed]:
        """A job whose items are put into its source one by one."""
        source = Fed()
        job = self._make_job(
            Function(function), MAP, source, sink, unit=None, rules=rules, is_stream=True
        )
        self._jobs.add(job)
        self._engine.post(JobPosted(job))
        return job, source

    def kick(self) -> None:
        """Items were put in. Not under the run's lock: the pool may deliver at once."""
        try:
            self._engine.kick()
            self._engine.ensure_background()
        except errors.PoolwiseError:
            pass  # it was ended in this moment, and its jobs have been told

    def end_job(self, job: Job) -> None:
        """No more items will come for it."""
        try:
            self._engine.post(InputEnded(job))
        except errors.PoolwiseError:
            pass

    def drop_job(self, job: Job) -> None:
        """Begin nothing more of it: the pool may be that of a run which goes on."""
        self._jobs.discard(job)
        self._engine.post_from_finalizer(JobDropped(job))

    def close(self, *, is_early: bool, is_gentle: bool) -> None:
        """End the workers.

        :param is_early: items may be under way.
        :param is_gentle: let workers finish what they have begun, and tear down.
        """
        try:
            if (not is_early or is_gentle) and self._end_gently(is_early=is_early):
                return
            self._engine.terminate(errors.PoolTerminated("the pipe was ended"))
        except errors.PoolwiseError:
            pass  # the interpreter ends and has ended it, or this is a forked child

    def _end_gently(self, *, is_early: bool) -> bool:
        for job in self._jobs:
            self._engine.enqueue(JobDropped(job))
        self._submitted.end()
        self._engine.close()
        return self._engine.join(_PATIENCE_S if is_early else None)


class Processes:
    """Executor of a stage whose visits run in worker processes."""

    kind = "process"

    def __init__(self, run: Run, stage: Stage, lanes: Lanes) -> None:
        self._run = run
        self._stage = stage
        self._lanes = lanes
        self._is_stopped = self._is_retired = False
        self.pending: dict[int, Token] = {}
        self._count = 0
        self._is_limited = stage.width < lanes.workers
        self._visit = visit = run.make_visit(stage)
        self._through = stage.index + len(visit.steps)
        self._is_single = visit.is_single
        spec = stage.spec
        rules = TaskRules() if spec is None else TaskRules(spec.timeout_s, spec.retry.times)
        self._function = Worker(visit, has_one=visit.is_single)
        self._rules = rules
        self._job: Job | None = None
        self._source: Fed | None = None
        self.has_teardown = any(step.teardown is not None for step in visit.steps)

    def open(self) -> None:
        """Post the job; not under the run's lock.

        :raises TypeError: a function of it cannot be pickled.
        """
        unpicklable = find_unpicklable(self._visit)
        if unpicklable is not None:
            at, why = unpicklable
            spec = self._run.flow.stages[at].spec
            name = "" if spec is None else spec.name
            message = (
                f"stage {name!r}: its function cannot be pickled ({why}), so it cannot run in "
                "another process. Let it hold nothing like locks, files or connections (make them "
                "with setup=), or give it kind='thread'"
            )
            raise TypeError(message) from why
        self._job, self._source = self._lanes.open_job(self._function, self._rules, StageSink(self))

    # -- under the run's lock

    def notice(self) -> None:
        self._run.has_dirty(self)

    def feed(self) -> None:
        """Hand the pool what may be begun."""
        source = self._source
        if self._is_stopped or self._is_retired or source is None or not self._stage.waiting:
            return
        tokens = self._stage.take(self._free(), self._run.flow.clock())
        for token in tokens:
            token.through = self._through  # the stage may host more by now than this job does
            self.pending[self._count] = token
            self._count += 1
            source.items.append((token.number, token.value))
            source.count_fed += 1
        if tokens:
            self._run.wants_kick(self._lanes.kick)
        if self._stage.waiting and self._stage.allowed_ns:
            self._run.wants_tick()

    def _free(self) -> int:
        if self._stage.spec is not None and self._stage.spec.rate:
            return 1
        if self._is_limited:
            return self._stage.width - len(self.pending)
        return len(self._stage.waiting)

    def end(self) -> None:
        source, job = self._source, self._job
        if source is not None and job is not None:
            source.end()
            self._run.wants_kick(lambda: self._lanes.end_job(job))

    def retire(self) -> None:
        self._is_retired = True
        self.end()

    def stop(self) -> None:
        self._is_stopped = True
        if self._source is not None:
            self._source.stop()

    def join(self, patience_s: float | None) -> None:
        """Drop the job; what was handed out is waited for at the end of the pool, if at all."""
        if self._job is not None:
            self._lanes.drop_job(self._job)

    # -- what the pool asks and tells; under its leader lock

    def room(self, job: Job) -> int | None:
        return None

    def deliver(
        self, chunk: Chunk, first: int, values: Sequence[Any], errors: dict[int, BaseException]
    ) -> News:
        at, stage, run = chunk.start + first, self._stage, self._run
        failed: list[tuple[Token, BaseException, list[Any]]] = []
        with run:
            for offset, value in enumerate(values):
                token = self.pending.pop(at + offset, None)
                if token is None or self._is_stopped:
                    continue
                if offset in errors:
                    failed.append((token, errors[offset], []))
                elif isinstance(value, Cut):
                    failed.append((token, decode(value.failure), value.made))
                elif self._is_single:
                    stage.finish(token, DROPPED if value is DROPPED else value)
                else:
                    stage.finish_many(token, value)
            sizer = chunk.job.sizer
            if sizer.item_ns is not None:
                run.measured_elsewhere(stage, len(values), sizer.item_ns)
            run.has_dirty(self)
        return [lambda: self._judge(failed)] if failed else ()

    def _judge(self, failed: list[tuple[Token, BaseException, list[Any]]]) -> Callable[[], object]:
        """Handlers are the program's own, so they are called back as callbacks of the pool are."""

        def call_back() -> None:
            try:
                for each in failed:
                    self._fail(*each)
            except BaseException as raised:
                self._run.abort(raised, self._stage)

        return call_back

    def _fail(self, token: Token, error: BaseException, made: list[Any]) -> None:
        stage, run = self._stage, self._run
        at, _ = run.place_of(error, stage, token)
        value, raised = run.judge(at, token, error, token.value if at is stage else None)
        with run:
            if raised is not None:
                stage.fail(token, raised, made)
            elif self._is_single:
                stage.finish(token, value)
            else:
                stage.finish_many(token, made if value is DROPPED else [*made, value])
            run.has_dirty(self)  # there is room for another one

    def end_of_job(self, error: BaseException | None) -> None:
        """The pool could not go on."""
        if error is not None and not self._is_stopped:
            self._run.abort(error, self._stage)


def find_unpicklable(visit: Visit) -> tuple[int, BaseException] | None:
    """The first stage of a visit whose function cannot travel, and why; None if all can."""
    for step in visit.steps:
        try:
            dumps_function(Worker(Visit([step]), has_one=True))
        except Exception as error:
            return step.stage, error
    return None


class StageSink:
    """The pool's view of a process stage."""

    def __init__(self, executor: Processes) -> None:
        self._executor = executor
        self.deliver = executor.deliver
        self.room = executor.room

    def end(self, error: BaseException | None) -> News:
        """The job has ended."""
        self._executor.end_of_job(error)
        return ()
