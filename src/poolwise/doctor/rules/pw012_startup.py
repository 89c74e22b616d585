"""PW012: starting workers takes a good part of the time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from poolwise.doctor import words
from poolwise.doctor.advice import remedies
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Place, Pool, Startup
from poolwise.doctor.findings import Answer, Fact, Remedy
from poolwise.doctor.rules.rule import Rule
from poolwise.report import figures

LEAST_SHARE = 0.25
"""Least share of one pool's time."""

LEAST_S = 0.03

AGAIN = 3
"""Pools made at one place from which on making them again is the cause."""

LEAST_SHARE_AGAIN = 0.1
"""Least share of the time of all pools made at that place."""


class SlowStartup(Rule):
    """Starting workers, or making pools again and again, takes a good part of the time.

    ## What it does

    Adds up, for each place in the program that makes a pool, what making it, starting its workers
    and stopping them cost; and splits a worker's start into forking or launching, the interpreter,
    imports (mostly of the main module, once more), and the initializer.

    ## Why it costs

    A forked worker takes a few milliseconds, more if the parent holds much memory. A spawned one
    starts an interpreter and imports the main module with everything it imports: 50 ms to some
    seconds, during which nothing is computed. A pool in a loop pays that every time round.

    ## Example

    ```python
    for generation in range(25):
        with Pool(4) as pool:                # a new pool every time
            population = pool.map(fitness, population)
    ```

    ## Use instead

    ```python
    with Pool(4) as pool:                    # one pool,
        for generation in range(25):         # kept
            population = pool.map(fitness, population)
    ```

    With spawn or forkserver: move imports that only the parent needs into the function that needs
    them, or below `if __name__ == "__main__":`.

    ## What is measured

    For one pool: mean time until its workers were ready, over 25 % of the pool's time and 30 ms.
    For a place that makes three pools or more: making, starting and stopping them, over 10 % of
    their time together. What other programs on the same CPUs added to it is taken out.

    ## What would prove it wrong

    With one pool, kept, the program takes as long as before.
    """

    code = "PW012"
    name = "startup"
    explains = frozenset(
        {
            "not-worth-a-pool", "slower-than-serial", "oversubscribed-processes",
            "imports-repeated",
        }
    )  # fmt: skip

    def examine(self, seen: Evidence) -> Iterator[Answer]:
        """Ask each place that makes pools."""
        by_place: dict[str, list[Pool]] = defaultdict(list)
        for pool in measures.process_pools(seen):
            by_place[f"{pool.place.file}:{pool.place.line}" if pool.place else ""].append(pool)
        for place, pools in by_place.items():
            answer = self._again(pools, seen) if place and len(pools) >= AGAIN else None
            if answer:
                yield answer
            else:
                yield from filter(None, (self._once(pool, seen) for pool in pools))

    def _again(self, pools: list[Pool], seen: Evidence) -> Answer | None:
        costs_s = [measures.having_s(pool) / measures.crowding(seen) for pool in pools]
        at_once = len({pool.pid for pool in pools})
        span_s = sum(measures.whole_s(pool) for pool in pools)
        cost_s = sum(costs_s)
        if cost_s < LEAST_SHARE_AGAIN * span_s or cost_s < LEAST_S:
            return None
        seconds = cost_s * (1 - at_once / len(pools)) / at_once
        mean_s = cost_s / len(pools)
        first = pools[0]
        return self.found(
            first,
            first.place,
            seconds,
            f"A pool is made {len(pools)} times here; {figures.seconds(cost_s)} of "
            f"{figures.seconds(span_s)} go into making, starting and stopping it",
            [
                Fact("pools", len(pools), words.count(len(pools), "pool")),
                Fact("each_s", mean_s, f"{figures.seconds(mean_s)} to start and stop each"),
                Fact("share", cost_s / span_s, figures.share(cost_s / span_s) + " of their time"),
                *split(first.startup),
            ],
            [remedies.keep_pool(first, "make the pool once, outside the loop, and keep it")],
        )

    def _once(self, pool: Pool, seen: Evidence) -> Answer | None:
        wait_s = measures.startup_wall_s(pool) / measures.crowding(seen)
        if wait_s < LEAST_S or wait_s < LEAST_SHARE * pool.region_s:
            return None
        share = wait_s / pool.region_s
        return self.found(
            pool,
            pool.place,
            0.8 * wait_s,
            f"Workers were ready only after {figures.seconds(wait_s)} of "
            f"{figures.seconds(pool.region_s)}{self._reason(pool)}",
            [
                Fact("share", share, f"{figures.share(share)} of the pool's time"),
                Fact("method", pool.method or "", f"start method: {pool.method or 'not seen'}"),
                *split(pool.startup),
            ],
            self._remedies(pool, pool.place, seen),
        )

    def _reason(self, pool: Pool) -> str:
        parts = costs_by_part(pool.startup)
        part = max(parts, key=lambda each: parts[each])
        reasons = {
            "imports": "; most of it imports the main module again",
            "initializer": f"; most of it is the initializer {pool.initializer or ''}".rstrip(),
            "launch": "; most of it is the parent, starting them one by one",
            "interpreter": "; most of it starts interpreters",
        }
        return reasons[part] if parts[part] > 0 else ""

    def _remedies(self, pool: Pool, place: Place | None, seen: Evidence) -> list[Remedy]:
        found = [Remedy("keep", "keep the pool for all that the program does with it")]
        if pool.method in {"spawn", "forkserver"}:
            text = (
                'move imports that only the parent needs below `if __name__ == "__main__":` or '
                "into the functions that need them"
            )
            found.insert(0, Remedy("code", text))
        cpus = round(measures.cpus_for(pool, seen))
        if pool.slots > cpus and place is not None:
            found.append(remedies.set_workers(pool, cpus, None, why=": fewer to start"))
        return found


def costs_by_part(startup: Startup) -> dict[str, float]:
    """A worker's mean start by part, in seconds."""
    return {
        "launch": startup.launch_s * startup.starts / 2,  # the parent starts them one by one
        "interpreter": startup.interpreter_s or 0.0,
        "imports": startup.imports_s or 0.0,
        "initializer": startup.initializer_s or 0.0,
    }


def split(startup: Startup) -> list[Fact]:
    """The parts of a start that are worth a word."""
    parts = {
        "launch_s": startup.launch_s,
        "interpreter_s": startup.interpreter_s or 0.0,
        "imports_s": startup.imports_s or 0.0,
        "initializer_s": startup.initializer_s or 0.0,
    }
    return [
        Fact(name, value, f"{name.removesuffix('_s')} {figures.seconds(value)} a worker")
        for name, value in parts.items()
        if value > 1e-3
    ]
