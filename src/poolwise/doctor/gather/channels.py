"""Queues, pipes and proxies that the program handled itself. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from poolwise.doctor.evidence.features import Channel, Proxy
from poolwise.doctor.gather import sites

if TYPE_CHECKING:
    from collections.abc import Collection

    from poolwise.doctor.records.run import Meter, Run

_PROXY = "proxy "

Metered = tuple["Meter", dict[str, Any]]


def gather_channels(run: Run) -> list[Channel]:
    """Each queue or pipe end, as one process used it from one line."""
    return [
        Channel(
            pid=meter.pid,
            kind=facts["kind"],
            operation=facts["operation"],
            calls=meter.calls,
            size_bytes=float(meter.size),
            place=sites.place(facts["place"]),
        )
        for meter, facts in _metered(run)
        if meter.calls and not facts["kind"].startswith(_PROXY)
    ]


def gather_proxies(run: Run, workers: Collection[int] = ()) -> list[Proxy]:
    """Calls of each method of each type of proxy from each line, over all processes.

    :param workers: processes that do nothing but tasks, though no probe saw these begin and end.
    """
    groups: dict[Any, list[Metered]] = defaultdict(list)
    for meter, facts in _metered(run):
        if meter.calls and facts["kind"].startswith(_PROXY):
            groups[facts["kind"], facts["operation"], facts["place"]].append((meter, facts))
    return [_add_up(group, workers) for group in groups.values()]


def _add_up(group: list[Metered], workers: Collection[int]) -> Proxy:
    facts = group[0][1]
    meters = [meter for meter, _ in group]
    return Proxy(
        type=facts["kind"].removeprefix(_PROXY),
        method=facts["operation"],
        calls=sum(meter.calls for meter in meters),
        processes=len({meter.pid for meter in meters}),
        place=sites.place(facts["place"]),
        inside_tasks_s=sum(meter.wait if meter.pid in workers else meter.inside for meter in meters)
        / 1e9,
    )


def _metered(run: Run) -> list[Metered]:
    """The meters with what they stand for."""
    facts = {(event["pid"], event["id"]): event for event in run.of("meter")}
    return [
        (meter, facts[meter.pid, meter.number])
        for meter in run.meters
        if (meter.pid, meter.number) in facts
    ]
