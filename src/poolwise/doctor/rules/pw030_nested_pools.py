"""PW030: pools inside the tasks of a pool, with more workers than CPUs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from poolwise.doctor import words
from poolwise.doctor.advice import remedies
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Pool
from poolwise.doctor.findings import Answer, Fact, Remedy
from poolwise.doctor.rules.pw015_oversubscribed_processes import LEAST_CPU, SWITCHING, TOO_MANY
from poolwise.doctor.rules.rule import Rule
from poolwise.report import figures


class NestedPools(Rule):
    """Tasks of one pool make pools of their own: the workers of both levels multiply.

    ## What it does

    Looks for pools that were made in a worker of another pool, and multiplies the workers of the
    outer one by those of each inner one.

    ## Why it costs

    Each level is sized as if it were alone, and nobody sees the product: 8 workers that start 8
    each are 64 processes. They take turns on the CPUs, each with its own memory, and every task of
    the outer pool pays for making and ending a pool.

    ## Example

    ```python
    def tile(number):
        with ProcessPoolExecutor(4) as executor:      # in each of four workers
            return sum(executor.map(refine, cells(number)))

    with ProcessPoolExecutor(4) as executor:
        totals = list(executor.map(tile, range(6)))
    ```

    ## Use instead

    ```python
    def tile(number):
        return sum(map(refine, cells(number)))        # the outer level has enough to do

    with ProcessPoolExecutor(4) as executor:
        totals = list(executor.map(tile, range(6)))
    ```

    Where one level alone does not keep the CPUs busy: hand all pieces to one flat pool, or call
    `poolwise.map` in the tasks, which is a plain loop where no CPU is left.

    ## What is measured

    The product of both levels exceeds the CPUs by 25 %, inner workers compute rather than wait, and
    the time to make, start and stop inner pools.

    ## What would prove it wrong

    With a plain loop in place of the inner pool the program takes longer.
    """

    code = "PW030"
    name = "nested-pools"
    is_always_said = True
    explains = frozenset(
        {
            "oversubscribed-processes", "oversubscribed-threads", "startup", "not-worth-a-pool",
            "slower-than-serial", "more-workers-than-tasks", "imports-repeated",
        }
    )  # fmt: skip

    def examine(self, seen: Evidence) -> Iterator[Answer]:
        """Ask each line of a task that makes pools."""
        for outer in measures.process_pools(seen):
            for pools in _by_place(outer, seen):
                answer = self._judge(outer, pools, seen)
                if answer is not None:
                    yield answer

    def _judge(self, outer: Pool, pools: list[Pool], seen: Evidence) -> Answer | None:
        inner = max(pools, key=lambda pool: pool.slots)
        at_once = min(outer.slots, len({pool.pid for pool in pools}))
        product, cpus = at_once * inner.slots, seen.program.cpus
        waiting_s = sum(measures.blocked_share(pool) * pool.work_s for pool in pools)
        computes = waiting_s < LEAST_CPU * sum(pool.work_s for pool in pools)
        if at_once < 2 or product <= TOO_MANY * cpus or not computes:
            return None
        having_s = sum(map(measures.having_s, pools)) / at_once / measures.crowding(seen)
        busy_s = sum(pool.active_s for pool in pools) / at_once
        return self.found(
            inner,
            inner.place,
            having_s + SWITCHING * busy_s,
            f"Each task makes a pool: {at_once} workers x {inner.slots} are {product} processes "
            f"on {cpus:g} CPUs",
            [
                Fact("outer", at_once, f"{words.count(at_once, 'worker')} make pools"),
                Fact("inner", inner.slots, f"{words.count(inner.slots, 'worker')} in each"),
                Fact("workers", product, words.count(product, "worker") + " at once"),
                Fact("pools", len(pools), words.count(len(pools), "pool") + " made in tasks"),
                Fact("having_s", having_s, f"{figures.seconds(having_s)} to make and end them"),
            ],
            self._remedies(outer, inner, cpus),
        )

    def _remedies(self, outer: Pool, inner: Pool, cpus: float) -> list[Remedy]:
        text = (
            "one level: a plain loop in the tasks, or all pieces handed to one flat pool; or "
            "poolwise.map in the tasks, which is a loop where no CPU is left"
        )
        found = [Remedy("code", text)]
        left = int(cpus // outer.slots)
        if 1 < left < inner.slots:
            found.append(remedies.set_workers(inner, left, None, why=": what the CPUs leave each"))
        return found


def _by_place(outer: Pool, seen: Evidence) -> list[list[Pool]]:
    """Pools of processes that tasks of this pool made and gave work, by the line that made them."""
    found: dict[str, list[Pool]] = defaultdict(list)
    for pool in measures.inner_pools(outer, seen):
        if pool.messages and not pool.is_threads:
            found[f"{pool.place.file}:{pool.place.line}" if pool.place else ""].append(pool)
    return list(found.values())
