"""Lines of JSON parsed into dicts: the results are many small objects, which nothing can share."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

from benchmarks.harness import units
from benchmarks.harness.model import Claim, Target, wall_time_per_item
from benchmarks.maps import all_at_defaults

if TYPE_CHECKING:
    from collections.abc import Sequence

LINES = 60_000


def make() -> list[str]:
    chance = random.Random(1)
    return [
        json.dumps(
            {
                "id": number,
                "user": f"user{chance.randrange(5000)}",
                "price": chance.random() * 100,
                "tags": [f"tag{chance.randrange(50)}" for _ in range(4)],
                "address": {"street": f"street {number}", "zip": chance.randrange(99_999)},
                "ok": number % 3 == 0,
            }
        )
        for number in range(LINES)
    ]


def check(load: Sequence[str], results: Sequence[Any]) -> None:
    assert len(results) == len(load), "results are missing"
    for at in range(0, len(load), 1000):
        assert results[at] == json.loads(load[at]), "wrong results"


CLAIM = Claim(
    title=f"{LINES:,} lines of JSON parsed into dicts",
    cases={"json.loads": make},
    measure=wall_time_per_item,
    unit=units.SECONDS_PER_ITEM,
    check=check,
    entrants=all_at_defaults(json.loads, slow=0.05),
    targets=[Target(peer) for peer in ("mp.Pool", "PPE", "loky", "joblib", "mpire", "pebble")],
)
