"""Kinds and widths of stages, chosen by measurement and by operational laws.

Kinds: a stage that nobody gave a kind runs its first items in one thread, as real work. Mostly
blocked: threads. Too small to be handed over: in the worker of the stage before. CPU that costs
more than sending the item: processes.

Widths: the rate X that the whole pipe can have is bound by the CPUs over the CPU time of an item in
all stages; a stage with service time s then needs X * s workers (Little's law), and a tenth more.
Latency may rise with load, so a stage that waits is widened in steps and checked: as long as its
rate grows by a twentieth.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from poolwise.doors.functions import name_of_written
from poolwise.pipeline.flow import LEAST_WINDOW, MOST_WINDOW, BatchStage, SourceStage, Stage
from poolwise.pipeline.measure import SEND_NS, Gauge
from poolwise.pipeline.spec import MOST_WORKERS
from poolwise.pipeline.steps import FLAT_MAP
from poolwise.pipeline.threads import TRIVIAL_NS
from poolwise.record import record
from poolwise.system.clocks import read_demand_ns
from poolwise.system.cpus import is_free_threaded

if TYPE_CHECKING:
    from poolwise.pipeline.run import Run
    from poolwise.pipeline.spec import Spec

_WINDOW_NS = 20_000_000
"""A stage may be ahead of the next one by what it does in this time: more hides no hand-over."""

_WINDOW_BYTES = 4 << 20
"""And by no more than this, unless its workers need it."""

_MOSTLY, _NEARLY_ALL = 0.5, 0.8
_FEW_ITEMS, _ENOUGH_ITEMS = 2, 8
_ENOUGH_NS, _LONG_NS = 20_000_000, 100_000_000
"""A kind is chosen when so many items were measured, or so much time."""

_CPU_FULL = 0.8
"""A process that wants so much of one CPU has threads that wait for the GIL."""

_GIL_FREE = 0.3
"""Held at less than this share of knocks: the function releases the GIL."""

_DECISIVE = 5
"""So many times more CPU than sending costs needs no more evidence."""

_FIRST_STEP = 32
"""Workers that a stage which waits begins with, at most: latency may rise with load."""

_HEADROOM, _GROWTH, _DRIFT = 1.1, 1.05, 1.3
_FIRST_PERIOD_NS, _LAST_PERIOD_NS = 10_000_000, 5_000_000_000

_MOST_CHOICES = 1000


@record
class Choice:
    """One decision, for the report.

    :param at_s: seconds since the run began.
    """

    at_s: float
    stage: str
    what: str
    why: str


class Tuner:
    """Chooses the kind and the width of each stage of a run, and says why."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.choices: list[Choice] = []
        self.gauges: dict[int, Gauge] = {}
        self._widths: dict[int, Width] = {}
        self._sampled: dict[int, Gauge] = {}
        self._counted: dict[int, tuple[int, int]] = {}
        self._looked = 0, 0, 0
        self._period_ns = _FIRST_PERIOD_NS
        self.next_ns: int | None = None

    # -- the beginning

    def begin(self) -> None:
        """Give every stage an executor; neighbours that can share a visit do."""
        run = self._run
        stages = [each for each in run.flow.stages[1:-1] if not isinstance(each, BatchStage)]
        kinds = {stage.index: self._first_kind(stage) for stage in stages}
        for stage in stages:
            self._host(stage, kinds)
        for stage in stages:
            if stage.host is None:
                self._set_out(stage, kinds[stage.index])
        if self._widths or self.gauges:
            self.next_ns = time.perf_counter_ns() + self._period_ns

    def _first_kind(self, stage: Stage) -> str:
        spec: Any = stage.spec
        if spec.kind == "auto" and spec.is_async:
            return "async"
        if spec.kind == "process" and self._run.is_in_worker:
            self._note(stage, "thread", "this process is a worker of another pipe")
            return "thread"
        if spec.kind == "auto" and spec.call is None:
            return "inline"
        return str(spec.kind)

    def _host(self, stage: Stage, kinds: dict[int, str]) -> None:
        """Let the stage before run this one's function, where that is possible."""
        before: Any = stage.previous
        kind = kinds[stage.index]
        root = before.host or before
        other = "source" if isinstance(root, SourceStage) else kinds.get(root.index, "")
        if (kind == "process" == other and _have_same_limits(root, before, stage)) or (
            kind == "inline" and can_ride(stage, before, other)
        ):
            self._join(root, stage)
        if kind == "inline" and stage.host is None:
            kinds[stage.index] = "thread"
            stage.width = 1

    def _join(self, root: Stage, stage: Stage) -> None:
        stage.host = root
        root.hosts_to = stage.hosts_to

    def _set_out(self, stage: Stage, kind: str) -> None:
        run, spec = self._run, stage.spec
        if spec is None:
            return
        if kind == "process":
            stage.width = min(run.cpus, spec.most or run.cpus)
        elif kind == "auto":
            self.gauges[stage.index] = Gauge()
            stage.width = 1
        elif spec.kind == "inline" or spec.call is None:
            stage.width = 1
        else:
            self._set_width(stage, kind)
        self._set_window(stage)
        run.execute(stage, "thread" if kind == "auto" else kind)

    def _set_width(self, stage: Stage, kind: str) -> None:
        """Width of a stage that waits: what was asked for, or a first guess that grows."""
        spec: Any = stage.spec
        if spec.most is not None and spec.least == spec.most:
            stage.width = stage.least = spec.most
            return
        most = spec.most or MOST_WORKERS[kind]
        length = self._run.source.length
        if length is not None and stage.index == 1:
            most = max(spec.least, min(most, length))
        stage.width = max(spec.least, min(most, _FIRST_STEP))
        self._widths[stage.index] = Width(spec.least, most)
        self.wake()

    # -- measuring

    def measured(self, stage: Stage) -> None:
        """Items of a stage were measured, in a thread of this process."""
        gauge = self.gauges.get(stage.index)
        if gauge is not None:
            self._decide(stage, gauge)
        self.adapt_window(stage)

    def adapt_window(self, stage: Stage) -> None:
        """Let a stage of short items run ahead by more of them."""
        mean_ns = stage.counts.mean_ns
        if self._run.flow.window is None and mean_ns:
            self._set_window(stage, int(min(MOST_WINDOW, _WINDOW_NS / mean_ns)))

    def _set_window(self, stage: Stage, wanted: int = 0) -> None:
        if self._run.flow.window is None:
            light = _WINDOW_BYTES // max(1, stage.largest or 1)
            stage.window = max(LEAST_WINDOW, 2 * stage.width, min(wanted, light))
            source = self._run.flow.source
            if source.target is stage:  # what this one does in a moment is read ahead for it
                source.window = stage.window

    def _decide(self, stage: Stage, gauge: Gauge) -> None:
        if gauge.idle_share >= _MOSTLY and gauge.item_ns > TRIVIAL_NS:
            self._choose_threads(stage, gauge.idle_share, gauge.item_ns)
            self._sampled.pop(stage.index, None)  # that is certain
        elif gauge.items >= _ENOUGH_ITEMS and gauge.item_ns < TRIVIAL_NS:
            self._choose_inline(stage, gauge)
        elif self._is_enough(gauge):
            if gauge.blocked_share >= _NEARLY_ALL:  # more than waiting for the GIL explains
                self._choose_threads(stage, gauge.blocked_share, gauge.item_ns)
            else:
                self._choose_by_cpu(stage, gauge)

    def _is_enough(self, gauge: Gauge) -> bool:
        if gauge.item_ns < TRIVIAL_NS:
            return False
        is_unheard = gauge.look is not None and gauge.look.held is None
        if is_unheard and gauge.items <= _ENOUGH_ITEMS and gauge.wall_ns < _LONG_NS:
            return False
        is_clear = gauge.item_cpu_ns > _DECISIVE * max(1, gauge.send_ns)
        is_seen = gauge.items > _FEW_ITEMS and (is_clear or gauge.wall_ns >= _ENOUGH_NS)
        return is_seen or gauge.items > _ENOUGH_ITEMS or gauge.wall_ns >= _LONG_NS

    def _choose_threads(self, stage: Stage, share: float, item_ns: float) -> None:
        gauge = self.gauges.get(stage.index)
        if gauge is None or not self._end_gauge(stage):
            return
        self._sampled[stage.index] = gauge
        with self._run:
            self._set_width(stage, "thread")
            self._set_window(stage)
            if stage.executor is not None:
                stage.executor.notice()
        self._note(
            stage, f"thread, {stage.width} workers",
            f"{share:.0%} of {_ms(item_ns)} an item was waiting",
        )  # fmt: skip

    def _choose_inline(self, stage: Stage, gauge: Gauge) -> None:
        self._end_gauge(stage)
        before: Any = stage.previous
        root = before.host or before
        kind = getattr(root.executor, "kind", "")
        why = f"{gauge.item_ns / 1e3:.0f} us an item is less than handing it over costs"
        if root.index in self.gauges or not can_ride(stage, before, kind):
            self._note(stage, "thread, 1 worker", why)
            return
        with self._run:
            stage.host = root
            root.hosts_to = stage.hosts_to
        self._note(stage, f"inline, with {_name(root)}", why)

    def _choose_by_cpu(self, stage: Stage, gauge: Gauge) -> None:
        self._end_gauge(stage)
        run, spec = self._run, stage.spec
        held = None if gauge.look is None else gauge.look.held
        cost = f"{_ms(gauge.item_cpu_ns)} of CPU an item"
        width = min(run.cpus, (spec.most if spec is not None else None) or run.cpus)
        if is_free_threaded() or (held is not None and held < _GIL_FREE):
            with run:
                stage.width = width
            self._sampled[stage.index] = gauge
            self._note(stage, f"thread, {width} workers", f"{cost}, and it releases the GIL")
            return
        reason = self._why_not_processes(stage, gauge)
        if reason is not None:
            self._note(stage, "thread, 1 worker", f"{cost}, but {reason}")
            return
        with run:
            stage.width = width
        self._note(
            stage, f"process, {width} workers",
            f"{cost} holds the GIL, and sending it costs {_ms(gauge.send_ns)}",
        )  # fmt: skip
        self._move_to_processes(stage)

    def _why_not_processes(self, stage: Stage, gauge: Gauge) -> str | None:
        from poolwise.pipeline.lanes import find_unpicklable

        if self._run.cpus == 1 or self._run.is_in_worker:
            return "there is one CPU to use"
        if gauge.send_ns >= 1 << 62:
            return "its items cannot be pickled"
        if (send_ns := max(gauge.send_ns, SEND_NS)) >= gauge.item_cpu_ns:
            return f"sending it costs {_ms(send_ns)}"
        spec: Any = stage.spec
        if (name := name_of_written(spec.call)) is not None:
            return f"it assigns {name!r}, which the program would not see"
        if find_unpicklable(self._run.make_visit(stage)) is not None:
            return "its function cannot be pickled"
        return None

    def _move_to_processes(self, stage: Stage) -> None:
        """Give the stage to worker processes, together with a neighbour that they have."""
        before: Any = stage.previous
        root = before.host or before
        is_joined = getattr(root.executor, "kind", "") == "process" and _have_same_limits(
            root, before, stage
        )
        if is_joined:
            with self._run:
                self._join(root, stage)
            self._note(stage, f"process, with {_name(root)}", "neighbours share a visit")
        else:
            root = stage
        after = self._run.flow.stages[root.hosts_to]
        if getattr(after.executor, "kind", "") == "process" and _have_same_limits(
            root, self._run.flow.stages[root.hosts_to - 1], after
        ):
            with self._run:
                self._join(root, after)
            self._note(after, f"process, with {_name(root)}", "neighbours share a visit")
        self._run.execute(root, "process")

    def _end_gauge(self, stage: Stage) -> bool:
        """True for the one thread that ends it."""
        gauge = self.gauges.pop(stage.index, None)
        if gauge is not None:
            gauge.close()
        return gauge is not None

    def _note(self, stage: Stage, what: str, why: str) -> None:
        if len(self.choices) < _MOST_CHOICES:
            at_s = (time.perf_counter_ns() - self._run.begun_ns) / 1e9
            self.choices.append(Choice(at_s, _name(stage), what, why))

    # -- widths

    def wake(self) -> None:
        """Look again soon, since something has changed."""
        self._period_ns = _FIRST_PERIOD_NS
        self.next_ns = time.perf_counter_ns() + self._period_ns
        self._run.wants_tick()

    def tick(self, now_ns: int) -> None:
        """Look at rates, and set widths anew."""
        if self.next_ns is None or now_ns < self.next_ns:
            return
        has_changed = self._look_at_first() or self._look_at_gil(now_ns)
        for index, width in list(self._widths.items()):
            stage = self._run.flow.stages[index]
            with self._run:
                change = width.look(stage, now_ns, self._bound_width(stage))
                if change is not None:
                    stage.width = change[0]
                    self._set_window(stage)
                    self.adapt_window(stage)
                    if stage.executor is not None:
                        stage.executor.notice()
            if change is not None:
                has_changed = True
                self._note(stage, f"{change[0]} workers", change[1])
        self._period_ns = (
            _FIRST_PERIOD_NS if has_changed else min(2 * self._period_ns, _LAST_PERIOD_NS)
        )
        self.next_ns = now_ns + self._period_ns if self._is_watching else None

    @property
    def _is_watching(self) -> bool:
        """There is a stage whose kind or width may change."""
        return bool(self._widths or self.gauges or self._sampled)

    def _look_at_first(self) -> bool:
        """True if a stage only waits, before its first item is through: then widen it now."""
        for index, gauge in list(self.gauges.items()):
            stage = self._run.flow.stages[index]
            others = [each for each in self._run.flow.stages if each is not stage and each.running]
            if not others and gauge.has_blocked():  # else it may be the GIL that it waits for
                self._choose_threads(stage, gauge.first_blocked_share, gauge.first_ns)
                self._sampled.pop(stage.index, None)
                if self.gauges and self._run.cpus > 1 and not self._run.is_in_worker:
                    self._run.lanes()  # loads what a pool needs, while there is nothing to do
                return True
        return False

    def _look_at_gil(self, now_ns: int) -> bool:
        """True if a stage that was given threads works more than it waits, and holds all up.

        Costs drift, and the first items may have been others than the rest.
        """
        if not self._sampled or now_ns - self._looked[0] < _ENOUGH_NS:
            return False
        demand_ns, used_ns = read_demand_ns(), time.process_time_ns()
        at_ns, demanded_ns, before_ns = self._looked
        self._looked = now_ns, demand_ns, used_ns
        is_full = demand_ns - demanded_ns >= _CPU_FULL * (now_ns - at_ns)
        if not (at_ns and is_full and not is_free_threaded()):
            return False
        for index, gauge in list(self._sampled.items()):
            stage = self._run.flow.stages[index]
            done, cpu_ns = stage.counts.done, stage.counts.cpu_ns
            was_done, was_cpu_ns = self._counted.get(index, (0, 0))
            self._counted[index] = done, cpu_ns
            if done - was_done < _ENOUGH_ITEMS or stage.host is not None:
                continue
            gauge.items, gauge.cpu_ns = done - was_done + 1, cpu_ns - was_cpu_ns
            is_most = gauge.cpu_ns > _MOSTLY * (used_ns - before_ns)
            if is_most and gauge.item_cpu_ns > _DECISIVE * max(gauge.send_ns, SEND_NS):
                return self._reconsider(stage, gauge)
        return False

    def _reconsider(self, stage: Stage, gauge: Gauge) -> bool:
        """Give a stage of threads to processes, if they can take it."""
        del self._sampled[stage.index]
        gauge.look = None  # what it said is refuted
        if self._why_not_processes(stage, gauge) is not None:
            return False
        self._widths.pop(stage.index, None)
        self._choose_by_cpu(stage, gauge)
        return True

    def _bound_width(self, stage: Stage) -> int | None:
        """Workers by Little's law at the rate that the CPUs allow (None: not known yet)."""
        run, counts = self._run, stage.counts
        count = run.flow.source.counts.done
        cpu_ns = sum(each.counts.cpu_ns for each in run.flow.stages)
        if not counts.done or not count or self.gauges or not cpu_ns:
            return None
        rate = run.cpus * count / cpu_ns
        visits = counts.taken / count
        return max(1, math.ceil(_HEADROOM * rate * visits * counts.busy_ns / counts.done))

    def end(self) -> None:
        """The run is over."""
        for index in list(self.gauges):
            gauge = self.gauges.pop(index)
            gauge.close()
            if gauge.look is not None:
                gauge.look.join()


class Width:
    """Width of one stage that waits: widened while its rate grows, held where it does not."""

    def __init__(self, least: int, most: int) -> None:
        self._least = least
        self._most = most
        self._at_ns = self._done = 0
        self._before: tuple[int, float] | None = None
        self._held: float | None = None
        self.rates: dict[int, float] = {}

    def look(self, stage: Stage, now_ns: int, bound: int | None) -> tuple[int, str] | None:
        """A new width and the reason for it, if there shall be one."""
        if not self._at_ns:
            self._at_ns, self._done = now_ns, stage.counts.done
            return None
        done, passed_ns = stage.counts.done - self._done, now_ns - self._at_ns
        mean_ns = stage.counts.mean_ns
        if mean_ns is None or done < stage.width or passed_ns < 2 * mean_ns:
            return None
        rate = done * 1e9 / passed_ns
        self._at_ns, self._done = now_ns, stage.counts.done
        self.rates[stage.width] = rate
        is_short = bool(stage.waiting) and stage.has_window() and stage.running >= stage.width
        if not is_short:
            return None
        return self._adjust(stage.width, rate, bound)

    def _adjust(self, width: int, rate: float, bound: int | None) -> tuple[int, str] | None:
        if self._before is not None and rate < self._before[1] * _GROWTH:
            width, self._held = self._before[0], rate
            self._before = None
            return width, f"more brought less than 5 % ({rate:.0f} a second)"
        if self._held is not None and 1 / _DRIFT < rate / self._held < _DRIFT:
            return None
        self._held = None
        most = self._most if bound is None else max(self._least, min(self._most, bound))
        wider = min(most, 2 * width)
        if wider <= width:
            self._before = None
            return None
        self._before = width, rate
        return wider, f"items wait, and {width} do {rate:.0f} a second"


def can_ride(stage: Stage, before: Stage, kind: str) -> bool:
    """True if the worker of the stage before can run this stage's function too."""
    spec, other = stage.spec, before.spec
    if spec is None or kind not in {"source", "thread", "inline", "async"} or spec.has_own_limits():
        return False
    if isinstance(before, BatchStage) or (other is not None and callable(other.on_error)):
        return False
    if _would_cost_siblings(before.host or before, before, spec):
        return False
    if kind in {"source", "async"}:
        return spec.mode != FLAT_MAP and spec.setup is None and not spec.retry.backoff_s
    return True


def _have_same_limits(root: Stage, before: Stage, stage: Stage) -> bool:
    """True if neighbouring process stages can be one visit."""
    first, last, spec = root.spec, before.spec, stage.spec
    if first is None or last is None or spec is None or isinstance(before, BatchStage):
        return False
    if first.has_own_limits() or last.has_own_limits() or spec.has_own_limits():
        return False
    if _would_cost_siblings(root, before, spec):
        return False
    return (first.least, first.most) == (spec.least, spec.most)


def _would_cost_siblings(root: Stage, before: Stage, spec: Spec) -> bool:
    """A failed item that is skipped would take with it what was made of the same item.

    A visit makes those one by one, and ends with the first error.
    """
    stages = root.flow.stages[root.index : before.index + 1]
    makes_many = any(each.spec is not None and each.spec.mode == FLAT_MAP for each in stages)
    return makes_many and spec.on_error != "raise"


def _name(stage: Stage) -> str:
    return "source" if stage.spec is None else stage.spec.name


def _ms(ns: float) -> str:
    from poolwise.quantities import say_seconds

    return say_seconds(ns / 1e9)
