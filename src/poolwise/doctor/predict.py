"""What a call would take with other chunks, other workers, threads, or none: with a band.

A model is calibrated from the one run that was observed: times of items in input order, quartiles
of what each step of a message cost, and the time the call took. The probes do not see all that a
message costs the parent (hand-overs of the GIL, the pool's own loops: 10 to 50 % of it). So the
model is asked for the run it was made from, and what it falls short of goes to the load of other
programs (if tasks waited for CPUs), then to the parent's cost of a message, as far as these can
explain it; what remains scales all predictions, and widens the band.

`python -m benchmarks.prediction` measures how far predictions are off.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from poolwise.doctor import measures
from poolwise.doctor.features import Evidence, Pool, Site, StepCosts
from poolwise.doctor.findings import Finding, Prediction, Remedy
from poolwise.doctor.simulate import BYTES_PER_S, FREE, Costs, Load, simulate

BAND_WORK = 0.10
"""Half width where the time is computing or waiting: median error 2 to 6 % when this was tried."""

BAND_SMALL = 0.25
"""The same where it is the handing out of small tasks."""

BAND_HEAVY = 0.40
"""The same where it is bytes."""

BUSY_CPUS = 0.25
"""Other programs' load from which on bands are half as wide again."""

WIDEST = 0.9

UNSEEN_S = 25e-6
"""More than this a message cannot cost the parent unseen: then the model is wrong elsewhere. Of the
11 to 21 us that an empty message costs the parent, probes see 50 to 90 %."""

UNSEEN_MEETING_S = 300e-6
"""Nor one that does not fit the pipe more than this, on a machine that wakes up slowly."""

TINY_S = 50e-6
"""Items shorter than this are taken at their median, as computing: what they seem to wait is what
reading the clocks takes, and their mean is that of the few that were interrupted."""

HEAVY_BYTES = measures.BIG_MESSAGE_BYTES

SMALL_S = 1e-3
"""Work in a message below which handing out decides."""

THREAD_COSTS = Costs(dispatch_s=(10e-6, 0.0), collect_s=(5e-6, 0.0), fetch_s=(5e-6, 0.0))
"""A task by thread: queue, lock and wake-up, nothing pickled (`benchmarks/prediction.py`)."""


@dataclass(frozen=True)
class Model:
    """One call as observed, ready to be asked for what it was not.

    `chunk` and `workers` are as they were; `now_s` is what the call took. `extra_s` is what comes
    on top of the messages (the input iterator, callbacks), however work is handed out.
    """

    load: Load
    costs: Costs
    cpus: int
    other_cpus: float
    chunk: int
    workers: int
    now_s: float
    extra_s: float

    @cached_property
    def factor(self) -> float:
        """What was observed, as a multiple of what the model says of the same settings."""
        return self.now_s / max(1e-9, self._simulate_s(self.chunk, self.workers))

    def pool_s(self, chunk: int | None = None, workers: int | None = None) -> float:
        """With so many items a message, and so many workers; as it was where not given."""
        raw_s = self._simulate_s(chunk or self.chunk, workers or self.workers)
        return raw_s * _bounded(self.factor)

    def serial_s(self) -> float:
        """In a plain loop. An upper bound: beside others a function runs slower than alone."""
        loop_s = simulate(self.load, self.load.items, 1, self.cpus, FREE, self.other_cpus)
        return loop_s + self.extra_s

    def threads_s(self, count: int) -> float:
        """In threads, if the function holds the GIL while it computes."""
        at_once = min(count, max(1, self.load.items))
        return max(self.extra_s, simulate(self.load, 1, at_once, 1, THREAD_COSTS))

    def ideal_s(self) -> float:
        """As it was, on messages that cost nothing: what POP calls the ideal network."""
        return simulate(self.load, self.chunk, self.workers, self.cpus, FREE, self.other_cpus)

    def width(self, chunk: int | None = None) -> float:
        """Half width of the band around a prediction, as a share of it."""
        chunk = chunk or self.chunk
        misfit = min(0.5, abs(math.log(max(self.factor, 1e-3)))) / 2
        busy = 1.5 if self.other_cpus > BUSY_CPUS else 1.0
        return min(WIDEST, (self._kind_of_band(chunk) + misfit) * busy)

    def _kind_of_band(self, chunk: int) -> float:
        item_bytes = max(self.costs.item_bytes_out, self.costs.item_bytes_in)
        if item_bytes * min(chunk, self.load.items) > HEAVY_BYTES:
            return BAND_HEAVY
        work_s = (self.load.cpu_s + self.load.blocked_s) / max(1, self.load.items)
        return BAND_SMALL if work_s * chunk < SMALL_S else BAND_WORK

    def _simulate_s(self, chunk: int, workers: int) -> float:
        return simulate(self.load, chunk, workers, self.cpus, self.costs, self.other_cpus)


def _bounded(factor: float) -> float:
    """A model that is off by more than this is off for a reason that will not stay the same."""
    return min(2.0, max(0.5, factor))


_known: dict[tuple[int, int, int], tuple[object, Model | None]] = {}
"""Models by the identity of what they were made of, which is kept alive beside them."""

_MOST_KNOWN = 64

_is_hurried = False


def hurry() -> None:
    """Make no new models from now on: somebody waits for the report, and has said so."""
    global _is_hurried  # noqa: PLW0603 - of this process, which ends with the report
    _is_hurried = True


def calibrate(site: Site, pool: Pool, seen: Evidence) -> Model | None:
    """The model of one call, which is made once; None where there is none."""
    key = id(site), id(pool), id(seen)
    if key not in _known:
        if _is_hurried:
            return None
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[key] = (site, pool, seen), _calibrate(site, pool, seen)
    return _known[key][1]


def _calibrate(site: Site, pool: Pool, seen: Evidence) -> Model | None:
    """The model of one call; None where it was no call that a pool of messages explains.

    That is: threads (nothing is handed out by message), several calls from one line with other
    work in between, one task after the other, and calls of which too little was recorded.
    """
    is_single = site.calls >= site.messages
    if pool.costs is None or pool.is_threads or site.items < 1 or site.work_s <= 0:
        return None
    if (site.calls > 1 and not is_single) or (pool.max_outstanding <= 1 < site.messages):
        return None
    now_s = site.last_s - site.first_s
    if now_s <= 0:
        return None
    chunk = max(1, round(site.chunksize))
    model = Model(
        load=_load(site),
        costs=_costs(pool.costs, pool, chunk),
        cpus=max(1, round(seen.program.cpus)),
        other_cpus=min(seen.program.other_cpus or 0.0, seen.program.cpus),
        chunk=chunk,
        workers=pool.slots,
        now_s=now_s,
        extra_s=pool.parent.generator_s + pool.parent.handle_s if pool.parent else 0.0,
    )
    return _fit_unseen(_fit_others(model) if _is_short_of_cpus(site, pool) else model)


def _is_short_of_cpus(site: Site, pool: Pool) -> bool:
    """Whether tasks waited for a CPU for much of the time in which they could have had one.

    And for some of the whole: in a call of nearly no work it explains nothing.
    """
    queued_s, cpu_s = measures.spent_s(site, "run_queued"), measures.spent_s(site, "run_cpu")
    whole_s = pool.slots * (site.last_s - site.first_s)
    return queued_s > max(QUEUED_SHARE * (queued_s + cpu_s), QUEUED_OF_ALL * whole_s)


QUEUED_SHARE, QUEUED_OF_ALL = 0.1, 0.05


def _load(site: Site) -> Load:
    """Items in input order. How much of each was waiting is only known of all together."""
    series = site.series_s or [1.0]
    whole = math.fsum(series) * site.items / len(series)
    cpu_s, blocked_s = measures.spent_s(site, "run_cpu"), measures.spent_s(site, "run_blocked")
    times = site.item_times
    if times is not None and times.p50_s < TINY_S > cpu_s / site.items:
        item_s = times.p50_s if site.chunksize > 1 else max(ITEM_S, times.p50_s - CALL_S)
        cpu_s, blocked_s = min(cpu_s + blocked_s, item_s * site.items), 0.0
    return Load(
        [each * cpu_s / whole for each in series],
        [each * blocked_s / whole for each in series],
        site.items,
    )


def _costs(seen: StepCosts, pool: Pool, chunk: int) -> Costs:
    """What steps cost beside the passing of bytes, which the simulation knows by itself."""
    parent = pool.parent
    dispatch_s = _split(seen.dispatch_s, seen.item_bytes_out, chunk)
    fetch_s = _split(seen.fetch_s, seen.item_bytes_out, chunk)
    waits_s = parent.generator_s / max(1, pool.items) if parent else 0.0
    sent_bytes, send_bytes_per_s = seen.item_bytes_out * chunk, seen.send_bytes_per_s
    passing_s = sent_bytes / send_bytes_per_s if send_bytes_per_s else 0.0
    meet_s = min(MEET_S, MEETING_SHARE * passing_s)
    return Costs(
        dispatch_s=(dispatch_s[0], dispatch_s[1] + waits_s),
        fetch_s=(fetch_s[0] + (CALL_S if chunk == 1 else 0.0), fetch_s[1]),
        reply_s=_split(seen.reply_s, seen.item_bytes_in, chunk),
        collect_s=seen.collect_s,
        item_bytes_out=seen.item_bytes_out,
        item_bytes_in=seen.item_bytes_in,
        send_bytes_per_s=sent_bytes / (passing_s - meet_s) if passing_s else BYTES_PER_S,
        reply_bytes_per_s=seen.reply_bytes_per_s or BYTES_PER_S,
        meet_s=meet_s or MEET_S,
    )


MEET_S, MEETING_SHARE = 450e-6, 0.6
"""What of the passing of a message is the meeting of both ends, and none of the flow: what 0.4 MB
take to a worker beyond a third of what 1.2 MB take, from `benchmarks/prediction.py`; on a machine
that is faster than that one, no more than this share of all they take."""


def _split(cost_s: tuple[float, float], item_bytes: float, chunk: int) -> tuple[float, float]:
    """A cost that was only seen at one chunk size, parted by what packing an item can take.

    `StepCosts` counts all of it as the message's then, or as the items'. Of small items it is
    nearly all the message's, of large ones nearly all theirs.
    """
    fixed_s, item_s = cost_s
    if fixed_s > 0 and item_s > 0:
        return cost_s
    whole_s = fixed_s + item_s * chunk
    own_bytes = max(0.0, item_bytes - FRAME_BYTES / chunk)
    items_s = min(whole_s, (ITEM_S + own_bytes * BYTE_S) * chunk)
    return whole_s - items_s, items_s / chunk


FRAME_BYTES = 100
"""What a message weighs beside its items."""

CALL_S = 1e-6
"""What a message of one item takes between the clocks beside the function itself."""

ITEM_S, BYTE_S = 0.1e-6, 2e-9
"""To pack or unpack an item takes at least a tenth of a microsecond, and a second for 500 MB."""


def _fit_others(model: Model) -> Model:
    """More load by others, as far as that explains the time.

    What others got of the CPUs while we competed with them says too little of what they wanted.
    """
    most = model.other_cpus + MOST_OTHERS * model.cpus
    return _fit(model, model.other_cpus, most, lambda cpus: replace(model, other_cpus=cpus))


MOST_OTHERS = 3
"""Others are not taken to want more than so many times all CPUs."""


def _fit_unseen(model: Model) -> Model:
    """Give the parent's cost of a message what the model still falls short of, within reason."""
    return _fit(model, 0.0, UNSEEN_S, lambda unseen_s: _with_unseen(model, unseen_s))


def _fit(model: Model, low: float, high: float, make: Callable[[float], Model]) -> Model:
    """The least value that takes the model up to what was observed, or the highest there is."""
    if model.factor <= 1.0:
        return model
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if make(middle).factor > 1.0 else (low, middle)
    return make(high)


_HALVINGS = 6


def _with_unseen(model: Model, unseen_s: float) -> Model:
    costs, (fixed_s, item_s) = model.costs, model.costs.dispatch_s
    meet_s = costs.meet_s + unseen_s * (UNSEEN_MEETING_S / UNSEEN_S)
    costs = replace(costs, dispatch_s=(fixed_s + unseen_s, item_s), meet_s=meet_s)
    return replace(model, costs=costs)


# -- in the place of what rules estimate


def foretell(findings: list[Finding], seen: Evidence) -> list[Finding]:
    """The same findings, with the model's predictions where a remedy is one that it knows."""
    return [_foretell(finding, seen) for finding in findings]


def _foretell(finding: Finding, seen: Evidence) -> Finding:
    pool = next((each for each in seen.pools if each.id == finding.pool), None)
    site = pool and site_in_question(finding, pool)
    model = calibrate(site, pool, seen) if pool and site and finding.pools == 1 else None
    if model is None:
        return finding
    remedies = [_with_prediction(remedy, model) for remedy in finding.remedies]
    return replace(finding, remedies=remedies)


def site_in_question(finding: Finding, pool: Pool) -> Site | None:
    """The call that a finding is about; that of a pool with a single one."""
    named = [site for site in pool.sites if site.place and site.place == finding.where]
    busy = [site for site in pool.sites if site.messages]
    return named[0] if named else busy[0] if len(busy) == 1 else None


def _with_prediction(remedy: Remedy, model: Model) -> Remedy:
    then_s = _ask(remedy, model)
    if then_s is None:
        return remedy
    width = model.width(remedy.value if remedy.kind == "chunksize" else None)
    prediction = Prediction("call", model.now_s, then_s, then_s * (1 - width), then_s * (1 + width))
    return replace(remedy, prediction=prediction)


def _ask(remedy: Remedy, model: Model) -> float | None:
    if remedy.kind == "serial":
        return model.serial_s()
    if remedy.value is None:
        return None
    if remedy.kind == "chunksize":
        return model.pool_s(chunk=remedy.value)
    if remedy.kind == "workers":
        return model.pool_s(workers=remedy.value)
    return model.threads_s(remedy.value) if remedy.kind == "threads" else None
