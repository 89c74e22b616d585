"""Predicts a call with other chunks, other workers, threads, or none: with a band.

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

from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Pool, Site, StepCosts
from poolwise.doctor.findings import Finding
from poolwise.doctor.predict.simulate import BYTES_PER_S, FREE, Costs, Load, simulate

BAND_WORK = 0.10
"""Half width where the time is computing or waiting: median error 2 to 6 % when this was tried."""

BAND_SMALL = 0.25
"""Band where handing out small tasks sets the time."""

BAND_HEAVY = 0.40
"""Band where moving bytes sets the time."""

UNSEEN_S = 25e-6
"""More than this a message cannot cost the parent unseen: then the model is wrong elsewhere. Of the
11 to 21 us that an empty message costs the parent, probes see 50 to 90 %."""

UNSEEN_MEETING_S = 300e-6
"""Limit for one that does not fit the pipe, on a machine that wakes up slowly."""

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
    The load is that of one of `rounds` equal calls from the same line. `wanted_cpus` is what other
    programs wanted, and `other_cpus` what of that explains the run. `fit`: the factor of the run
    that the model comes from, where its costs are no longer those of that run.
    """

    load: Load
    costs: Costs
    cpus: int
    other_cpus: float
    chunk: int
    workers: int
    now_s: float
    extra_s: float
    wanted_cpus: float = 0.0
    rounds: int = 1
    fit: float | None = None

    @cached_property
    def factor(self) -> float:
        """The observed time, as a multiple of what the model says of the same settings."""
        if self.fit is not None:
            return self.fit
        return self.now_s / max(1e-9, self._simulate_s(self.chunk, self.workers))

    def pool_s(self, chunk: int | None = None, workers: int | None = None) -> float:
        """Seconds of the call with these items a message and workers; as it was where not given."""
        raw_s = self._simulate_s(chunk or self.chunk, workers or self.workers)
        return max(raw_s * _bounded(self.factor), self._least_s(workers or self.workers))

    def _least_s(self, workers: int) -> float:
        """Least time where many want the CPUs: more workers get no more of them than these did.

        Groups of processes have their shares on many machines, however many are in a group.
        """
        if workers <= self.workers or self.wanted_cpus <= self.cpus:
            return 0.0
        got_cpus = self.cpus * self.workers / (self.wanted_cpus + self.workers)
        return self.load.cpu_s / got_cpus * self.rounds

    def serial_s(self) -> float:
        """Seconds of a plain loop, beside the load that there was."""
        loop_s = self.load.cpu_s * self.crowding + self.load.blocked_s
        return loop_s * self.rounds + self.extra_s

    def threads_s(self, count: int) -> float:
        """Seconds in threads that hold the GIL while they compute: then one CPU is all."""
        at_once = min(count, max(1, self.load.items))
        others = self.wanted_cpus / self.cpus
        call_s = simulate(self.load, 1, at_once, 1, THREAD_COSTS, others)
        return max(self.extra_s, call_s * self.rounds)

    @property
    def crowding(self) -> float:
        """The factor by which one thread, with a fair share, is slower beside others."""
        return max(1.0, (1 + self.wanted_cpus) / self.cpus)

    def ideal_s(self) -> float:
        """Seconds of the call on messages that cost nothing: POP's ideal network."""
        call_s = simulate(self.load, self.chunk, self.workers, self.cpus, FREE, self.other_cpus)
        return call_s * self.rounds

    def lighter(self, out: float = 0.0, back: float = 0.0) -> Model:
        """Model of the call without this share of the bytes of arguments, or of results."""
        costs = self.costs
        lighter = replace(
            costs,
            dispatch_s=_lighten(costs.dispatch_s, out),
            fetch_s=_lighten(costs.fetch_s, out),
            item_bytes_out=costs.item_bytes_out * (1 - out),
            reply_s=_lighten(costs.reply_s, back),
            collect_s=_lighten(costs.collect_s, back),
            item_bytes_in=costs.item_bytes_in * (1 - back),
        )
        return replace(self, costs=lighter, fit=self.factor)

    def once_s(self, out: float) -> float:
        """Seconds to bring that share of a message's bytes to one worker."""
        whole, rest = self.costs, self.lighter(out).costs
        packing_s = sum(
            heavy[0] - light[0] + (heavy[1] - light[1]) * self.chunk
            for heavy, light in (
                (whole.dispatch_s, rest.dispatch_s), (whole.fetch_s, rest.fetch_s)
            )
        )  # fmt: skip
        passing = (whole.item_bytes_out - rest.item_bytes_out) * self.chunk
        return packing_s + passing / whole.send_bytes_per_s

    def width(self, chunk: int | None = None) -> float:
        """Half width of the band around a prediction, as a share of it."""
        chunk = chunk or self.chunk
        misfit = min(0.5, abs(math.log(max(self.factor, 1e-3)))) / 2
        busy = 1.5 if self.other_cpus > measures.BUSY_CPUS else 1.0
        return min(0.9, (self._kind_of_band(chunk) + misfit) * busy)

    def _kind_of_band(self, chunk: int) -> float:
        item_bytes = max(self.costs.item_bytes_out, self.costs.item_bytes_in)
        if item_bytes * min(chunk, self.load.items) > HEAVY_BYTES:
            return BAND_HEAVY
        work_s = (self.load.cpu_s + self.load.blocked_s) / max(1, self.load.items)
        return BAND_SMALL if work_s * chunk < SMALL_S else BAND_WORK

    def _simulate_s(self, chunk: int, workers: int) -> float:
        call_s = simulate(self.load, chunk, workers, self.cpus, self.costs, self.other_cpus)
        return call_s * self.rounds


def _lighten(cost_s: tuple[float, float], share: float) -> tuple[float, float]:
    """A step without this share of the bytes: what a message of few bytes takes stays."""
    fixed_s, item_s = cost_s
    heavy_s = max(0.0, fixed_s - MESSAGE_S)
    return fixed_s - heavy_s * share, item_s * (1 - share)


MESSAGE_S = 100e-6
"""A step of a message of few bytes takes no longer than this."""


def _bounded(factor: float) -> float:
    """A model that is off by more than this is off for a reason that will not stay the same."""
    return min(2.0, max(0.5, factor))


_known: dict[tuple[int, int, int], tuple[object, Model | None]] = {}
"""Models by the identity of what they were made of, which is kept alive beside them."""

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
        most = 64  # runs with more calls than this are rare; memory stays bounded
        if len(_known) >= most:
            _known.clear()
        _known[key] = (site, pool, seen), _calibrate(site, pool, seen)
    return _known[key][1]


def _calibrate(site: Site, pool: Pool, seen: Evidence) -> Model | None:
    """The model of one call; None where it was no call that a pool of messages explains.

    That is: threads (nothing is handed out by message), one task after the other, and calls of
    which too little was recorded. Several calls from one line are so many rounds of their mean.
    """
    if pool.costs is None or pool.is_threads or site.items < 1 or site.work_s <= 0:
        return None
    if pool.max_outstanding <= 1 < site.messages:
        return None
    rounds = 1 if site.calls >= site.messages else max(1, site.calls)
    now_s = site.last_s - site.first_s if rounds == 1 else _at_work_s(site, pool)
    if now_s <= 0:
        return None
    chunk = max(1, round(site.chunksize))
    used_cpus = min(seen.program.other_cpus or 0.0, seen.program.cpus)
    model = Model(
        load=_load(site, rounds),
        costs=_costs(pool.costs, pool, chunk),
        cpus=max(1, round(seen.program.cpus)),
        other_cpus=used_cpus,
        chunk=chunk,
        workers=pool.slots,
        now_s=now_s,
        extra_s=measures.own_parent_s(pool),
        wanted_cpus=max(used_cpus, _wanted_by_others(site, pool, now_s, seen)),
        rounds=rounds,
    )
    return _fit_unseen(_fit_others(model) if _is_short_of_cpus(site, pool) else model)


def _wanted_by_others(site: Site, pool: Pool, now_s: float, seen: Evidence) -> float:
    """CPUs that other programs wanted, by the share of them that the pool's workers got.

    What they used says too little of it: ten programs that want two CPUs use two. 0 where CPUs
    were left over: who wanted more would have had it.
    """
    cpu_s, cpus = measures.spent_s(site, "run_cpu"), seen.program.cpus
    used_cpus = cpu_s / now_s + (seen.program.other_cpus or 0.0)
    if used_cpus < SATURATED * cpus or not _is_short_of_cpus(site, pool):
        return 0.0
    wanted_s = cpu_s + measures.spent_s(site, "run_queued")
    others = cpus * wanted_s / max(cpu_s, 1e-9) - pool.slots
    return min(others, (seen.program.other_cpus or 0.0) + MOST_OTHERS * cpus)


SATURATED = 0.8
"""Share of the CPUs in use from which on there may be programs that want more of them."""

MOST_OTHERS = 3
"""Others are not taken to want more than so many times all CPUs beyond what they used."""


def _is_short_of_cpus(site: Site, pool: Pool) -> bool:
    """True if tasks waited for a CPU for much of the time in which they could have had one.

    And for some of the whole: in a call of nearly no work it explains nothing.
    """
    queued_s, cpu_s = measures.spent_s(site, "run_queued"), measures.spent_s(site, "run_cpu")
    whole_s = pool.slots * (site.last_s - site.first_s)
    return queued_s > max(QUEUED_SHARE * (queued_s + cpu_s), QUEUED_OF_ALL * whole_s)


QUEUED_SHARE, QUEUED_OF_ALL = 0.1, 0.05


def _at_work_s(site: Site, pool: Pool) -> float:
    """Wall seconds of all calls from a line, without what the program did between them."""
    if len(pool.sites) == 1:
        return pool.active_s
    return min(site.last_s - site.first_s, sum(site.account.values()) / max(1, pool.slots))


def _load(site: Site, rounds: int) -> Load:
    """Items of a round in input order. How much of each was waiting is only known of all together.

    Of several rounds, which are taken to be alike, the first one's order stands for all.
    """
    items = max(1, round(site.items / rounds))
    series = site.series_s[: max(1, len(site.series_s) // rounds)] or [1.0]
    whole = (math.fsum(series) or 1.0) * site.items / len(series)
    cpu_s, blocked_s = measures.spent_s(site, "run_cpu"), measures.spent_s(site, "run_blocked")
    return Load(
        [each * cpu_s / whole for each in series],
        [each * blocked_s / whole for each in series],
        items,
    )


def _costs(seen: StepCosts, pool: Pool, chunk: int) -> Costs:
    """Costs of steps beside the passing of bytes, which the simulation knows by itself."""
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
        collect_s=_split(seen.collect_s, seen.item_bytes_in, chunk),
        item_bytes_out=seen.item_bytes_out,
        item_bytes_in=seen.item_bytes_in,
        send_bytes_per_s=sent_bytes / (passing_s - meet_s) if passing_s else BYTES_PER_S,
        reply_bytes_per_s=seen.reply_bytes_per_s or BYTES_PER_S,
        meet_s=meet_s or MEET_S,
    )


MEET_S, MEETING_SHARE = 450e-6, 0.6
"""Part of passing a message that is the meeting of both ends, not the flow: what 0.4 MB
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
    items_s = min(whole_s, max((ITEM_S + own_bytes * BYTE_S) * chunk, whole_s - HEAVY_S))
    return whole_s - items_s, items_s / chunk


FRAME_BYTES = 100
"""Bytes of a message beside its items."""

HEAVY_S = 300e-6
"""Limit of a step's fixed cost; what is beyond is that of its items."""

CALL_S = 1e-6
"""Overhead of a message of one item between the clocks, beside the function."""

ITEM_S, BYTE_S = 0.1e-6, 2e-9
"""Least time to pack or unpack an item, and a byte (a second for 500 MB)."""


def _fit_others(model: Model) -> Model:
    """More load by others, as far as that explains the time."""
    most = model.other_cpus + MOST_OTHERS * model.cpus
    return _fit(model, model.other_cpus, most, lambda cpus: replace(model, other_cpus=cpus))


def _fit_unseen(model: Model) -> Model:
    """Give the parent's cost of a message what the model still falls short of, within reason."""
    return _fit(model, 0.0, UNSEEN_S, lambda unseen_s: _with_unseen(model, unseen_s))


def _fit(model: Model, low: float, high: float, make: Callable[[float], Model]) -> Model:
    """The least value that takes the model up to what was observed, or the highest there is."""
    if model.factor <= 1.0:
        return model
    for _ in range(6):
        middle = (low + high) / 2
        low, high = (middle, high) if make(middle).factor > 1.0 else (low, middle)
    return make(high)


def _with_unseen(model: Model, unseen_s: float) -> Model:
    costs, (fixed_s, item_s) = model.costs, model.costs.dispatch_s
    meet_s = costs.meet_s + unseen_s * (UNSEEN_MEETING_S / UNSEEN_S)
    costs = replace(costs, dispatch_s=(fixed_s + unseen_s, item_s), meet_s=meet_s)
    return replace(model, costs=costs)


def site_in_question(finding: Finding, pool: Pool) -> Site | None:
    """The call that a finding is about; that of a pool with a single one."""
    named = [site for site in pool.sites if site.place and site.place == finding.where]
    busy = [site for site in pool.sites if site.messages]
    return named[0] if named else busy[0] if len(busy) == 1 else None
