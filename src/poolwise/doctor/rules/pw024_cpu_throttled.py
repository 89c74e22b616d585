"""PW024: the control group's quota stops the program again and again."""

from __future__ import annotations

from collections.abc import Iterator

from poolwise.doctor import words
from poolwise.doctor.advice import remedies
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence
from poolwise.doctor.findings import Answer, Fact, Remedy
from poolwise.doctor.rules.rule import Rule
from poolwise.report import figures

LEAST_SHARE = 0.1
"""Least share of the wall time in which the kernel kept the group's threads from running."""


class CpuThrottled(Rule):
    """The container's CPU quota is used up, and the kernel stops the program until the next period.

    ## What it does

    Reads what the kernel counts for the control group of the program: periods in which its quota
    was used up, and how long threads were kept from running for it.

    ## Why it costs

    With a quota of half a CPU, the group may run 50 ms in every 100. Two workers use that up in
    25 ms and then all of them, and the parent, stand still for 75. `os.cpu_count()` still says
    how many CPUs the machine has.

    ## Example

    ```python
    with Pool() as pool:            # as many workers as the machine has CPUs,
        pool.map(fold, proteins)    # in a container that may use half of one
    ```

    ## Use instead

    ```python
    with poolwise.Pool() as pool:   # counts what every level of the control group leaves
        pool.map(fold, proteins)
    ```

    Or give the container more (`docker run --cpus`, `resources.limits.cpu`): the program cannot.

    ## What is measured

    Throttled time over 10 % of the wall time.

    ## What would prove it wrong

    With a larger quota the program takes as long as before.
    """

    code = "PW024"
    name = "cpu-throttled"
    is_always_said = True
    explains = frozenset(
        {
            "oversubscribed-processes", "oversubscribed-threads", "mixed-cpu-io", "io-bound",
            "startup", "not-worth-a-pool", "serial-parent", "imbalance-chunks", "imbalance-item",
            "gil-bound-threads", "lock-serialised",
        }
    )  # fmt: skip

    def examine(self, seen: Evidence) -> Iterator[Answer]:
        """Look at the group's counters."""
        program = seen.program
        if not program.throttled_s or program.wall_s <= 0:
            return
        share = min(1.0, program.throttled_s / program.wall_s)
        if share < LEAST_SHARE:
            return
        pools = list(measures.process_pools(seen))
        pool = max(pools, key=lambda each: each.slots, default=None)
        found = [Remedy("code", "a larger quota for the container: the program itself cannot")]
        if pool is not None and pool.slots > program.cpus:
            count = max(1, int(program.cpus))
            found.append(remedies.set_workers(pool, count, None, why=", as the quota allows"))
        quota = program.quota_cpus or program.cpus
        yield self.found(
            pool,
            pool.place if pool else None,
            share * program.wall_s,
            f"The control group allows {quota:g} CPUs, and the kernel stopped the program for "
            f"{figures.seconds(program.throttled_s)} because they were used up",
            [
                Fact("quota_cpus", quota, f"quota: {quota:g} CPUs"),
                Fact("throttled_s", program.throttled_s, figures.seconds(program.throttled_s)),
                Fact(
                    "periods",
                    program.throttled_periods or 0,
                    words.count(program.throttled_periods or 0, "throttled period"),
                ),
            ],
            found,
        )
