"""One line of the program that gives work to a pool, with all it gave. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from poolwise.doctor.evidence.features import Distribution, Leaf, Place, Site
from poolwise.doctor.gather import sums

if TYPE_CHECKING:
    from poolwise.doctor.gather.account import States
    from poolwise.doctor.records.pools import PoolRecords
    from poolwise.doctor.records.run import Call, ItemTimes, Run, Send, Task

UNPACKED = ("starmap", "apply", "submit")
"""Calls whose item is the tuple of the function's arguments."""

LIBRARIES = frozenset({"billiard", "mpire", "pebble", "torch"})
"""Packages that make their pools of processes and queues, as a program would by hand."""


def library_of(function: str | None) -> str | None:
    """The package whose function a worker runs, if it is one that makes pools."""
    package = (function or "").partition(".")[0]
    return package if package in LIBRARIES else None


ItemKey = tuple[int, int, int]


def place(found: Any) -> Place | None:
    """A place as the probes write it: (file, line, function)."""
    return Place(*found) if found else None


@dataclass
class Messages:
    """Messages that belong together, as far as they were recorded.

    `per_send` and `per_task`: messages in all, for each one recorded at the parent, at a worker.
    """

    per_send: float
    per_task: float
    sends: list[Send] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)

    @classmethod
    def of(cls, pool: PoolRecords) -> Messages:
        """All messages of a pool."""
        tasks = [task for worker in pool.workers for task in worker.tasks]
        per_send = max(1.0, pool.count / max(1, len(pool.sends)))
        per_task = max(1.0, pool.count / max(1, len(tasks)))
        return cls(per_send, per_task, pool.sends, tasks)

    @property
    def count(self) -> int:
        """Messages in all, those in the dark included."""
        if self.sends:
            return round(len(self.sends) * self.per_send)
        return round(len(self.tasks) * self.per_task)

    def sent(self, values: list[int]) -> float:
        """A sum over what the parent recorded, scaled to all messages."""
        return math.fsum(values) * self.per_send

    def done(self, values: list[int]) -> float:
        """A sum over what workers recorded, scaled to all messages."""
        return math.fsum(values) * self.per_task


@dataclass
class Items:
    """Item times in input order, as far as they were recorded. Nanoseconds."""

    times: list[float] = field(default_factory=list)
    index_of_max: int | None = None

    def distribution(self) -> Distribution | None:
        """The times as a distribution in seconds."""
        return sums.distribute(self.times, self.index_of_max)


def gather_sites(
    run: Run, pool: PoolRecords, accounts: dict[int, States], everything: Messages
) -> list[Site]:
    """The sites of one pool, those with most work first."""
    groups = by_site(pool, everything)
    found = [
        _gather_one(run, pool, number, groups[number], accounts.get(number, {}))
        for number in {**pool.sites, **groups}
    ]
    found = [site for site in found if site.messages or site.calls]
    return sorted(found, key=lambda site: (-site.work_s, site.first_s))


def by_site(pool: PoolRecords, everything: Messages) -> dict[int, Messages]:
    """The messages of each line that gave work, by the line's number."""
    groups: dict[int, Messages] = defaultdict(
        lambda: Messages(everything.per_send, everything.per_task)
    )
    for send in everything.sends:
        groups[pool.site_of(send)].sends.append(send)
    for task in everything.tasks:
        groups[pool.site_of(task)].tasks.append(task)
    return groups


def _gather_one(
    run: Run, pool: PoolRecords, number: int, messages: Messages, states: States
) -> Site:
    facts = pool.sites.get(number, {})
    calls = [call for call in pool.calls.values() if call.site == number]
    items = order_items(run, pool, messages.tasks)
    count = messages.count
    total_items = count_items(calls, messages)
    sent = messages.sent([send.size for send in messages.sends])
    series = sums.shorten([time / 1e9 for time in items.times])
    began, ended = run.launch["began_ns"], _end_of(pool, messages)
    asked = next((call.asked for call in calls if call.asked >= 0), None)
    listings = [call.listing for call in calls if call.listing >= 0]
    begun = [call.began for call in calls] + [send.taken for send in messages.sends]
    first = min(begun or [task.get for task in messages.tasks], default=0)
    return Site(
        place=place(facts.get("place")),
        api=facts.get("api", "?"),
        function=facts.get("function", "?"),
        function_place=place(facts.get("function_place")),
        calls=len(calls) if calls and not _is_single(facts) else count,
        messages=count,
        items=total_items,
        chunksize_asked=asked,
        chunksize=total_items / count if count else 0.0,
        input_type=facts.get("input_type"),
        input_has_length=None
        if not calls or _is_single(facts)
        else not listings and calls[0].items >= 0,
        listing_s=math.fsum(listings) / 1e9 if listings else None,
        result_type=None,
        bytes_out=sent,
        bytes_in=messages.done([task.result_bytes for task in messages.tasks]),
        first_s=(first - began) / 1e9,
        last_s=(max(first, ended) - began) / 1e9,
        account={state: amount / 1e9 for state, amount in states.items()},
        item_times=items.distribution(),
        queue_wait=queue_waits(pool, messages.tasks),
        leaves=gather_leaves(run, pool, number, sent, count),
        series_s=series,
        series_step=total_items / len(series) if series else 1.0,
    )


def _end_of(pool: PoolRecords, messages: Messages) -> int:
    """Time of the last result of these messages; a pool's only call ends with its work."""
    ended = max((task.sent for task in messages.tasks), default=0)  # worker by worker
    return max(ended, pool.ended) if len(pool.sites) == 1 else ended


def _is_single(facts: dict[str, Any]) -> bool:
    """True if each call from this line gives one task."""
    return str(facts.get("api", "")).startswith(("apply", "submit"))


def count_items(calls: list[Call], messages: Messages) -> int:
    """Items in all: as the calls said, or as many as the recorded messages held, scaled."""
    known = [call.items for call in calls]
    if known and min(known) >= 0 and sum(known) > len(messages.sends):
        return sum(known)
    if messages.sends:
        return round(messages.sent([send.items for send in messages.sends]))
    return round(messages.done([task.items for task in messages.tasks]))


def queue_waits(pool: PoolRecords, tasks: list[Task]) -> Distribution | None:
    """Times that messages lay ready before a worker took them."""
    waits = []
    for task in tasks:
        send = pool.send_of.get((task.job, task.position))
        if send is not None:
            waits.append(max(0, task.header - send.sent))
    return sums.distribute(waits)


def order_items(run: Run, pool: PoolRecords, tasks: list[Task]) -> Items:
    """The times of single items, in the order of the input."""
    found, most = Items(), 0.0
    bases = _bases(pool)
    for task in sorted(tasks, key=lambda task: (task.job, task.position)):
        marks = run.items.get((task.pid, task.job, task.position))
        times = _times_of(task, marks)
        found.times += times
        if times and max(times) > most:
            most = max(times)
            found.index_of_max = _position(pool, bases, task, times)
    return found


def _times_of(task: Task, marks: list[ItemTimes] | None) -> list[float]:
    ran = task.ended - task.began
    if marks and marks[0].step == 1:
        return [float(time) for each in marks for time in each.times]
    if marks:
        return [time / each.step for each in marks for time in each.times]
    # A message whose items were not timed counts as so many equal ones at most.
    return [ran / task.items] * min(task.items, 50) if task.items else []


def _bases(pool: PoolRecords) -> dict[int, int]:
    """The first work number of each `map` of an executor."""
    found: dict[int, int] = {}
    for send in pool.sends:
        if send.call:
            found[send.call] = min(found.get(send.call, send.position), send.position)
    return found


def _position(
    pool: PoolRecords, bases: dict[int, int], task: Task, times: list[float]
) -> int | None:
    """Position in the user's input of the longest item of this message."""
    send = pool.send_of.get((task.job, task.position))
    call = pool.calls.get(send.call if send is not None and send.call else task.job)
    if call is None:
        return None
    chunk = task.position - (bases.get(send.call, 0) if send is not None and send.call else 0)
    inside = times.index(max(times)) * task.items // max(1, len(times))
    return chunk * max(1, call.chunksize) + inside


def gather_leaves(
    run: Run, pool: PoolRecords, number: int, sent: float, messages: int
) -> list[Leaf]:
    """The parts of the arguments from one site, the heaviest first."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in run.of("leaf"):
        if event["pool"] == pool.id and _site_of(pool, event) == number:
            groups[event["name"]].append(event)
    return make_leaves(groups, pool.sites.get(number, {}), sent, messages)


def make_leaves(
    groups: dict[str, list[dict[str, Any]]], facts: dict[str, Any], sent: float, messages: int
) -> list[Leaf]:
    """Parts by their names, with what was sampled of each; the heaviest first.

    :param facts: of the function: the names of its parameters.
    :param sent: bytes in all; :param messages: how often a part travelled.
    """
    if any(name.startswith("self.") for name in groups):
        groups = {name: events for name, events in groups.items() if name != "self"}
    found = []
    for name, events in groups.items():
        size = math.fsum(event["size"] for event in events) / len(events)
        found.append(
            Leaf(
                name=name,
                parameter=_parameter(name, facts),
                type=events[0]["type"],
                size_bytes=size,
                sampled=len(events),
                distinct=len({event["digest"] for event in events}),
                share_of_bytes_out=min(1.0, size * messages / sent) if sent else 0.0,
            )
        )
    return sorted(found, key=lambda leaf: -leaf.size_bytes)


def _site_of(pool: PoolRecords, event: dict[str, Any]) -> int:
    if event["site"]:
        return int(event["site"])
    call = pool.calls.get(event["job"])
    if call is not None:
        return call.site
    return next(iter(pool.sites)) if len(pool.sites) == 1 else 0


def _parameter(name: str, facts: dict[str, Any]) -> str | None:
    """The function's own name for a part of its arguments."""
    parameters = facts.get("parameters")
    if name.partition(".")[0] == "self" or not parameters:
        return None
    names = [each for each in parameters if each != "self"]
    inside, _, index = name.rstrip("]").partition("[")
    if inside == "partial.args":
        return _pick(names, int(index))
    if inside.startswith("partial."):
        return inside.removeprefix("partial.")
    if not index:
        return _pick(names, 0)
    is_unpacked = facts.get("api", "").startswith(UNPACKED) or facts.get("api") == "map_"
    return _pick(names, int(index)) if is_unpacked else None


def _pick(names: list[str], index: int) -> str | None:
    return names[index] if index < len(names) else None
