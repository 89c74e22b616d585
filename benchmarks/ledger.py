"""The account of a pool costs less than 5 % of a map of trivial items; what the full one costs.

What is measured is the CPU time of the parent and its workers: unlike the time on the wall it can
be told to a few per cent on a machine that does other things as well.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from benchmarks import peers
from benchmarks.harness import units
from benchmarks.harness.check import assert_same
from benchmarks.harness.model import Claim, Entrant, Target, cpu_time_per_item
from benchmarks.maps import by_pool
from benchmarks.tasks import same

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

ITEMS = 100_000
TURNS = 20
"""Maps in a turn: together they take long enough to be measured."""

_OFF = "ledger off"


def many_maps(pool: Any, items: Iterable[Any]) -> Any:
    for _ in range(TURNS - 1):
        by_pool(same)(pool, items)
    return by_pool(same)(pool, items)


CLAIM = Claim(
    title=f"{TURNS} maps of {ITEMS:,} identities with the ledger off, at its default, and per item",
    cases={"map": lambda: list(range(ITEMS))},
    measure=cpu_time_per_item,
    unit=units.SECONDS_PER_ITEM,
    check=assert_same,
    entrants=[
        Entrant("ledger at its default", many_maps, peers.poolwise_pool),
        Entrant(_OFF, many_maps, partial(peers.poolwise_pool, ledger="off")),
        Entrant("ledger per item", many_maps, partial(peers.poolwise_pool, ledger="items")),
    ],
    targets=[Target(_OFF, 1 / 1.05)],
    rounds=15,
)
