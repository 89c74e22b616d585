"""Weighs for PW010 and PW011 whether the idle tail is one item's fault, or the chunks'.

The measured item times, in input order, are handed out again on paper: in the chunks that were,
one by one, and longest first. Whichever brings the ideal nearer names the cause.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median

from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Pool, Site
from poolwise.doctor.predict.schedule import longest_first_s, makespan_s

LEAST_TAIL_SHARE = 0.1
"""Least share of the usable worker time that is idle while others still work."""

LEAST_TAIL_S = 0.02
"""Per worker. Shorter tails are the noise of any end."""

OUTSTANDING = 3.0
"""Times the median from which on an item is a long one: equal items differ by up to twice when
other programs take their CPU."""


@dataclass(frozen=True)
class Balance:
    """The end of a pool's work. Seconds of wall time; `*_s` of the three orders on paper."""

    site: Site | None
    tail_s: float
    tail_share: float
    usual_s: float
    longest_s: float
    as_was_s: float
    one_by_one_s: float
    longest_first_s: float
    ideal_s: float

    @property
    def is_one_item(self) -> bool:
        """True if even single items, in this order, would leave most of the tail."""
        gained_s = self.as_was_s - self.one_by_one_s
        is_long = self.longest_s > max(0.2 * self.ideal_s, OUTSTANDING * self.usual_s)
        return is_long and gained_s < 0.5 * self.at_best_s

    @property
    def at_best_s(self) -> float:
        """Seconds that any remedy could gain on paper: splitting the longest item included."""
        return max(0.0, self.as_was_s - self.ideal_s)


def weigh(pool: Pool, seen: Evidence) -> Balance | None:
    """The balance of a pool, None if its tail is not worth a word or not understood."""
    tail_s = measures.spent_s(pool, "tail") / max(1, pool.slots)
    share = measures.share_s(pool, "tail")
    if pool.slots < 2 or share < LEAST_TAIL_SHARE or tail_s < LEAST_TAIL_S:
        return None
    if measures.inner_pools(pool, seen):
        return None  # while one slot idles, the pools inside the others have more CPUs
    site = max(pool.sites, key=lambda each: each.last_s, default=None)
    if site is None or not site.series_s:
        return None
    workers = _workers(pool, seen)
    costs_s = _costs(site)
    chunk = max(1, round(site.chunksize / max(1.0, site.series_step)))
    longest_s = site.item_times.max_s if site.item_times else max(costs_s)
    return Balance(
        site=site,
        tail_s=tail_s,
        tail_share=share,
        usual_s=median(costs_s),
        longest_s=longest_s,
        as_was_s=makespan_s(costs_s, workers, chunk),
        one_by_one_s=makespan_s(costs_s, workers, 1),
        longest_first_s=max(longest_s, longest_first_s(costs_s, workers)),
        ideal_s=sum(costs_s) / workers,
    )


def _workers(pool: Pool, seen: Evidence) -> int:
    """Workers that get on at once: all of them if they wait, as many as CPUs if they compute."""
    cpus = measures.cpus_for(pool, seen) / max(0.05, 1 - measures.blocked_share(pool))
    return max(1, min(pool.slots, math.ceil(cpus)))


def _costs(site: Site) -> list[float]:
    """Item times in input order, of the last call only if there were several."""
    costs_s = [each * site.series_step for each in site.series_s]
    per_call = math.ceil(len(costs_s) / max(1, site.calls))
    return costs_s[-per_call:] if _is_map(site) else costs_s


def _is_map(site: Site) -> bool:
    return site.items > site.calls
