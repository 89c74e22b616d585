"""imap over a generator: the length is unknown, and results are taken one by one in order."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks import peers
from benchmarks.harness import units
from benchmarks.harness.check import assert_same
from benchmarks.harness.model import Claim, Entrant, Target, wall_time_per_item
from benchmarks.tasks import same

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from benchmarks.maps import Run

ITEMS = 200_000
SLOW = 0.1
CHUNK = 1_000  # of 10, 100, 1000 and 5000 the best for mp.Pool; small enough to call it a stream


def stream(items: Iterable[int]) -> Iterator[int]:
    yield from items


def by_imap(**options: Any) -> Run:
    return lambda pool, items: list(pool.imap(same, stream(items), **options))


def by_imap_of_known_length(**options: Any) -> Run:
    """Mpire cuts chunks only where it is told the length."""
    return lambda pool, xs: list(pool.imap(same, stream(xs), iterable_len=len(xs), **options))


def by_executor(**options: Any) -> Run:
    return lambda executor, items: list(executor.map(same, stream(items), **options))


def by_joblib(parallel: Any, items: Iterable[int]) -> list[int]:
    from joblib import delayed

    return list(parallel(delayed(same)(item) for item in stream(items)))


joblib_stream = partial(peers.joblib_parallel, return_as="generator")

CLAIM = Claim(
    title=f"imap of {ITEMS:,} identities from a generator",
    cases={"imap": lambda: range(ITEMS)},
    measure=wall_time_per_item,
    unit=units.SECONDS_PER_ITEM,
    check=assert_same,
    entrants=[
        Entrant("poolwise.Pool", by_imap(), peers.poolwise_pool),
        Entrant("poolwise.Executor", by_executor(), peers.poolwise_executor),
        Entrant("mp.Pool", by_imap(), peers.mp_pool, portion=SLOW),
        Entrant("mp.Pool, chunksize", by_imap(chunksize=CHUNK), peers.mp_pool),
        Entrant("PPE", by_executor(), peers.ppe, portion=SLOW),
        Entrant("PPE, chunksize", by_executor(chunksize=CHUNK), peers.ppe),
        Entrant("loky", by_executor(), peers.loky_executor, portion=SLOW),
        Entrant("loky, chunksize", by_executor(chunksize=CHUNK), peers.loky_executor),
        Entrant("joblib", by_joblib, joblib_stream),
        Entrant("joblib, batch_size", by_joblib, partial(joblib_stream, batch_size=CHUNK)),
        Entrant("mpire", by_imap(), peers.mpire_pool, portion=SLOW),
        Entrant(
            "mpire, kept alive, length and chunk_size",
            by_imap_of_known_length(chunk_size=CHUNK),
            partial(peers.mpire_pool, keep_alive=True),
        ),
        Entrant("ray", by_imap(), peers.ray_pool, portion=0.02, has_daemons=True),
        Entrant("ray, chunksize", by_imap(chunksize=CHUNK), peers.ray_pool, has_daemons=True),
    ],
    targets=[Target("mp.Pool", 15), Target("joblib", 1.5), Target("mpire", 3)],
)
