"""All rules on one run: which findings there are, which of them is the headline.

Findings of one cause at one place are put together; consequences are listed under the finding that
explains them; what costs next to nothing is left out; the rest is ordered: results that cannot be
trusted first, then what loses time, then advice, each by the seconds at stake. If nothing is left,
the program is healthy, or the run does not tell.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from poolwise.doctor import words
from poolwise.doctor.advice.confirm import confirm
from poolwise.doctor.advice.offers import offer
from poolwise.doctor.advice.patch import keep_working
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Program
from poolwise.doctor.findings import CannotTell, Confidence, Finding, Note
from poolwise.doctor.notes import is_busy, say_unseen, take_notes
from poolwise.doctor.rules import RULES
from poolwise.doctor.rules.rule import Rule
from poolwise.report import figures

SCHEMA = 2
"""Version of what `poolwise doctor --json` writes; grows when a field changes its meaning."""

Outcome = Literal["findings", "healthy", "cannot-tell"]

LEAST_SHARE = 0.05
"""Least share of the program's wall time: lesser findings are not worth a person's time."""

LEAST_S = 0.5
"""Half a second is worth a word however long the program runs."""

EXPLAINED, SWALLOWED = 0.15, 0.5
"""A finding explains another if it is about at least the first share of the other's seconds; below
the second the other is told as well, behind it and with its own seconds: much of it remains."""

NOTABLE = 0.1
"""Waiting for CPUs that other programs have is said of workers that do it for more than this."""

NO_GAIN, IDLE = 1.05, 0.4
"""A pool that is less than so many times as fast as a loop, while its workers were idle for more
than this share of their time, is not healthy, whatever rules say."""

FEW_MESSAGES = 10

_RANK = {"wrong": 0, "slow": 1, "advice": 2}


@dataclass(frozen=True)
class Diagnosis:
    """The findings of a run, in order: `findings[0]` is the headline where there are any.

    `verdict` is the headline's name, or "healthy" or "cannot-tell"; `summary` says it in words.
    `unknown` are rules that could not tell, `notes` what else to know.
    """

    verdict: str
    outcome: Outcome
    summary: str
    confidence: Confidence
    findings: list[Finding]
    unknown: list[CannotTell]
    notes: list[Note]
    schema: int = SCHEMA


def diagnose(seen: Evidence, rules: Sequence[type[Rule]] = RULES) -> Diagnosis:
    """Run the rules and put their answers in order."""
    notes = take_notes(seen)
    if not seen.is_attached:
        why = "no process of the program could be reached, so that nothing was measured"
        return Diagnosis("cannot-tell", "cannot-tell", _sentence(why), "low", [], [], notes)
    answers = [answer for rule in rules for answer in rule().examine(seen)]
    findings = _settle([each for each in answers if isinstance(each, Finding)], seen)
    unknown = [each for each in answers if isinstance(each, CannotTell)]
    if findings:
        first = findings[0]
        confidence = first.confidence
        return Diagnosis(
            first.name, "findings", first.verdict, confidence, findings, unknown, notes
        )
    why_not = _why_no_verdict(seen, unknown)
    if why_not:
        summary = _sentence(why_not)
        return Diagnosis("cannot-tell", "cannot-tell", summary, "low", [], unknown, notes)
    healthy = _say_healthy(seen)
    return Diagnosis("healthy", "healthy", healthy, _trust(seen, None), [], unknown, notes)


def answers_by_rule(diagnosis: Diagnosis) -> dict[str, str]:
    """Code of each rule -> "yes", "cannot tell" or "no"; consequences count as yes."""
    found = {name for each in diagnosis.findings for name in (each.name, *each.consequences)}
    unsure = {each.name for each in diagnosis.unknown}
    return {
        rule.code: "yes" if rule.name in found else "cannot tell" if rule.name in unsure else "no"
        for rule in RULES
    }


def _settle(found: list[Finding], seen: Evidence) -> list[Finding]:
    merged = _merge(found)
    worthy = [each for each in merged if _is_worth_a_word(each, seen)]
    causes = _explain(worthy)
    trusted = [dataclasses.replace(each, confidence=_trust(seen, each)) for each in causes]
    foretold = confirm(offer(trusted, seen), seen)
    return _in_order(keep_working(foretold))


def _in_order(findings: list[Finding]) -> list[Finding]:
    """Sort by kind and seconds; what another one explains in part stands behind that one."""
    ordered = sorted(findings, key=lambda each: (_RANK[each.kind], -each.seconds))
    for cause in list(ordered):
        ahead = ordered[: ordered.index(cause)]
        for effect in [each for each in ahead if _explains(cause, each)]:
            if _RANK[effect.kind] == _RANK[cause.kind] and not _explains(effect, cause):
                ordered.remove(effect)
                ordered.insert(ordered.index(cause) + 1, effect)
    return ordered


def _merge(found: Iterable[Finding]) -> list[Finding]:
    """One finding for all pools that have it at the same place; seconds add up."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for each in found:
        where = f"{each.where.file}:{each.where.line}" if each.where else f"pool {each.pool}"
        groups.setdefault((each.code, where), []).append(each)
    return [_put_together(group) for group in groups.values()]


def _put_together(group: list[Finding]) -> Finding:
    if len(group) == 1:
        return group[0]
    typical = sorted(group, key=lambda each: each.seconds)[len(group) // 2]
    return dataclasses.replace(
        typical,
        seconds=sum(each.seconds for each in group),
        sample=sum(each.sample for each in group),
        pools=sum(each.pools for each in group),
    )


def _is_worth_a_word(finding: Finding, seen: Evidence) -> bool:
    if _rule_of(finding).is_always_said:
        return True
    is_cut_off = bool(seen.program.exit_status) and not seen.program.is_interrupted
    if is_cut_off and (finding.sample < FEW_MESSAGES or finding.seconds < LEAST_S):
        return False  # a program that failed at its beginning says nothing of its speed
    return finding.seconds >= min(LEAST_S, LEAST_SHARE * seen.program.wall_s)


def _explain(found: list[Finding]) -> list[Finding]:
    """Take out what another finding explains, and list it there.

    Two findings that explain each other: the one that is about more seconds does.
    """
    by_weight = sorted(found, key=lambda each: (_RANK[each.kind] > 0, -each.seconds))
    explained: dict[int, list[str]] = {}
    gone: set[int] = set()
    for index, cause in enumerate(by_weight):
        for other, effect in enumerate(by_weight):
            if other == index or index in gone or other in gone:
                continue
            is_mutual = _explains(effect, cause) and other < index
            if _explains(cause, effect) and _is_swallowed(effect, cause) and not is_mutual:
                gone.add(other)
                explained.setdefault(index, []).append(effect.name)
    return [
        dataclasses.replace(each, consequences=sorted(set(explained.get(index, []))))
        for index, each in enumerate(by_weight)
        if index not in gone
    ]


def _is_swallowed(effect: Finding, cause: Finding) -> bool:
    """True if the cause is about so much of the other's seconds that a second word is too many."""
    is_same = (cause.name, effect.name) in _SAME
    return is_same or cause.kind != "slow" or cause.seconds >= SWALLOWED * effect.seconds


_SAME = {
    ("gil-bound-threads", "lock-serialised"),
    ("nested-pools", "oversubscribed-processes"),
}
"""Pairs that are one thing: the lock that threads wait for is the interpreter's; the processes that
are too many are those of both levels."""


def _explains(cause: Finding, effect: Finding) -> bool:
    same_pool = None in {cause.pool, effect.pool} or cause.pool == effect.pool
    same_place = cause.where is not None and cause.where == effect.where
    enough = cause.kind != "slow" or cause.seconds >= EXPLAINED * effect.seconds
    return effect.name in _rule_of(cause).explains and (same_pool or same_place) and enough


def _rule_of(finding: Finding) -> type[Rule]:
    return next(rule for rule in RULES if rule.code == finding.code)


def _trust(seen: Evidence, finding: Finding | None) -> Confidence:
    """The trust that a verdict deserves, by other programs' load and the size of the sample."""
    busy = is_busy(seen)
    sample = finding.sample if finding else sum(pool.recorded for pool in seen.pools)
    few = sample < FEW_MESSAGES and (finding is None or finding.pool is not None)
    return "low" if busy and few else "medium" if busy or few else "high"


def _why_no_work(program: Program) -> str:
    """Reason why there is no pool to judge."""
    how = words.ending(program.exit_status or 0)
    if program.lost_pools:
        ended = f"ended with {how}" if program.exit_status else "was over"
        return f"the program {ended} before its pools were, which is when their accounts are read"
    if program.exit_status and not program.is_interrupted:
        return f"the program ended with {how}, before any pool got work"
    if program.unseen_processes:
        return f"no pool that could be seen got any work, and {say_unseen(program)}"
    return "no pool got any work, so that there is nothing to judge"


def _why_no_verdict(seen: Evidence, unknown: list[CannotTell]) -> str | None:
    """Reason why a run without findings is not called healthy; None if it is."""
    is_cut_off = bool(seen.program.exit_status) and not seen.program.is_interrupted
    how = words.ending(seen.program.exit_status or 0)
    if not any(pool.messages for pool in seen.pools):
        return _why_no_work(seen.program)
    if is_cut_off:
        return f"the program ended with {how}, perhaps before it was done"
    heaviest = max(unknown, key=lambda each: each.at_stake_s, default=None)
    if heaviest and heaviest.at_stake_s > 0.25 * seen.program.wall_s:
        at_stake, whole = map(figures.seconds, (heaviest.at_stake_s, seen.program.wall_s))
        return f"{heaviest.name}? {heaviest.why} (up to {at_stake} of {whole} are at stake)"
    return _why_not_healthy(seen)


def _why_not_healthy(seen: Evidence) -> str | None:
    """Sentence on a pool of much of the run that gained nothing while workers were idle."""
    for pool in seen.pools:
        loop_s, pool_s = measures.plain_loop_s(pool), measures.undisturbed_s(pool)
        idle_s = measures.spent_s(pool, *_NOTHING_TO_DO)
        is_idle = idle_s > IDLE * pool.worker_seconds
        is_much = pool.active_s > 0.25 * seen.program.wall_s
        can_gain = min(pool.slots, seen.program.cpus) > 1 and not measures.inner_pools(pool, seen)
        if is_much and is_idle and can_gain and 0 < loop_s < NO_GAIN * pool_s:
            return (
                f"a plain loop would have taken about {figures.seconds(loop_s)}, the pool took "
                f"{figures.seconds(pool.active_s)}, and its workers had nothing to do for "
                f"{figures.share(idle_s / pool.worker_seconds)} of their time; why did not show"
            )
    return None


_NOTHING_TO_DO = (*measures.SUPPLY, *measures.DISPATCH, "tail", *measures.END)


def _say_healthy(seen: Evidence) -> str:
    pools = [pool for pool in seen.pools if pool.messages]
    busiest = max(pools, key=lambda pool: pool.worker_seconds)
    queued_s = measures.spent_s(busiest, "run_queued") if is_busy(seen) else 0.0
    had_s = max(busiest.worker_seconds - queued_s, 1e-9)
    share = figures.share(min(1.0, busiest.work_s / had_s))
    workers = words.count(busiest.slots, "thread" if busiest.is_threads else "worker")
    return (
        f"Nothing is wrong with the way work is handed out: {workers} "
        f"spent {share} of their time in your function"
        + (", of that in which they had a CPU" if queued_s > NOTABLE * had_s else "")
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
