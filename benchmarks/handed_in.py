"""imap over a generator whose items are fixed as they are read: immutable, mutable, and large."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks import peers
from benchmarks.harness import units
from benchmarks.harness.model import Claim, Entrant, Target, wall_time_per_item

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SLOW = 0.1
CHUNK = 1_000


class Load:
    """Items that are made while they are read."""

    def __init__(self, make: Callable[[int], Any], numbers: range) -> None:
        self.make = make
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, part: slice) -> Load:
        return Load(self.make, self.numbers[part])

    def __iter__(self) -> Iterator[Any]:
        return map(self.make, self.numbers)


def text(number: int) -> str:
    return f"{number:0100d}"


def record(number: int) -> dict[str, Any]:
    return {"number": number, "tags": ["a", "b"]}


def array(number: int) -> Any:
    import numpy as np

    return np.full(500_000, float(number))


def kept_array(number: int) -> Any:
    """One array that is filled again for each item, as readers of frames do."""
    if not hasattr(kept_array, "buffer"):
        kept_array.buffer = array(0)  # type: ignore[attr-defined]
    kept_array.buffer[0] = number  # type: ignore[attr-defined]
    return kept_array.buffer  # type: ignore[attr-defined]


def first_of(item: Any) -> float:
    """A number that depends on the item."""
    if isinstance(item, dict):
        return float(item["number"])
    return float(item) if isinstance(item, (int, str)) else float(item[0])


def by_imap(pool: Any, load: Load, **options: Any) -> list[float]:
    return list(pool.imap(first_of, iter(load), **options))


def by_executor(executor: Any, load: Load, **options: Any) -> list[float]:
    return list(executor.map(first_of, iter(load), **options))


def check(load: Load, results: list[float]) -> None:
    assert results == list(map(float, load.numbers)), "wrong results"


SMALL = ["ints", "100 B strings", "dicts"]
LARGE = ["4 MB arrays", "4 MB, one refilled"]

CLAIM = Claim(
    title="imap over a generator: each item is fixed as it is read",
    cases={
        "ints": lambda: Load(int, range(1_000_000)),
        "100 B strings": lambda: Load(text, range(300_000)),
        "dicts": lambda: Load(record, range(100_000)),
        "4 MB arrays": lambda: Load(array, range(100)),
        "4 MB, one refilled": lambda: Load(kept_array, range(100)),
    },
    measure=wall_time_per_item,
    unit=units.SECONDS_PER_ITEM,
    check=check,
    entrants=[
        Entrant("poolwise.Pool", by_imap, peers.poolwise_pool),
        Entrant("poolwise.Executor", by_executor, peers.poolwise_executor),
        Entrant("mp.Pool", by_imap, peers.mp_pool, portion=SLOW, cases=SMALL),
        Entrant(
            "mp.Pool, chunksize", partial(by_imap, chunksize=CHUNK), peers.mp_pool, cases=SMALL
        ),
        Entrant("mp.Pool, one by one", by_imap, peers.mp_pool, cases=LARGE),
        Entrant("PPE", by_executor, peers.ppe, portion=SLOW, cases=[*SMALL, "4 MB arrays"]),
    ],
    targets=[Target("mp.Pool", 15, SMALL), Target("mp.Pool, one by one", 5, LARGE)],
    is_grid=True,
)
