"""Memory of the parent while nobody reads the results of an imap, and whether its input stops."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from benchmarks import peers
from benchmarks.harness import units
from benchmarks.harness.model import Claim, Entrant, Limit
from benchmarks.peak_memory import peak_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

RESULTS = 1_000_000
RESULT_BYTES = 10_000
LOOK_S = 0.5


class Numbers:
    """An input that counts how far it was read."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.count_read = 0

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, part: slice) -> Numbers:
        return Numbers(len(range(self.size)[part]))

    def __iter__(self) -> Iterator[int]:
        for number in range(self.size):
            self.count_read = number + 1
            yield number


def give(_: int) -> bytes:
    return b"x" * RESULT_BYTES


def leave_unread(pool: Any, numbers: Numbers) -> Numbers:
    """Wait until the input is read no further."""
    results = pool.imap(give, iter(numbers))
    before = -1
    while numbers.count_read > before:
        before = numbers.count_read
        time.sleep(LOOK_S)
    results.close()
    return numbers


def check(_: Numbers, numbers: Numbers) -> None:
    assert 0 < numbers.count_read < RESULTS, "the input was read to its end"


def limit_bytes() -> float:
    from poolwise.system.limits import unread_limit_bytes

    return float(unread_limit_bytes())


CLAIM = Claim(
    title=f"{RESULTS:,} results of {RESULT_BYTES:,} B that nobody reads: growth of the parent",
    cases={"imap": lambda: Numbers(RESULTS)},
    measure=peak_bytes,
    unit=units.BYTES,
    check=check,
    entrants=[Entrant("poolwise.Pool", leave_unread, peers.poolwise_pool, warm=lambda *_: None)],
    limits=[Limit(1.1 * limit_bytes())],
    rounds=3,
    limit_s=300,
)
