"""The experiments of `--verify`: which call they are about, what they are told as, what had none.

Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from poolwise.doctor.evidence.features import Evidence, Experiment, Pool, Site, Trial, Untried
from poolwise.doctor.gather import sites
from poolwise.report import figures

if TYPE_CHECKING:
    from poolwise.doctor.records.run import Run

_MOST_PLACES = 3
"""Lines that are named where many have the same fate."""


def gather_trial(event: dict[str, Any]) -> Trial:
    """The results of the experiments on one call."""
    return Trial(
        place=sites.place(event["place"]),
        pool=event["pool"],
        api=event["api"],
        items=event.get("items", 0),
        of_items=event.get("of_items", 0),
        spent_s=(event["ended"] - event["began"]) / 1e9,
        experiments=[Experiment(**each) for each in event.get("experiments", [])],
        skipped=event.get("skipped", []),
        failure=event.get("failure"),
    )


def gather_untried(run: Run, pools: list[Pool], trials: list[Trial]) -> list[Untried]:
    """Every call that there were no experiments on, though they were asked for."""
    if not run.launch.get("verify_s"):
        return []
    tried = [trial.place for trial in trials if trial.place]
    told = {
        (tuple(event["place"]), event["api"]): Untried(
            sites.place(event["place"]), event["pool"], event["api"], event["why"]
        )
        for event in run.of("untried")
        if sites.place(event["place"]) not in tried
    }
    known = [*tried, *(each.place for each in told.values() if each.place)]
    rest = [
        Untried(site.place, pool.id, site.api, _why_not(pool, run.launch.get("root")))
        for pool in pools
        for site in pool.sites
        if site.messages and site.place and not any(p.is_line_of(site.place) for p in known)
    ]
    return [*told.values(), *{each.place: each for each in rest}.values()]


def _why_not(pool: Pool, root: int | None) -> str:
    """Reason why nothing is known of a call inside the program, where experiments are made."""
    if pool.kind == "hand-made":
        return "its workers run a loop of the program's own, which has no tasks to give it again"
    if pool.pid != root:
        return "its pool was made by another process than the program's first"
    return "its pool came to no end at which it could have been tried"


def find_trial(site: Site, pool: Pool, seen: Evidence) -> Trial | None:
    """The experiments on this call.

    A pool of ours does not know which lines submit to it: then it is the pool that tells.
    """
    return next(
        (
            trial
            for trial in seen.trials
            if (trial.place.is_line_of(site.place) if trial.place and site.place else False)
            or (site.place is None and trial.pool == pool.id)
        ),
        None,
    )


def lasted_s(site: Site, pool: Pool) -> float:
    """Seconds of a call; where they are not known, those in which its pool was at work."""
    return site.last_s - site.first_s or pool.active_s


def say_trials(seen: Evidence) -> Iterator[str]:
    """Says what was tried, and on which calls nothing was and why."""
    yield from map(_say_trial, seen.trials)
    by_reason: dict[str, list[Untried]] = defaultdict(list)
    for each in seen.untried:
        by_reason[each.why].append(each)
    for why, some in by_reason.items():
        named = ", ".join(f"{each.api} at {each.place}" for each in some[:_MOST_PLACES])
        more = f" and {len(some) - _MOST_PLACES} more" if len(some) > _MOST_PLACES else ""
        yield f"No experiments on {named}{more}: {why}."


def _say_trial(trial: Trial) -> str:
    """Sentence on the function's further runs, and on what there was no time for."""
    where = f"{trial.api} at {trial.place}"
    if trial.failure is not None:
        return f"No experiments on {where}: {trial.failure}."
    skipped = f" Not tried: {', '.join(trial.skipped)}." if trial.skipped else ""
    if not trial.experiments:
        return f"No experiments on {where}: the call could not be made again.{skipped}"
    return (
        f"Measured in a snapshot of the program right after {where}, in "
        f"{figures.seconds(trial.spent_s)} that are not counted above: "
        f"{len(trial.experiments)} ways, on {say_sample(trial)}. "
        f"The function ran again for that.{skipped}"
    )


def say_sample(trial: Trial) -> str:
    """The part of the call that was run again."""
    if trial.items >= trial.of_items:
        return f"all {figures.count(trial.items)} items"
    return f"{figures.count(trial.items)} of {figures.count(trial.of_items)} items"
