"""A map of tiny items costs little more than their pickling, with nothing to tune."""

from __future__ import annotations

from functools import partial

from benchmarks import maps, peers
from benchmarks.harness import units
from benchmarks.harness.check import assert_same
from benchmarks.harness.model import Claim, Entrant, Target, wall_time_per_item
from benchmarks.tasks import same

ITEMS = 200_000
BATCH = 5_000  # of 100, 1000, 5000, 50,000 and 100,000 the best for most of the peers

_in_batches = {"chunksize": BATCH}

CLAIM = Claim(
    title=f"map of {ITEMS:,} identities, at the defaults and at the best settings documented",
    cases={"map": lambda: list(range(ITEMS))},
    measure=wall_time_per_item,
    unit=units.SECONDS_PER_ITEM,
    check=assert_same,
    entrants=[
        *maps.all_at_defaults(same, slow=0.1),
        Entrant("mp.Pool, chunksize", maps.by_pool(same, **_in_batches), peers.mp_pool),
        Entrant("PPE, chunksize", maps.by_executor(same, **_in_batches), peers.ppe),
        Entrant("loky, chunksize", maps.by_executor(same, **_in_batches), peers.loky_executor),
        Entrant(
            "joblib, batch_size",
            maps.by_joblib(same),
            partial(peers.joblib_parallel, batch_size=BATCH, pre_dispatch="all"),
        ),
        Entrant(
            "mpire, kept alive, chunk_size",
            maps.by_pool(same, chunk_size=BATCH),
            partial(peers.mpire_pool, keep_alive=True),
        ),
        Entrant("pebble, chunksize", maps.by_pebble(same, **_in_batches), peers.pebble_pool),
        Entrant(
            "ray, chunksize",
            maps.by_pool(same, **_in_batches),
            peers.ray_pool,
            has_daemons=True,
        ),
    ],
    targets=[Target("mp.Pool", 1.3)],
)
