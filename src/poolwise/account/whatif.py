"""Predicts a pool's calls with other workers, chunk sizes or kinds, from the account of one run.

A model is calibrated from the account: items as the newest chunks show them, what computed and what
waited in all, costs of messages. The pool's own scheduling code then runs them in simulated time
(:mod:`poolwise.simulation`). First it is asked for the run itself. Where workers waited for CPUs,
it gets less of them until that explains the time; what is still missing scales all predictions,
and widens their band.

`python -m benchmarks.whatif` measures how far predictions are off.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from poolwise.quantities import say_seconds
from poolwise.simulation.pool import Overheads, makespan_ns
from poolwise.system import figures

if TYPE_CHECKING:
    from poolwise.account.ledger import ChunkSpan, Report

KINDS = ("processes", "threads", "serial")
"""Kinds of workers that a prediction can be asked for."""


@dataclass(frozen=True)
class Forecast:
    """The predicted time of a pool's calls, with a band around it.

    :param chunksize: None where chunks size themselves.
    :param now_s: what the calls took in the run that this comes from.
    :param notes: what the prediction takes for granted.
    """

    workers: int
    chunksize: int | None
    kind: str
    seconds: float
    low_s: float
    high_s: float
    now_s: float
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        chunks = f", chunksize={self.chunksize}" if self.chunksize else ""
        workers = name_workers(self.kind, self.workers)
        band = f"{say_seconds(self.low_s)} to {say_seconds(self.high_s)}"
        said = f"{workers}{chunks}: {say_seconds(self.seconds)} ({band})"
        return f"{said}, now {say_seconds(self.now_s)}" + "".join(f"; {n}" for n in self.notes)


def name_workers(kind: str, count: int) -> str:
    """The workers in few words."""
    if kind == "serial":
        return "a plain loop"
    noun = {"processes": "process", "threads": "thread"}[kind]
    return f"1 {noun}" if count == 1 else f"{count} {kind}"


@dataclass(frozen=True)
class Call:
    """Items of one call in input order: what each computes and waits, in ns."""

    cpu_ns: Sequence[int]
    blocked_ns: Sequence[int]


@dataclass(frozen=True)
class Model:
    """The calls of one pool, ready to be asked for what they were not.

    :param calls: some of them, evenly chosen; `scale` times their time is that of all.
    :param unit: the explicit chunksize of the run; None where chunks sized themselves.
    :param parent_s: what the parent did for its workers, in all.
    :param is_in_turn: each task was submitted when the one before it was done.
    :param granted_cpus: what other programs left of the CPUs. Groups of processes have their shares
        of a machine, however many are in a group: more workers do not get more.
    :param grain: number of items that are simulated as one, where there are very many.
    """

    calls: Sequence[Call]
    scale: float
    kind: str
    workers: int
    cpus: int
    unit: int | None
    overheads: Overheads
    now_s: float
    parent_s: float
    grain: int = 1
    is_gil_bound: bool = False
    is_in_turn: bool = False
    granted_cpus: float = math.inf

    @cached_property
    def factor(self) -> float:
        """The observed time, as a multiple of what the model says of the same settings."""
        return self.now_s / max(1e-9, self._simulate_s(self.workers, self.unit, self.kind))

    @property
    def work_s(self) -> tuple[float, float]:
        """Seconds that all items compute, and wait."""
        cpu_ns = sum(sum(call.cpu_ns) for call in self.calls)
        blocked_ns = sum(sum(call.blocked_ns) for call in self.calls)
        return cpu_ns / 1e9 * self.scale, blocked_ns / 1e9 * self.scale

    def ask(
        self,
        workers: int | None = None,
        chunksize: int | str | None = None,
        kind: str | None = None,
    ) -> Forecast:
        """The prediction for these settings; as it was where not given.

        :param chunksize: "auto" has chunks size themselves.
        :raises ValueError: a setting makes no sense.
        """
        kind = check_kind(kind or self.kind)
        unit = self.unit if chunksize is None else check_chunksize(chunksize)
        number = check_number("workers", self.workers if workers is None else workers)
        if kind == "serial":
            number, unit = 1, None
        seconds = self._predict_s(number, unit, kind)
        width = self._width(number, kind)
        low_s, high_s = seconds * (1 - width), seconds * (1 + width)
        notes = tuple(self._list_notes(kind))
        return Forecast(number, unit, kind, seconds, low_s, high_s, self.now_s, notes)

    def _predict_s(self, workers: int, unit: int | None, kind: str) -> float:
        if kind == "serial":
            return self.serial_s
        raw_s = self._simulate_s(workers, unit, kind)
        return raw_s * _bounded(self.factor)

    @property
    def serial_s(self) -> float:
        """A plain loop, on the CPU that others leave for it."""
        cpu_s, blocked_s = self.work_s
        return cpu_s / min(1.0, self.granted_cpus) + blocked_s

    def _simulate_s(self, workers: int, unit: int | None, kind: str) -> float:
        overheads = self._overheads_of(kind)
        overheads = replace(overheads, item_ns=overheads.item_ns * self.grain)
        if self.is_in_turn:
            workers, unit = 1, None
        unit = unit and -(-unit // self.grain)
        # Threads that compute take turns: they share one CPU.
        cpus = min(self.granted_cpus, 1 if kind == "threads" else self.cpus)
        each_ns = (
            makespan_ns(call.cpu_ns, call.blocked_ns, workers, cpus, overheads, unit)
            for call in self.calls
        )
        return sum(each_ns) / 1e9 * self.scale

    def _overheads_of(self, kind: str) -> Overheads:
        """Costs of messages: as observed, or of another kind as measured on this machine."""
        if kind == self.kind:
            return self.overheads
        known = figures.known()
        if kind == "threads":
            half_ns = round(known.thread_chunk_s * 5e8)
            return Overheads(half_ns, half_ns, 100, half_ns // 2)
        half_ns = round(known.chunk_s * 5e8)
        return Overheads(half_ns, half_ns, round(known.item_s * 1e9))

    def _width(self, workers: int, kind: str) -> float:
        """Half width of the band, as a share of the prediction."""
        misfit = min(0.5, abs(math.log(max(self.factor, 1e-3)))) / 2
        moving = 0.2 * min(1.0, self.parent_s / max(self.now_s, 1e-9))
        change = 0.15 if kind != self.kind else 0.0
        further = 0.05 if workers > self.cpus else 0.0
        unsure = 0.25 if self.is_gil_bound and kind != self.kind else 0.0
        # What others leave the next time is anybody's guess (`benchmarks/whatif.py`, beside them).
        denied = max(0.0, 1 - self.granted_cpus / min(self.workers, self.cpus)) / 2
        return min(0.9, 0.1 + misfit + moving + change + further + unsure + denied)

    def _list_notes(self, kind: str) -> Iterable[str]:
        if self.is_in_turn:
            yield "each task was submitted when the one before it was done"
        if kind == self.kind:
            return
        if kind == "threads":
            yield "if the function holds the GIL while it computes"
        if kind == "processes":
            yield "with workers that are there already"
        if self.is_gil_bound:
            yield "threads that wait for the GIL look like threads that wait for a device"


def _bounded(factor: float) -> float:
    """A model that is off by more than this is off for a reason that will not stay the same."""
    return min(2.0, max(0.5, factor))


def check_number(name: str, value: object) -> int:
    """A setting that has to be a whole number of 1 or more.

    :raises ValueError: it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        message = f"{name} must be a whole number of 1 or more, not {value!r}"
        raise ValueError(message)
    return value


def check_chunksize(value: object) -> int | None:
    """A chunksize; None for "auto".

    :raises ValueError: it is something else.
    """
    return None if value == "auto" else check_number("chunksize", value)


def check_kind(kind: str) -> str:
    """A kind of workers.

    :raises ValueError: it is something else.
    """
    if kind not in KINDS:
        message = f"kind must be one of {', '.join(KINDS)}, not {kind!r}"
        raise ValueError(message)
    return kind


# -- calibration


def calibrate(report: Report) -> Model:
    """The model of a pool's calls.

    :raises ValueError: its account does not say what items cost.
    """
    if not report.items or not report.open_s > 0 or not report.functions:
        message = "nothing can be predicted from this report: no task has been run in it"
        raise ValueError(message)
    if report.level == "off" or not report.spans:
        message = (
            "nothing can be predicted from this report: its ledger was off, so it does not say "
            "what items cost"
        )
        raise ValueError(message)
    _check_numbers(report)
    # A chunk that was given back whole has a span as well.
    report = replace(report, spans=tuple(span for span in report.spans if span.items))
    kind = "threads" if report.backend in {"threads", "serial"} else "processes"
    model = Model(
        calls=(), scale=1.0, kind=kind, workers=max(1, report.workers), cpus=max(1, report.cpus),
        unit=_find_unit(report.spans), overheads=_find_overheads(report), now_s=report.open_s,
        parent_s=_parent_busy_s(report),
    )  # fmt: skip
    cpu_s, blocked_s = _find_work_s(report)
    is_gil_bound = kind == "threads" and cpu_s > 0.7 * report.open_s
    if is_gil_bound:
        blocked_s = 0.0
    # So many are simulated in some tens of milliseconds; within a chunk they are alike anyway.
    grain = -(-sum(span.items for span in report.spans) // 200_000)
    calls, scale = _find_calls(report, cpu_s, blocked_s, grain)
    found = replace(
        model, calls=calls, scale=scale, grain=grain, is_gil_bound=is_gil_bound,
        is_in_turn=_is_in_turn(report.spans),
    )  # fmt: skip
    return _fit_granted(found, report)


def _is_in_turn(spans: Sequence[ChunkSpan]) -> bool:
    """True if single calls never ran side by side: then more workers have nothing to do."""
    ordered = sorted((span.begun_s, span.ended_s) for span in spans)
    are_apart = all(before[1] <= after[0] for before, after in pairwise(ordered))
    return are_apart and len(ordered) > 1 and all(span.site is None for span in spans)


def _check_numbers(report: Report) -> None:
    """Refuse an account that was damaged on its way.

    :raises ValueError: its numbers make no sense.
    """
    totals = [report.open_s, *(each.cpu_s + each.run_s for each in report.functions)]
    moments = [span.cpu_s + span.queued_s + _steps_of(span) for span in report.spans]
    counts = [span.items for span in report.spans]
    # Tasks that are run again after a death count twice.
    are_counts = min(counts) >= 0 and 0 < sum(counts) <= 10 * report.items
    if not are_counts or not all(map(math.isfinite, totals + moments)):
        message = "nothing can be predicted from this report: numbers in it make no sense"
        raise ValueError(message)


def _find_work_s(report: Report) -> tuple[float, float]:
    cpu_s = sum(each.cpu_s for each in report.functions)
    run_s = sum(each.run_s for each in report.functions)
    queued_s = sum(each.queued_s for each in report.functions)
    return cpu_s, max(0.0, run_s - cpu_s - queued_s)


def _find_calls(
    report: Report, cpu_s: float, blocked_s: float, grain: int
) -> tuple[list[Call], float]:
    """Some of the calls, whose items together have their part of all work; and how many that are.

    What computed and what waited is exact in all, and of a single chunk hardly known.
    """
    by_call = [
        list(spans)
        for _, spans in groupby(sorted(report.spans, key=_place_of), key=lambda span: span.job)
    ]
    # More calls would be simulated for seconds; these stand for all.
    chosen = by_call[:: max(1, len(by_call) // 12)]
    series = [_find_times(spans, grain) for spans in chosen]
    scale = report.items / (grain * sum(map(len, series)))
    whole_s = math.fsum(map(math.fsum, series)) * scale or 1.0
    cpu_ns, blocked_ns = cpu_s / whole_s * 1e9, blocked_s / whole_s * 1e9
    return [
        Call(
            [round(each * cpu_ns) for each in times],
            [round(each * blocked_ns) for each in times],
        )
        for times in series
    ], scale


def _place_of(span: ChunkSpan) -> tuple[int, int]:
    return span.job, span.first


def _find_times(spans: Sequence[ChunkSpan], grain: int) -> list[float]:
    """Seconds of each item of a call, or of so many at once.

    Those of a chunk are alike, and those that were not seen are the mean.
    """
    known = sum(span.items for span in spans)
    mean_s = math.fsum(map(_time_of, spans)) / known or 1e-9
    first = spans[0].first
    times: list[float] = []
    for span in spans:
        # Of a call whose oldest chunks were dropped, the rest stands for the whole.
        missing = (span.first - first) // grain - len(times)
        if 0 < missing * grain <= known:
            times += [mean_s * grain] * missing
        count = max(1, round(span.items / grain))
        times += [max(_time_of(span), 1e-9) / count] * count
    return times


def _time_of(span: ChunkSpan) -> float:
    """Seconds in the function, without those in which no CPU was granted."""
    return max(span.cpu_s, span.ended_s - span.begun_s - span.queued_s, 0.0)


def _find_unit(spans: Sequence[ChunkSpan]) -> int | None:
    """An explicit chunksize: what all chunks but the last are multiples of.

    Chunks that size themselves begin with one item.
    """
    firsts = [span.items for span in spans if span.first == 0]
    if not firsts or min(firsts) <= 1:
        return None
    starts = [span.first for span in spans]
    divisor = math.gcd(*starts)
    return divisor if divisor > 1 else None


def _find_overheads(report: Report) -> Overheads:
    """Costs of messages in this run.

    The parent's are means; of the workers' the lower quartile counts, because steps of microseconds
    contain waits for a CPU.
    """
    parent, chunks = report.parent, max(1, report.chunks)
    is_heavy = (report.bytes_out + report.bytes_in) / chunks > 1 << 16
    moving_s = sum(parent.get(step, 0.0) for step in ("send", "receive", "decide"))
    packing_s = sum(parent.get(step, 0.0) for step in ("pickle", "unpickle", "produce"))
    packing_s += parent.get("user_code", 0.0) if _is_held_up(report) else 0.0
    steps = sorted(_steps_of(span) for span in report.spans if _steps_of(span) > 0) or [0.0]
    lane_s = statistics.quantiles(steps, n=4)[0] if len(steps) > 1 else steps[0]
    most_s = 10 * moving_s if is_heavy else 3e-4  # beside others it contains waits for a CPU
    half_ns = round(min(moving_s / chunks, most_s) * 5e8)
    return Overheads(
        send_ns=half_ns,
        receive_ns=half_ns,
        item_ns=round(packing_s / max(1, report.items) * 1e9),
        lane_ns=round(lane_s * 1e9),
        start_ns=round(_find_start_s(report) * 1e9),
    )


def _steps_of(span: ChunkSpan) -> float:
    """Cost of a chunk to its worker, beside the function."""
    return (span.begun_s - span.arrived_s) + (span.sent_s - span.ended_s)


def _is_held_up(report: Report) -> bool:
    """Workers waited for the program's own code, which reads the results."""
    waited_s = report.idle.get("consumer_slow", 0.0) + report.idle.get("parent_user_code", 0.0)
    return waited_s > 0.05 * report.workers * report.open_s


def _find_start_s(report: Report) -> float:
    """Time of a start for which a call waited; 0 if workers were there before it."""
    began_s = min((span.arrived_s for span in report.spans), default=0.0)
    starts = [
        lane.ready_s - lane.born_s
        for lane in report.lanes
        if lane.ready_s is not None and lane.lanes == 1
    ]
    ready = [lane.ready_s for lane in report.lanes if lane.ready_s is not None]
    at_once_s = 0.005  # a call that begins so soon had waited for its workers
    is_waited_for = bool(ready) and began_s - min(ready) < at_once_s
    return statistics.median(starts) if starts and is_waited_for else 0.0


def _parent_busy_s(report: Report) -> float:
    beside = {"user_code", "wait", "no_job", "unexplained", "produce"}
    return sum(value for name, value in report.parent.items() if name not in beside)


def _fit_granted(model: Model, report: Report) -> Model:
    """Less CPU, as far as workers waited for CPUs and it explains the time."""
    account = report.worker_account
    queued_s = account.get("run_queued", 0.0) + report.idle.get("cpu_not_granted", 0.0)
    at_work_s = queued_s + account.get("run_cpu", 0.0)
    hardly_any = 1.05
    if model.factor <= hardly_any or queued_s < 0.1 * at_work_s:
        return model
    low, high, tried = 0.02, float(model.cpus), [model]
    for _ in range(8):
        middle = math.sqrt(low * high)
        tried.append(replace(model, granted_cpus=middle))
        low, high = (low, middle) if tried[-1].factor > 1 else (middle, high)
    return min(tried, key=lambda each: abs(math.log(max(each.factor, 1e-9))))
