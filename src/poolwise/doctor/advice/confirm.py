"""Puts what experiments found beside what was predicted.

What was measured decides: remedies stand in the order of it, those that it refutes are withdrawn,
ways that nobody had thought of and that gain are added. A finding whose remedies were all refuted
loses trust. A measurement that is too short tells nothing, and says so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from poolwise.doctor import words
from poolwise.doctor.advice.offers import ABOUT_MESSAGES, rank
from poolwise.doctor.advice.remedies import (
    GAIN,
    PLAIN_LOOP,
    set_chunksize,
    use_poolwise,
    use_threads,
)
from poolwise.doctor.evidence.features import Evidence, Experiment, Pool, Site, Trial
from poolwise.doctor.findings import Confidence, Finding, Remedy
from poolwise.doctor.gather.trials import find_trial, lasted_s
from poolwise.doctor.predict.calls import site_in_question
from poolwise.report import figures


def confirm(findings: list[Finding], seen: Evidence) -> list[Finding]:
    """Order the remedies of findings by what was measured."""
    return [_confirm(finding, seen) for finding in findings]


def _confirm(finding: Finding, seen: Evidence) -> Finding:
    pool = next((each for each in seen.pools if each.id == finding.pool), None)
    site = site_in_question(finding, pool) if pool else None
    trial = find_trial(site, pool, seen) if site and pool else None
    if site is None or pool is None or trial is None or not trial.experiments:
        return finding
    now_s = lasted_s(site, pool)
    proposed = [*finding.remedies, *_also(finding, trial, site, pool)]
    tried = [(remedy, _find_experiment(remedy, trial, finding)) for remedy in proposed]
    measured = [_with_measured(remedy, found, trial, pool, now_s) for remedy, found in tried]
    kept = [remedy for remedy in measured if not _is_refuted(remedy, now_s)]
    told = [found for _, found in tried if found and not doubt_of(found, trial, pool)]
    confidence = _trust([found.ratio for found in told]) or finding.confidence
    remedies = sorted(kept, key=rank)
    return dataclasses.replace(finding, remedies=remedies, confidence=confidence)


def _also(finding: Finding, trial: Trial, site: Site, pool: Pool) -> Iterator[Remedy]:
    """Ways that were tried for other reasons, and that gain: the best of each kind."""
    makers: dict[str, Callable[[int], list[Remedy]]] = {
        "serial": lambda _: [Remedy("serial", PLAIN_LOOP)],
        "threads": lambda count: [use_threads(pool, count, None)],
        "poolwise": lambda _: use_poolwise(pool, "the same calls"),
    }
    if finding.name in ABOUT_MESSAGES:
        makers["chunksize"] = lambda size: [set_chunksize(site, size, None)]
    told = [each for each in trial.experiments if not doubt_of(each, trial, pool)]
    for kind, make in makers.items():
        ways = [each for each in told if each.kind == kind and each.ratio < GAIN]
        known = [each for each in finding.remedies if each.kind == kind]
        is_known = any(_find_experiment(each, trial, finding) in told for each in known)
        if ways and not is_known:
            best = min(ways, key=lambda each: each.ratio)
            yield from make(best.value or pool.slots)


def doubt_of(experiment: Experiment, trial: Trial, pool: Pool) -> str:
    """Reason why a measurement tells nothing of the whole call; empty if it does."""
    is_sample = trial.items < trial.of_items
    as_is = next((each for each in trial.experiments if each.kind == "as-is"), experiment)
    if is_sample and max(as_is.seconds, experiment.seconds) < LEAST_S:
        return f"{figures.seconds(as_is.seconds)} are too short to tell"
    if is_sample and experiment.kind == "chunksize":
        messages = trial.items / max(1, experiment.value or 1)
        if messages < LEAST_MESSAGES * pool.slots:
            return f"{words.count(trial.items, 'item')} make too few messages to tell"
    return ""


LEAST_S = 0.02
"""Least sample: of a shorter one, a start or one lost slice of a CPU is most of the time."""

LEAST_MESSAGES = 4
"""A worker must get so many, or what is measured is how unevenly a few can be shared out."""


def _is_refuted(remedy: Remedy, now_s: float) -> bool:
    of_call = remedy.prediction.now_s if remedy.prediction else now_s
    return remedy.measured_s is not None and remedy.measured_s >= GAIN * of_call


def _find_experiment(remedy: Remedy, trial: Trial, finding: Finding) -> Experiment | None:
    """The one that tried this remedy; of chunk sizes the nearest, if it is near.

    What to try was chosen from the records up to then, and a finding of the whole run may ask for
    a chunk that is a few items larger.
    """
    if remedy.kind == "share" and finding.name not in _ABOUT_ARGUMENTS:
        return None  # what was put down were arguments
    kind = "share" if remedy.kind == "initializer" else remedy.kind
    alike = [each for each in trial.experiments if each.kind == kind]
    wanted = remedy.value
    if remedy.kind == "chunksize" and wanted and alike:
        nearest = min(alike, key=lambda each: abs((each.value or 0) - wanted))
        return nearest if 1 / NEAR < (nearest.value or 0) / wanted < NEAR else None
    return next((each for each in alike if each.value == wanted), None)


NEAR = 1.5

_ABOUT_ARGUMENTS = ("repeated-payload", "payload-args")


def _with_measured(
    remedy: Remedy, found: Experiment | None, trial: Trial, pool: Pool, now_s: float
) -> Remedy:
    """Scale a measurement to the observed call, so that it stands beside the prediction."""
    if found is None:
        return remedy
    doubt = doubt_of(found, trial, pool)
    if doubt:
        return dataclasses.replace(remedy, doubt=doubt)
    of_call = remedy.prediction.now_s if remedy.prediction else now_s
    return dataclasses.replace(remedy, measured_s=found.ratio * of_call)


def _trust(ratios: list[float]) -> Confidence | None:
    """High if a remedy held what the finding promised, low if none did; None if none was tried."""
    if not ratios:
        return None
    return "high" if min(ratios) < GAIN else "low"
