"""Findings: what the doctor concludes, what speaks for it, what can be done, in plain data.

Like `features`, everything is a frozen dataclass that goes through `account.plain`; together with
`diagnose.Diagnosis` these are the schema of `poolwise doctor --json`, see docs/doctor-json.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from poolwise.doctor.evidence.features import Place

Kind = Literal["wrong", "slow", "advice"]
"""wrong: results cannot be trusted. slow: time is lost. advice: it works, and could do better."""

Confidence = Literal["high", "medium", "low"]

RemedyKind = Literal[
    "chunksize",
    "workers",
    "threads",
    "serial",
    "share",
    "initializer",
    "state",
    "order",
    "keep",
    "together",
    "poolwise",
    "code",
]
"""Kind of change; an experiment is chosen by it. `code`: the program, by hand."""


@dataclass(frozen=True)
class Fact:
    """One measured number that speaks for a finding: for programs by name, for people in words."""

    name: str
    value: float | str
    words: str


@dataclass(frozen=True)
class Change:
    """An edit of somebody's file: these lines, from `line` on (counted from 1), become those.

    `imports` are statements that it needs at the top of the file. `patch` shows and applies it.
    """

    file: str
    line: int
    before: list[str]
    after: list[str]
    imports: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Prediction:
    """The predicted time of the call (or the pool, or the program: `of`), with a band. Seconds."""

    of: Literal["call", "pool", "program"]
    now_s: float
    then_s: float
    low_s: float
    high_s: float


@dataclass(frozen=True)
class Remedy:
    """One thing to do about a finding.

    `value` belongs to `kind`: the chunk size, the number of workers or threads. `changes` are the
    edits it takes, where they could be derived. `measured_s` is what an experiment found in place
    of the prediction; `doubt` says why one that was made tells nothing.
    """

    kind: RemedyKind
    words: str
    prediction: Prediction | None = None
    value: int | None = None
    changes: list[Change] = field(default_factory=list)
    measured_s: float | None = None
    doubt: str = ""


@dataclass(frozen=True)
class Finding:
    """A yes: this is so, here, and it costs that much.

    `seconds` of wall time are at stake: what the best remedy could win at most. `sample` counts
    the messages that were looked at. `consequences` are names of findings that this one explains;
    they are true as well and need no remedy of their own. `pools` counts the pools made at `where`
    that have it.
    """

    code: str
    name: str
    kind: Kind
    where: Place | None
    pool: int | None
    seconds: float
    verdict: str
    facts: list[Fact]
    remedies: list[Remedy]
    falsified_by: str
    sample: int
    confidence: Confidence = "high"
    consequences: list[str] = field(default_factory=list)
    pools: int = 1


@dataclass(frozen=True)
class CannotTell:
    """A third answer: the rule needs what this run did not show. `why` is a sentence.

    `at_stake_s`: how many seconds of wall time a yes could have been about.
    """

    code: str
    name: str
    where: Place | None
    why: str
    at_stake_s: float = 0.0


@dataclass(frozen=True)
class Note:
    """Remark that is no finding: other programs' load, a setting worth a try."""

    name: str
    words: str


Answer = Finding | CannotTell
"""Answer of a rule. Nothing at all is its third answer: no."""
