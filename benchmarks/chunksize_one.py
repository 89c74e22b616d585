"""With chunksize=1 every item is scheduled by itself; the messages may still travel together."""

from __future__ import annotations

from functools import partial

from benchmarks import maps, peers
from benchmarks.harness import units
from benchmarks.harness.check import assert_same
from benchmarks.harness.model import Claim, Entrant, Target, wall_time_per_item
from benchmarks.tasks import same

ITEMS = 200_000
SLOW = 0.1  # portion for those that need 50 us and more per item: the same rate, a shorter wait

_singly = {"chunksize": 1}

CLAIM = Claim(
    title=f"map of {ITEMS:,} identities, chunksize=1",
    cases={"map": lambda: list(range(ITEMS))},
    measure=wall_time_per_item,
    unit=units.SECONDS_PER_ITEM,
    check=assert_same,
    entrants=[
        Entrant("poolwise.Pool", maps.by_pool(same, **_singly), peers.poolwise_pool),
        Entrant("poolwise.Executor", maps.by_executor(same, **_singly), peers.poolwise_executor),
        Entrant("mp.Pool", maps.by_pool(same, **_singly), peers.mp_pool),
        Entrant("PPE", maps.by_executor(same, **_singly), peers.ppe, portion=SLOW),
        Entrant("loky", maps.by_executor(same, **_singly), peers.loky_executor, portion=SLOW),
        Entrant(
            "joblib",
            maps.by_joblib(same),
            partial(peers.joblib_parallel, batch_size=1, pre_dispatch="all"),
            portion=SLOW,
        ),
        Entrant(
            "mpire, kept alive",
            maps.by_pool(same, chunk_size=1),
            partial(peers.mpire_pool, keep_alive=True),
            portion=SLOW,
        ),
        Entrant("pebble", maps.by_pebble(same, **_singly), peers.pebble_pool, portion=SLOW),
        Entrant(
            "ray",
            maps.by_pool(same, **_singly),
            peers.ray_pool,
            portion=0.01,
            has_daemons=True,
        ),
    ],
    targets=[Target("mp.Pool", 8), Target("PPE", 30)],
)
