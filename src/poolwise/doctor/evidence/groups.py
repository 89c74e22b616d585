"""Pools that one line makes again and again, taken together: shown as one, simulated once. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from poolwise.doctor.evidence.features import Pool


@dataclass(frozen=True)
class Group:
    """Pools of one kind, size and place; `pool` is the one of them that had most worker time."""

    pool: Pool
    pools: list[Pool]

    @property
    def region_s(self) -> float:
        """The seconds that they lived, one after the other."""
        return sum(pool.region_s for pool in self.pools)

    @property
    def worker_seconds(self) -> float:
        """Worker time of all."""
        return sum(pool.worker_seconds for pool in self.pools)

    @property
    def account(self) -> dict[str, float]:
        """Worker-seconds of all by state."""
        whole: Counter[str] = Counter()
        for pool in self.pools:
            whole.update(pool.account)
        return dict(whole)

    @property
    def blocked_by(self) -> dict[str, float]:
        """Blocked seconds of all by cause."""
        whole: Counter[str] = Counter()
        for pool in self.pools:
            whole.update(pool.blocked_by)
        return dict(whole)


def group_pools(pools: Iterable[Pool]) -> list[Group]:
    """The groups, in the order of their first pool."""
    found: dict[object, list[Pool]] = {}
    for pool in pools:
        where = (pool.place.file, pool.place.line) if pool.place else pool.id
        found.setdefault((pool.kind, where, pool.slots, pool.method), []).append(pool)
    return [Group(max(each, key=_weight), each) for each in found.values()]


def _weight(pool: Pool) -> float:
    return pool.worker_seconds


def find_group(pool: Pool, groups: Iterable[Group]) -> Group:
    """The group that a pool belongs to; itself if it is in none."""
    groups = (group for group in groups if any(each.id == pool.id for each in group.pools))
    return next(groups, Group(pool, [pool]))
