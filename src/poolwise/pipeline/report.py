"""Report of a run, stage by stage: which one bounds it, and what widening it would bring.

The prediction is the bottleneck law: a pipe is as fast as its slowest part. A stage can do
``width / service time``, all of them together what the CPUs can (and, of what holds the GIL in this
process, what one CPU can).
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from poolwise.quantities import say_bytes, say_seconds, say_share
from poolwise.record import record
from poolwise.system.cpus import is_free_threaded

if TYPE_CHECKING:
    from poolwise.pipeline.flow import Stage
    from poolwise.pipeline.run import Run
    from poolwise.pipeline.tuner import Choice

_BUSY = 0.7
"""A stage whose workers are busy for this share of the time is what the others wait for."""

_CPU_BUSY = 0.85

_GAIN = 1.05
"""Less than this is not worth a sentence."""

_MOST_GAIN = 16.0
"""Note that a bound unknown here holds where the law promises more."""

_WAITED = 0.5


@record
class StageReport:
    """One stage of a run.

    :param host: the stage in whose workers it ran, if that is another one; times are then there.
    :param rate: items a second.
    :param service_s: mean time of an item in a worker; ``p50_s``, ``p90_s``, ``p99_s`` of the
        latest 512.
    :param busy: share of its workers' time; ``starved`` they had nothing to do, ``blocked`` there
        was no room for results.
    :param ready: share of the time in which the next stage did not wait for it.
    :param waiting_bytes: of the items that wait for it.
    :param capacity: source items a second that it can do as it is (None: not known).
    :param cpu_s: CPU seconds for a source item.
    """

    name: str
    kind: str
    workers: int
    host: str | None
    items: int
    dropped: int
    failed: int
    rate: float
    service_s: float
    p50_s: float
    p90_s: float
    p99_s: float
    busy: float
    starved: float
    blocked: float
    ready: float
    waiting: int
    waiting_bytes: int
    capacity: float | None
    cpu_s: float


class PipeReport:
    """Report of one run; ``print`` it, or read its fields.

    ``stages`` are :class:`StageReport`, ``verdict`` says what bounds the run, ``choices`` what was
    chosen and why, ``headspace`` how many times faster the run would be, by the bottleneck law, if
    a stage cost nothing, by the stage's name.
    """

    def __init__(  # noqa: PLR0913 - what is known of a run
        self, seconds: float, cpus: int, rate: float, stages: list[StageReport],
        choices: list[Choice], peak_bytes: int,
    ) -> None:  # fmt: skip
        self.seconds = seconds
        self.cpus = cpus
        self.rate = rate
        self.stages = stages
        self.choices = choices
        self.peak_bytes = peak_bytes
        bounds = Bounds(stages[1:], cpus)
        self.verdict = _judge(self, bounds)
        self.headspace = {
            each.name: bounds.gain_without(each) for each in stages[1:] if each.capacity is not None
        }

    @classmethod
    def of(cls, run: Run) -> PipeReport:
        """The report of a run, until now or until its end."""
        with run:
            now_ns = run.ended_ns or time.perf_counter_ns()
            seconds = max(1e-9, (now_ns - run.begun_ns) / 1e9)
            flow = run.flow
            count = flow.source.counts.done
            stages = [_report_on(stage, seconds, count) for stage in flow.stages[:-1]]
            return cls(
                seconds, run.cpus, count / seconds, stages, list(run.tuner.choices),
                flow.budget.peak_bytes,
            )  # fmt: skip

    def to_plain(self) -> dict[str, Any]:
        """Plain data of the whole report."""
        return {
            "seconds": self.seconds,
            "cpus": self.cpus,
            "rate": self.rate,
            "verdict": self.verdict,
            "headspace": self.headspace,
            "peak_bytes": self.peak_bytes,
            "stages": [_plain(stage) for stage in self.stages],
            "choices": [_plain(choice) for choice in self.choices],
        }

    def __str__(self) -> str:
        facts = (
            f"{say_seconds(self.seconds)}, {self.rate:.0f} source items a second, "
            f"{self.cpus} CPUs, {say_bytes(self.peak_bytes)} between stages at most"
        )
        lines = [
            self.verdict,
            facts,
            "",
            *_table(self.stages),
        ]
        if self.choices:
            lines += ["", "Chosen:"]
            lines += [
                f"  {say_seconds(each.at_s):>7}  {each.stage}: {each.what} ({each.why})"
                for each in self.choices
            ]
        return "\n".join(lines)


class Bounds:
    """Bounds on the rate of a run: each stage, the CPUs, the GIL."""

    def __init__(self, stages: list[StageReport], cpus: int) -> None:
        self._stages = [each for each in stages if each.capacity is not None]
        self._cpus = cpus

    def of_cpus(self, left_out: StageReport | None = None) -> float:
        """Source items a second that the CPUs can do; the GIL's share among them."""
        stages = [each for each in self._stages if each is not left_out]
        bound = math.inf
        if (total := sum(each.cpu_s for each in stages)) > 0:
            bound = self._cpus / total
        here = sum(each.cpu_s for each in stages if each.kind != "process")
        return min(bound, 1 / here) if here and not is_free_threaded() else bound

    def of_others(self, stage: StageReport) -> float:
        """Source items a second that all other stages can do."""
        capacities = (each.capacity for each in self._stages if each is not stage)
        return min((each for each in capacities if each is not None), default=math.inf)

    def rate(self) -> float:
        """Source items a second by the bottleneck law."""
        capacities = (each.capacity for each in self._stages)
        return min(self.of_cpus(), min((c for c in capacities if c is not None), default=math.inf))

    def gain_without(self, stage: StageReport) -> float:
        """Headspace: how many times faster all would be if the stage cost nothing."""
        return _ratio(min(self.of_others(stage), self.of_cpus(stage)), self.rate())

    def gain_of_widening(self, stage: StageReport) -> float:
        """Gain: how many times faster all would be if only the stage were wide enough."""
        return _ratio(min(self.of_others(stage), self.of_cpus()), stage.capacity or math.inf)


def _ratio(better: float, now: float) -> float:
    return better / now if math.isfinite(now) and now > 0 else 1.0


def _report_on(stage: Stage, seconds: float, source_items: int) -> StageReport:
    counts = stage.counts
    times = sorted(counts.times)
    total_ns = max(1.0, counts.busy_ns + counts.starved_ns + counts.blocked_ns)
    service_s = counts.busy_ns / counts.done / 1e9 if counts.done else 0.0
    visits = counts.done / source_items if source_items else 0.0
    capacity = None
    if service_s and visits and stage.host is None and stage.index:
        capacity = stage.width / (service_s * visits)
    after = stage.next.counts
    after_ns = max(1.0, after.busy_ns + after.starved_ns + after.blocked_ns)
    return StageReport(
        "source" if stage.spec is None else stage.spec.name,
        _kind_of(stage),
        stage.width if stage.index else 1,
        None if stage.host is None else _name(stage.host),
        counts.done,
        counts.dropped,
        counts.failed,
        counts.done / seconds,
        service_s,
        _percentile(times, 0.5),
        _percentile(times, 0.9),
        _percentile(times, 0.99),
        counts.busy_ns / total_ns,
        counts.starved_ns / total_ns,
        counts.blocked_ns / total_ns,
        1 - after.starved_ns / after_ns,
        len(stage.waiting),
        sum(token.size for token in stage.list_tokens()),
        capacity,
        counts.cpu_ns / 1e9 / source_items if source_items else 0.0,
    )


def _kind_of(stage: Stage) -> str:
    if stage.executor is None:
        return "inline"
    return "inline" if stage.host is not None else stage.executor.kind


def _name(stage: Stage) -> str:
    return "source" if stage.spec is None else stage.spec.name


def _percentile(times: list[int], share: float) -> float:
    return times[min(len(times) - 1, int(len(times) * share))] / 1e9 if times else 0.0


def _judge(report: PipeReport, bounds: Bounds) -> str:
    stages = [each for each in report.stages[1:] if each.capacity is not None]
    if not stages:
        return "The source: no stage has anything to do but pass items on."
    used = sum(each.cpu_s for each in stages) * report.rate / report.cpus
    widest = max(stages, key=lambda each: each.busy)
    if used >= _CPU_BUSY:
        cores = {1: "the CPU is", 2: "both CPUs are"}.get(
            report.cpus, f"all {report.cpus} CPUs are"
        )
        return f"CPU: {cores} busy, no width helps."
    if widest.busy >= _BUSY:
        return _judge_stage(widest, bounds)
    if stages[0].starved >= _WAITED and stages[0].starved >= stages[-1].blocked:
        return f"The source: the stages wait for it {say_share(stages[0].starved)} of their time."
    if stages[-1].blocked >= _WAITED:
        return (
            "The consumer: results wait to be read, the last stage was blocked "
            f"{say_share(stages[-1].blocked)} of its time."
        )
    return (
        f"No stage bounds it alone; the busiest is {widest.name} ({say_share(widest.busy)} busy)."
    )


def _judge_stage(stage: StageReport, bounds: Bounds) -> str:
    gain = bounds.gain_of_widening(stage)
    if stage.kind == "process":
        return f"{stage.name}: all of its {stage.workers} processes are busy, others wait for it."
    if gain < _GAIN:
        return f"{stage.name}: its workers are busy, and so is what would be busy next."
    gain = min(gain, _MOST_GAIN)
    wanted = math.ceil(stage.workers * gain)
    return f"{stage.name}: {stage.workers} to {wanted} workers gives {gain:.1f}x."


_HEAD = (
    "stage", "where", "items", "a second", "mean", "P50", "P90", "P99", "busy", "starved",
    "blocked", "waiting",
)  # fmt: skip


def _table(stages: list[StageReport]) -> list[str]:
    rows = [_HEAD, *(_row(stage) for stage in stages)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_HEAD))]
    return [
        "  ".join(
            cell.ljust(width) if at < 2 else cell.rjust(width)  # noqa: PLR2004 - words, then numbers
            for at, (cell, width) in enumerate(zip(row, widths))  # noqa: B905 - equally long
        ).rstrip()
        for row in rows
    ]


def _row(stage: StageReport) -> tuple[str, ...]:
    waiting = f"{stage.waiting}" + (f", {say_bytes(stage.waiting_bytes)}" * bool(stage.waiting))
    if stage.host is not None:
        return (stage.name, f"with {stage.host}", *[""] * 10)
    where = stage.kind if stage.kind in {"inline", "source"} else f"{stage.kind} x{stage.workers}"
    counts = (stage.name, where, f"{stage.items}", f"{stage.rate:.0f}")
    if not stage.service_s:
        return (*counts, *[""] * 7, waiting)
    times = (stage.service_s, stage.p50_s, stage.p90_s, stage.p99_s)
    shares = (stage.busy, stage.starved, stage.blocked)
    return (*counts, *map(say_seconds, times), *map(say_share, shares), waiting)


def _plain(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__}
