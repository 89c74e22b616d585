"""What experiments found, put beside what was predicted; a finding they contradict loses trust."""

from __future__ import annotations

import dataclasses

from poolwise.doctor.features import Evidence, Experiment, Trial
from poolwise.doctor.findings import Confidence, Finding, Remedy
from poolwise.doctor.predict import site_in_question
from poolwise.doctor.trials import find_trial, lasted_s

GAIN = 0.95
"""A way that takes more than this share of the time is no gain: runs differ by as much."""


def confirm(findings: list[Finding], seen: Evidence) -> list[Finding]:
    """The same findings, with `measured_s` in each remedy that was tried."""
    return [_confirm(finding, seen) for finding in findings]


def _confirm(finding: Finding, seen: Evidence) -> Finding:
    pool = next((each for each in seen.pools if each.id == finding.pool), None)
    site = site_in_question(finding, pool) if pool else None
    trial = find_trial(site, pool, seen) if site and pool else None
    if site is None or pool is None or trial is None or not trial.experiments:
        return finding
    now_s = lasted_s(site, pool)
    tried = [(remedy, _find_experiment(remedy, trial, finding)) for remedy in finding.remedies]
    remedies = [_with_measured(remedy, found, now_s) for remedy, found in tried]
    ratios = [found.ratio for _, found in tried if found is not None]
    confidence = _trust(ratios) or finding.confidence
    return dataclasses.replace(finding, remedies=remedies, confidence=confidence)


def _find_experiment(remedy: Remedy, trial: Trial, finding: Finding) -> Experiment | None:
    """The one that tried this remedy; of chunk sizes the nearest, if it is near.

    What to try was chosen from the records up to then, and a finding of the whole run may ask for
    a chunk that is a few items larger.
    """
    if remedy.kind == "share" and finding.name not in _ABOUT_ARGUMENTS:
        return None  # what was put down were arguments
    alike = [each for each in trial.experiments if each.kind == remedy.kind]
    wanted = remedy.value
    if remedy.kind == "chunksize" and wanted and alike:
        nearest = min(alike, key=lambda each: abs((each.value or 0) - wanted))
        return nearest if 1 / NEAR < (nearest.value or 0) / wanted < NEAR else None
    return next((each for each in alike if each.value == wanted), None)


NEAR = 1.5

_ABOUT_ARGUMENTS = ("repeated-payload", "payload-args")


def _with_measured(remedy: Remedy, found: Experiment | None, now_s: float) -> Remedy:
    """In seconds of the call as it was observed, so that it stands beside the prediction."""
    if found is None:
        return remedy
    of_call = remedy.prediction.now_s if remedy.prediction else now_s
    return dataclasses.replace(remedy, measured_s=found.ratio * of_call)


def _trust(ratios: list[float]) -> Confidence | None:
    """High if a remedy held what the finding promised, low if none did; None if none was tried."""
    if not ratios:
        return None
    return "high" if min(ratios) < GAIN else "low"
