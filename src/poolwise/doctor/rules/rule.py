"""The base of all rules: a page that explains itself, and the making of an answer.

A rule's docstring is its page: `poolwise explain` prints it, docs/findings/ is generated from it.
The first paragraph is the finding in a sentence; the sections are those of `SECTIONS`.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

from poolwise.doctor.evidence.features import Evidence, Place, Pool
from poolwise.doctor.evidence.measures import Flow, calls_of, place_of
from poolwise.doctor.findings import Answer, CannotTell, Fact, Finding, Kind, Remedy

SECTIONS = (
    "What it does",
    "Why it costs",
    "Example",
    "Use instead",
    "What is measured",
    "What would prove it wrong",
)


class Rule(ABC):
    """One disease: how to recognise it, what it costs here, what helps."""

    code: ClassVar[str]
    name: ClassVar[str]
    kind: ClassVar[Kind] = "slow"
    explains: ClassVar[frozenset[str]] = frozenset()
    """Names of findings that are this one's consequences where both are true."""
    is_always_said: ClassVar[bool] = False
    """True if it is told even if only few seconds are at stake."""

    @abstractmethod
    def examine(self, seen: Evidence) -> Iterator[Answer]:
        """Yield what was found and what could not be told. Nothing: the answer is no."""

    @classmethod
    def summary(cls) -> str:
        """The finding in one sentence."""
        return inspect.cleandoc(cls.__doc__ or "").partition("\n\n")[0].replace("\n", " ")

    @classmethod
    def page(cls) -> str:
        """The finding's page, Markdown."""
        return f"# {cls.code} {cls.name}\n\n{inspect.cleandoc(cls.__doc__ or '')}\n"

    @classmethod
    def falsified_by(cls) -> str:
        """The first sentence of the page's last section: what would prove a yes wrong."""
        section = cls.page().rpartition(f"## {SECTIONS[-1]}\n\n")[2]
        return section.strip().partition("\n\n")[0].replace("\n", " ")

    def found(  # noqa: PLR0913 - a finding has that many parts
        self,
        pool: Pool | None,
        where: Place | None,
        seconds: float,
        verdict: str,
        facts: Sequence[Fact],
        remedies: Sequence[Remedy],
    ) -> Finding:
        """A yes."""
        return Finding(
            code=self.code,
            name=self.name,
            kind=self.kind,
            where=where,
            pool=pool.id if pool else None,
            seconds=max(0.0, seconds),
            verdict=verdict,
            facts=list(facts),
            remedies=list(remedies),
            falsified_by=self.falsified_by(),
            sample=pool.recorded if pool else 0,
        )

    def cannot_tell(self, where: Place | None, why: str, at_stake_s: float = 0.0) -> CannotTell:
        """A third answer."""
        return CannotTell(self.code, self.name, where, why, max(0.0, at_stake_s))


class PoolRule(Rule):
    """A disease that a pool has or has not."""

    def examine(self, seen: Evidence) -> Iterator[Answer]:
        """Ask each pool that got work."""
        for pool in seen.pools:
            answer = self.judge(pool, seen) if pool.messages else None
            if answer:
                yield answer

    @abstractmethod
    def judge(self, pool: Pool, seen: Evidence) -> Answer | None:
        """Yes, cannot tell, or None for no."""


class SiteRule(Rule):
    """A disease of one call: another call can be well on the same pool. Processes only."""

    def examine(self, seen: Evidence) -> Iterator[Answer]:
        """Ask each place that gave work to a pool of processes."""
        for pool in seen.pools:
            for flow in calls_of(pool):
                is_asked = flow.messages and self.concerns(pool)
                answer = self.judge(flow, place_of(flow, pool), pool, seen) if is_asked else None
                if answer:
                    yield answer

    def concerns(self, pool: Pool) -> bool:
        """True if pools of this kind can have the disease."""
        return not pool.is_threads

    @abstractmethod
    def judge(self, flow: Flow, where: Place | None, pool: Pool, seen: Evidence) -> Answer | None:
        """Yes, cannot tell, or None for no."""
