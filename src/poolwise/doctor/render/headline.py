"""The first line of a report, which anybody understands: what it takes, and what it could take."""

from __future__ import annotations

import re

from poolwise.doctor import words
from poolwise.doctor.diagnose import Diagnosis
from poolwise.doctor.evidence.features import Evidence
from poolwise.doctor.findings import Finding, Remedy
from poolwise.report import figures

LEAST_GAIN = 0.1
"""Least share of the program's time that the first line promises to save."""

PLAIN = {
    "tasks-too-small": "lost on handing out work in pieces that are too small",
    "slower-than-serial": "lost: one process alone would be faster",
    "not-worth-a-pool": "lost on a pool for which there is too little work",
    "payload-args": "lost on copying what goes to the workers",
    "payload-results": "lost on copying what comes back from the workers",
    "repeated-payload": "lost on sending the workers the same data again and again",
    "io-bound": "lost on waiting one after the other for what could be waited for at once",
    "mixed-cpu-io": "lost while workers wait and the CPUs have nothing to do",
    "lock-serialised": "lost because workers wait for each other at a lock",
    "imbalance-item": "lost because all wait for one long task",
    "imbalance-chunks": "lost because all wait for the last pieces of work",
    "startup": "lost on starting workers",
    "worker-churn": "lost on replacing workers",
    "oversubscribed-threads": "lost because too many threads want the CPUs",
    "oversubscribed-processes": "lost because too many processes want the CPUs",
    "gil-bound-threads": "lost because threads of Python compute one at a time",
    "slow-producer": "lost on waiting for the input",
    "slow-callbacks": "lost on waiting for results to be dealt with",
    "serial-submission": "lost because each task is waited for before the next is given",
    "serial-parent": "could be saved in what runs outside of the pool",
    "eager-input": "lost on reading all of the input before any work begins",
    "stages-run-in-turn": "lost on one stage waiting for all results of the one before",
    "manager-proxy": "lost on asking a manager process for data",
    "hand-made-pool": "lost between processes that hand each other work one by one",
    "cpu-throttled": "lost because a limit takes the CPUs away",
    "unbalanced-start-method": "lost on the way workers are started",
    "nested-pools": "lost because pools inside of tasks multiply the workers",
    "imports-repeated": "lost on importing in each worker what was imported before",
    "more-workers-than-tasks": "lost on starting workers that never get a task",
    "vectorise-instead": "could be saved by arrays in place of a loop",
}
"""Name of a finding -> what happens to the seconds at stake."""


def say_first(seen: Evidence, diagnosis: Diagnosis) -> str:
    """One line: "3.4 s; about 0.4 s with chunksize=840 at monte.py:17"."""
    whole = figures.seconds(seen.program.wall_s)
    if diagnosis.findings:
        return f"{whole}; {_say_finding(seen, diagnosis.findings[0])}."
    if diagnosis.outcome == "healthy":
        return f"{whole}; there is nothing to gain in the way the work is handed out."
    return f"{whole}; this run does not tell whether it could be faster."


def _say_finding(seen: Evidence, finding: Finding) -> str:
    where = f" at {finding.where}" if finding.where else ""
    if finding.name == "call-never-ended":
        lost = figures.seconds(finding.seconds)
        return f"for {lost} it waited{where} for what did not come"
    if finding.name == "worker-died":
        return f"a worker of the pool{where} died, and what it worked on is missing"
    if finding.kind == "wrong":
        return f"workers use the same random numbers{where}: what was computed is not to be trusted"
    for remedy in finding.remedies[:1]:
        saved_s = _saved_s(remedy, finding)
        if saved_s is not None and saved_s > LEAST_GAIN * seen.program.wall_s:
            then = figures.seconds(max(0.0, seen.program.wall_s - saved_s))
            place, short = _place_of(remedy, finding), say_short(remedy)
            is_code = remedy.kind == "code"
            how = f"after a change{place}: {short}" if is_code else f"with {short}{place}"
            return f"about {then} {how}"
    if finding.seconds <= 0:
        return f"a risk, and no loss of time{where}: {finding.name.replace('-', ' ')}"
    amount = figures.seconds(min(finding.seconds, seen.program.wall_s))
    return f"up to {amount} of it {PLAIN.get(finding.name, 'are at stake')}{where}"


def _saved_s(remedy: Remedy, finding: Finding) -> float | None:
    """Seconds that a remedy saves the program."""
    prediction = remedy.prediction
    if prediction is None:
        return None
    then_s = prediction.then_s if remedy.measured_s is None else remedy.measured_s
    if finding.pools > 1:  # the prediction is that of one of them
        return min(finding.seconds, (prediction.now_s - then_s) * finding.pools)
    return prediction.now_s - then_s


def say_short(remedy: Remedy) -> str:
    """The remedy in a few words."""
    short = {
        "chunksize": f"chunksize={remedy.value}",
        "workers": words.count(remedy.value or 0, "worker"),
        "threads": words.count(remedy.value or 0, "thread"),
        "serial": "a plain loop",
        "keep": "one pool, kept",
        "together": "all tasks given before the first result is waited for",
        "share": "the data put down once, by poolwise.share",
        "initializer": "the data given to each worker once, by an initializer",
        "state": "the data given to each worker once, as the pool's state",
        "order": "the longest items first",
    }
    if remedy.kind in short and (remedy.value or remedy.kind not in _COUNTED):
        return short[remedy.kind]
    return _CLAUSE_END.split(remedy.words)[0]


_CLAUSE_END = re.compile(r"[,:;] (?![^(]*\))")
"""The end of the first clause; what stands in parentheses has none."""

_COUNTED = {"chunksize", "workers", "threads"}


def _place_of(remedy: Remedy, finding: Finding) -> str:
    """Place of the change: that of the edit, if there is one."""
    if remedy.changes:
        change = remedy.changes[0]
        return f" at {change.file.rpartition('/')[2]}:{change.line}"
    return f" at {finding.where}" if finding.where else ""
