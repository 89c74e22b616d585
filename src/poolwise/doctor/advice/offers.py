"""The remedies of a finding as they are shown: priced by one model, the best first, no losers.

A rule proposes what could help. Here each proposal is asked of the model of the call, under the
load that the run had; so are the plain loop and our pool, which are better surprisingly often.
What does not gain is left out, and the rest is put in the order of what it gains.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from poolwise.doctor.advice import remedies
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Pool, Site
from poolwise.doctor.findings import Finding, Prediction, Remedy
from poolwise.doctor.predict import ours
from poolwise.doctor.predict.calls import BAND_HEAVY, Model, calibrate, site_in_question

ALIKE = 1.15
"""Times that differ by less are alike, and the rule's order holds."""

ABOUT_MESSAGES = frozenset(
    {"tasks-too-small", "slower-than-serial", "payload-args", "payload-results",
     "repeated-payload", "imbalance-item", "imbalance-chunks"}
)  # fmt: skip
"""Findings on how a call's messages are made: a plain loop and our pool are worth a thought."""

NO_POOL = frozenset({"tasks-too-small", "slower-than-serial", "not-worth-a-pool"})
PAYLOAD, TWICE = frozenset({"payload-args", "payload-results", "repeated-payload"}), 2.0

IMPORT_S = 0.1
"""Our pool must save this: to import it takes half as long."""


def offer(findings: list[Finding], seen: Evidence) -> list[Finding]:
    """Leave each finding the remedies that gain, in order."""
    return [_offer(finding, seen) for finding in findings]


def _offer(finding: Finding, seen: Evidence) -> Finding:
    pools = _pools_of(finding, seen)
    pool = pools[len(pools) // 2] if pools else None  # the median: a slow one is an accident
    site = site_in_question(finding, pool) if pool else None
    model = calibrate(site, pool, seen) if pool and site else None
    proposed = list(finding.remedies)
    if model is not None and pool is not None and site is not None:
        times = sum(each.active_s for each in pools) / pool.active_s
        asked = _Asked(finding, pool, site, model, times)
        if finding.name in ABOUT_MESSAGES:
            proposed += _also(proposed, pool)
        proposed = [asked.price(remedy) for remedy in proposed]
    kept = [remedy for remedy in proposed if gains(remedy)]
    loop_s = _against_a_loop_s(finding, pool, kept)
    return replace(finding, remedies=sorted(kept, key=lambda each: rank(each, loop_s)))


def _against_a_loop_s(finding: Finding, pool: Pool | None, kept: list[Remedy]) -> float:
    """Seconds that are added to a plain loop (less than 0: that it is spared) to rank it.

    Where the pool itself is in doubt, a loop spares making and stopping it. Where payload is the
    matter, the work may well be worth a pool without it: then a loop has to be twice as fast.
    """
    if pool is not None and finding.name in NO_POOL:
        return -measures.having_s(pool)
    loop = next((each.prediction for each in kept if each.kind == "serial"), None)
    return loop.then_s * (TWICE - 1) if loop and finding.name in PAYLOAD else 0.0


def _pools_of(finding: Finding, seen: Evidence) -> list[Pool]:
    """The pool that a finding is about, or all that were made at its place, the quickest first."""
    named = [each for each in seen.pools if each.id == finding.pool]
    if finding.pools > 1 and named:
        alike = [each for each in seen.pools if each.place == named[0].place and each.messages]
        return sorted(alike, key=lambda each: each.active_s)
    return named


def _also(proposed: list[Remedy], pool: Pool) -> list[Remedy]:
    """Remedies that no rule needs to think of: no pool at all, and ours."""
    kinds = {remedy.kind for remedy in proposed}
    loop = [] if "serial" in kinds else [Remedy("serial", remedies.PLAIN_LOOP)]
    is_ours_new = "poolwise" not in kinds
    return [*loop, *(remedies.use_poolwise(pool, "the same calls") if is_ours_new else [])]


def gains(remedy: Remedy) -> bool:
    """True if it is worth a try: what has no price is; fewer workers need only be no slower."""
    prediction = remedy.prediction
    if prediction is None:
        return True
    is_saving = remedy.kind == "workers" and "less memory" in remedy.words
    most_s = prediction.now_s * (1 / remedies.GAIN if is_saving else remedies.GAIN)
    is_long_enough = prediction.now_s - prediction.then_s > IMPORT_S
    return prediction.then_s < most_s and (remedy.kind != "poolwise" or is_long_enough)


def rank(remedy: Remedy, loop_s: float = 0.0) -> tuple[int, float, bool]:
    """The order of remedies: measured ones by their time, then predicted ones, then the rest.

    Of those that take as long, what can be made as an edit comes first.

    :param loop_s: what counts for, or against, a plain loop beside the time it takes.
    """
    more_s = loop_s if remedy.kind == "serial" else 0.0
    if remedy.measured_s is not None:
        return 0, remedy.measured_s, False
    if remedy.prediction is None:
        return 2, 0.0, False
    steps = round(math.log(max(1e-6, remedy.prediction.then_s + more_s), ALIKE))
    return 1, steps, not remedy.changes


@dataclass(frozen=True)
class _Asked:
    """One call, and what its model says of remedies: for all pools, so many times as much."""

    finding: Finding
    pool: Pool
    site: Site
    model: Model
    times: float

    def price(self, remedy: Remedy) -> Remedy:
        """The remedy with the model's prediction, if the model knows such a thing."""
        ask = self._ways().get(remedy.kind)
        then_s = ask(remedy) if ask else None
        if then_s is None:
            return remedy
        width = self.model.width(remedy.value if remedy.kind == "chunksize" else None)
        if remedy.kind in {"share", "initializer", "state", "code"}:
            width = max(width, BAND_HEAVY)
        then_s *= self.times
        band = then_s * (1 - width), then_s * (1 + width)
        return replace(remedy, prediction=Prediction("call", self._now_s, then_s, *band))

    @property
    def _now_s(self) -> float:
        return self.model.now_s * self.times

    def _ways(self) -> dict[str, Callable[[Remedy], float | None]]:
        model = self.model
        return {
            "serial": lambda _: model.serial_s(),
            "chunksize": lambda remedy: model.pool_s(chunk=remedy.value),
            "workers": lambda remedy: model.pool_s(workers=remedy.value),
            "threads": lambda remedy: model.threads_s(remedy.value or self.pool.slots),
            "poolwise": lambda _: ours.ours_s(model, self.site, self.pool),
            "state": lambda _: ours.ours_s(model, self.site, self.pool, self._repeated()),
            "initializer": lambda _: self._initialised_s(),
            "share": lambda _: self._shared_s(),
            "code": lambda remedy: self._lighter_s() if remedy.prediction else None,
        }

    def _repeated(self) -> float:
        """Share of the bytes of arguments that are the same each time; all where none is."""
        leaves = measures.repeated_leaves(self.site)
        return min(1.0, sum(leaf.share_of_bytes_out for leaf in leaves)) if leaves else 1.0

    def _lighter_s(self) -> float | None:
        """Predict the call with next to nothing in place of what weighs."""
        if self.finding.name == "payload-results":
            return self.model.lighter(back=1.0).pool_s()
        if self.finding.name in {"payload-args", "repeated-payload"}:
            return self.model.lighter(out=self._repeated()).pool_s()
        return None

    def _initialised_s(self) -> float:
        """A forked worker inherits what its initializer gets; others get it as a message."""
        once_s = 0.0 if self.pool.method == "fork" else self.model.once_s(self._repeated())
        return self.model.lighter(out=self._repeated()).pool_s() + self.pool.slots * once_s

    def _shared_s(self) -> float | None:
        """Packed once; each process opens it once."""
        lighter_s = self._lighter_s()
        if lighter_s is None or self.finding.name == "payload-results":
            return lighter_s
        return lighter_s + (1 + self.pool.slots) / 2 * self.model.once_s(self._repeated())
