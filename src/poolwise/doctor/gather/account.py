"""The account of every worker-second: the states that partition the life of a pool's slots.

Identity A. A pool with P slots has P x W worker-seconds in its region of W seconds. Every worker's
life is cut by consecutive readings of one clock, so the parts are exact. Two things give them
meaning. First, a worker that waits is blamed on what the thread that hands out work was doing at
that moment; so a write that blocks on a full pipe costs nothing while workers are busy. Second,
a replaced worker inherits the slot that was free longest.

Messages that were not recorded are filled in by the composition of those around them: exact in
total, sampled in composition. Pure; times are nanoseconds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from poolwise.doctor.records.pools import PoolRecords, WorkerRecords
    from poolwise.doctor.records.run import Send, Task

STATES = (
    "start", "respawn", "no_job", "input_slow", "parent_decide", "parent_pickle", "parent_send",
    "hand_over", "receive", "unpickle", "run_cpu", "run_blocked", "run_queued", "pickle", "lock",
    "send", "loop", "observer", "tail", "drain", "unexplained",
)  # fmt: skip
"""States that records tell apart (`account.states`). A slot is in exactly one at any time."""

SYNC_NS = 40_000
"""Reading the clocks around a task takes at most this; what is beyond was time without a CPU.

Preemption tends to strike when a system call returns, hence inside of our own clock readings."""

REGULAR = 128
"""Messages behind this one were recorded because of when they came, not because they were first."""

States = dict[str, float]


def add(into: States, more: States) -> None:
    """Add up two splits of time."""
    for state, amount in more.items():
        into[state] = into.get(state, 0.0) + amount


@dataclass
class PoolAccount:
    """A pool's worker-seconds, in nanoseconds: in all, by worker and by line of the program."""

    states: States
    workers: dict[int, States] = field(default_factory=dict)
    sites: dict[int, States] = field(default_factory=dict)
    identity: float = 1.0


class Timeline:
    """The doings of one thread, as consecutive segments: (from, to, {state: share})."""

    def __init__(self, segments: list[tuple[int, int, States]]) -> None:
        self._segments = [segment for segment in segments if segment[1] > segment[0]]
        self._begins = [segment[0] for segment in self._segments]

    def split(self, begin: int, end: int) -> States:
        """The states it was in from `begin` to `end`; "no_job" where nothing is known."""
        found: States = defaultdict(float)
        at, index = begin, max(0, bisect_right(self._begins, begin) - 1)
        while at < end and index < len(self._segments):
            first, last, shares = self._segments[index]
            index += 1
            if last <= at:
                continue
            if first > at:
                found["no_job"] += min(first, end) - at
                at = min(first, end)
            for state, share in shares.items():
                found[state] += share * (min(last, end) - at)
            at = min(last, end)
        found["no_job"] += end - at if end > at else 0
        return found


def account(pool: PoolRecords) -> PoolAccount:
    """Split the worker-seconds of a pool."""
    ledger = _Ledger(pool)
    for worker, holder in ledger.slots():
        ledger.enter(worker, holder)
    return ledger.close()


class _Ledger:
    """The account while it is made."""

    def __init__(self, pool: PoolRecords) -> None:
        self._pool = pool
        self._timeline = dispatcher(pool)
        self._shares = run_shares([task for w in pool.workers for task in w.tasks])
        self._last_sent = max((send.sent for send in pool.sends), default=pool.began)
        self._last_end = max((w.end for w in pool.workers if w.count), default=pool.ended)
        self._total: States = defaultdict(float)
        self._workers: dict[int, States] = {}
        self._sites: dict[int, States] = defaultdict(dict)

    def slots(self) -> list[tuple[WorkerRecords, WorkerRecords | None]]:
        """Each worker with the one whose slot it took over (None: the slot was new)."""
        order = sorted(self._pool.workers, key=lambda worker: worker.launching)
        holders: list[WorkerRecords] = []
        found: list[tuple[WorkerRecords, WorkerRecords | None]] = []
        for worker in order:
            if len(holders) < self._pool.slots:
                found.append((worker, None))
            else:
                oldest = min(holders, key=self._end_of)
                holders.remove(oldest)
                found.append((worker, oldest))
            holders.append(worker)
        self._final = {id(holder) for holder in holders}
        return found

    def _end_of(self, holder: WorkerRecords) -> int:
        """End of a worker in its slot; one neither ready nor seen to end is still starting."""
        is_starting = not (holder.first_get or holder.exited)
        return self._pool.ended if is_starting else holder.end

    def enter(self, worker: WorkerRecords, holder: WorkerRecords | None) -> None:
        """Add one worker: how its slot came to it, its messages, and what came after."""
        own: States = defaultdict(float)
        began, ended = self._pool.began, self._pool.ended
        launching = min(worker.launching, ended)
        came = worker.exited if worker.is_stillborn else worker.first_get or ended
        first = min(came, ended)  # some come when all is done
        if holder is not None:
            own["respawn"] += max(0, first - self._end_of(holder))
        elif self._pool.is_lazy:
            own["no_job"] += launching - began
            own["start"] += first - launching
        else:
            own["start"] += first - began
        add(own, self._messages(worker))
        if id(worker) in self._final and worker.first_get:
            add(own, self._after(worker.end if worker.count else first))
        elif id(worker) in self._final and worker.is_stillborn:
            own["respawn"] += ended - first
        self._workers[worker.pid] = own
        add(self._total, own)

    def _after(self, end: int) -> States:
        """States after a worker's last message: others are handed work, work, are read."""
        handed_out = max(end, min(self._last_sent, self._pool.ended))
        worked_off = max(handed_out, self._last_end)
        waits = self._timeline.split(end, handed_out)
        tail, drain = worked_off - handed_out, self._pool.ended - worked_off
        return {**waits, "tail": tail, "drain": drain}

    def _messages(self, worker: WorkerRecords) -> States:
        found: States = defaultdict(float)
        regular: defaultdict[tuple[int, str], float] = defaultdict(float)
        every: defaultdict[tuple[int, str], float] = defaultdict(float)
        gap, before = 0, None
        told = [(task, self._states(task)) for task in worker.tasks]
        for (last, past), (task, states) in pairwise(told):
            if task.number - last.number <= 1:
                states["loop"] += task.get - last.sent
                _take_out_queued(task.queued_before, past, states)
            else:
                gap += task.get - last.sent
        for task, states in told:
            site = self._pool.site_of(task)
            add(self._sites[site], states)
            add(found, states)
            if task.cpu >= 0:
                for state, amount in states.items():
                    every[site, state] += amount
                    if task.number > REGULAR:
                        regular[site, state] += amount
            before = task
        if before is not None and worker.dark_until:
            gap += worker.dark_until - before.sent
        add(found, self._fill(gap, regular or every))
        return found

    def _fill(self, gap: int, like: dict[tuple[int, str], float]) -> States:
        """Share out the time of messages that were not recorded, after those that were."""
        known = {key: amount for key, amount in like.items() if key[1] != "observer"}
        whole = sum(known.values())
        if not whole:
            return {"loop": float(gap)}
        found: States = defaultdict(float)
        for (site, state), amount in known.items():
            part = gap * amount / whole
            found[state] += part
            add(self._sites[site], {state: part})
        return found

    def _states(self, task: Task) -> States:
        """One message's time at a worker, from asking for it to having sent the result."""
        states: States = defaultdict(float, self._waits(task))
        states["receive"] += max(0, task.payload - task.header)
        states["unpickle"] += task.loaded - max(task.payload, task.get)
        add(states, self._runs(task))
        states["pickle"] += task.wanted - task.pickling
        states["lock"] += task.got - task.wanted
        states["send"] += task.sent - task.got
        return states

    def _waits(self, task: Task) -> States:
        """States until the message was there: the parent's doings, then the wake-up."""
        asked, came = task.get, max(task.get, task.header)
        found: States = defaultdict(float)
        if not self._pool.is_lazy and asked < self._pool.facts["ended"]:
            made = min(came, self._pool.facts["ended"])  # siblings are still being launched
            found["start"] += made - asked
            asked = made
        send = self._pool.send_of.get((task.job, task.position))
        sent = min(came, max(asked, send.sent)) if send is not None else came
        if not self._pool.sends:  # who hands out work was not seen doing it
            found["no_job"] += came - asked
            return found
        for state, amount in self._timeline.split(asked, sent).items():
            found[state] += amount
        found["hand_over"] += came - sent
        return found

    def _runs(self, task: Task) -> States:
        """The user's function: on a CPU, without one, or blocked; and our own clock readings."""
        whole = task.pickling - task.loaded
        ran = task.ended - task.began
        observer = min(whole - ran, SYNC_NS)
        if task.cpu < 0:
            rest = whole - observer
            return {"observer": observer, **{k: rest * v for k, v in self._shares.items()}}
        cpu = min(task.cpu, ran)
        queued = min(max(0, task.queued), whole - observer - cpu)
        blocked = whole - observer - cpu - queued
        return {
            "observer": observer,
            "run_cpu": cpu,
            "run_queued": queued,
            "run_blocked": blocked,
        }

    def close(self) -> PoolAccount:
        """The account, with what was never started and what does not add up."""
        pool = self._pool
        region = pool.ended - pool.began
        idle = max(0, pool.slots - len(pool.workers)) * region
        self._total["no_job" if pool.is_lazy else "start"] += idle
        whole = pool.slots * region
        explained = sum(self._total.values())
        states = {state: float(self._total[state]) for state in STATES}
        states["unexplained"] = whole - explained
        identity = explained / whole if whole else 1.0
        return PoolAccount(states, self._workers, self._sites, identity)


def _take_out_queued(amount: int, past: States, states: States) -> None:
    """Move the time without a CPU between two tasks out of the steps between them.

    In which of them it was is not known: writing a result wakes the parent up, which takes the CPU.
    """
    if amount <= 0:
        return
    parts = [(each, s) for each, steps in ((past, _REPLYING), (states, _TAKING)) for s in steps]
    whole = sum(each[state] for each, state in parts)
    share = min(1.0, amount / whole) if whole else 0.0
    for each, state in parts:
        each["run_queued"] += each[state] * share
        each[state] *= 1 - share


_REPLYING = ("pickle", "lock", "send")
_TAKING = ("loop", "hand_over", "receive", "unpickle")


def run_shares(tasks: list[Task]) -> States:
    """Splits the time inside the user's function, over the messages that were counted."""
    counted = [task for task in tasks if task.cpu >= 0]
    ran = sum(task.ended - task.began for task in counted)
    if not ran:
        return {"run_cpu": 1.0, "run_queued": 0.0, "run_blocked": 0.0}
    cpu = min(1.0, sum(task.cpu for task in counted) / ran)
    queued = min(1.0 - cpu, sum(max(0, task.queued) for task in counted) / ran)
    return {"run_cpu": cpu, "run_queued": queued, "run_blocked": max(0.0, 1.0 - cpu - queued)}


# -- the thread that hands out work


def dispatcher(pool: PoolRecords) -> Timeline:
    """The doings of the parent's thread that hands out work, from the pool's making to the end."""
    segments: list[tuple[int, int, States]] = []
    mix = _dispatch_mix(pool)
    before: Send | None = None
    for send in pool.sends:
        if before is None:
            free = pool.began
        elif send.number - before.number > 1:
            free = send.free or send.taken
            segments.append((before.sent, free, mix))
        else:
            free = send.free or before.sent
            segments.append((before.sent, free, {"observer": 1.0}))
        segments += until_taken(pool, send, free)
        segments.append((send.taken, send.pickled, {"parent_pickle": 1.0}))
        segments.append((send.pickled, send.sent, {"parent_send": 1.0}))
        before = send
    return Timeline(segments)


def until_taken(pool: PoolRecords, send: Send, free: int) -> list[tuple[int, int, States]]:
    """Segments between sending a message and taking the next: idle, the input, or slowness."""
    call = pool.calls.get(send.call or send.job)
    begins = min(send.taken, max(free, call.began)) if call is not None else send.taken
    if send.submitted:
        there = min(send.taken, max(free, send.submitted))
    elif call is not None:
        there = min(send.taken, max(begins, call.ended)) if call.listing >= 0 else begins
    else:
        there = send.taken
    is_streamed = call is not None and pool.sites.get(call.site, {}).get("api", "").startswith(
        "imap"
    )
    return [
        (free, min(begins, there), {"no_job": 1.0}),
        (min(begins, there), there, {"input_slow": 1.0}),
        (there, send.taken, {"input_slow" if is_streamed else "parent_decide": 1.0}),
    ]


def _dispatch_mix(pool: PoolRecords) -> States:
    """The thread's doings for a message, as shares; for the stretches that were not recorded."""
    found: Counter[str] = Counter()
    for before, send in zip(pool.sends, pool.sends[1:], strict=False):
        if send.number - before.number == 1 and send.number > REGULAR:
            found["parent_pickle"] += send.pickled - send.taken
            found["parent_send"] += send.sent - send.pickled
            for begin, end, shares in until_taken(pool, send, send.free or before.sent):
                for state in shares:
                    found[state] += max(0, end - begin)
    whole = sum(found.values())
    return {k: v / whole for k, v in found.items()} if whole else {"parent_send": 1.0}
