"""PW028: a Python loop over arithmetic, which an array library does in one call."""

from __future__ import annotations

from poolwise.doctor.advice import arithmetic, remedies
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Place, Pool, Site
from poolwise.doctor.evidence.measures import Flow
from poolwise.doctor.findings import Answer, Fact, Remedy
from poolwise.doctor.rules.rule import SiteRule
from poolwise.report import figures

LEAST_CPU = 0.7
"""Share of the function's time on a CPU."""

LEAST_WORK = 0.5
"""Share of the usable worker time inside the function: else the pool is what costs."""

TIMES = 10
"""Least gain of arrays over a Python loop of plain arithmetic: from 10 to 100 times is
usual, and 10 is what the seconds at stake are counted with."""


class VectoriseInstead(SiteRule):
    """The function is a Python loop over arithmetic: arrays gain more than any number of workers.

    ## What it does

    Reads the source of the function that fills the workers' time. If it is a `for` over a range
    whose body is only arithmetic on numbers, each round independent of the others (or added up), an
    array library can do the whole loop in a few calls.

    ## Why it costs

    The interpreter takes 30 to 100 ns for every operation that a CPU does in less than one. Eight
    workers make that eight times faster at best; an array library makes it ten to a hundred times
    faster in one thread, and the pool can still come on top.

    ## Example

    ```python
    def integrate(start):
        total = 0.0
        for step in range(60_000):
            x = start + step * 1e-5
            total += (3.0 * x * x - 2.0 * x + 1.0) * 1e-5
        return total
    ```

    ## Use instead

    ```python
    def integrate(start):
        x = start + np.arange(60_000) * 1e-5
        return ((3.0 * x * x - 2.0 * x + 1.0) * 1e-5).sum()
    ```

    Or compile the loop as it stands (numba, Cython).

    ## What is measured

    The function computes (over 70 % on a CPU, over half of the usable worker time), and its source
    is such a loop. Loops whose rounds depend on each other, that branch, or that call anything but
    a few functions of `math` do not count.

    ## What would prove it wrong

    Written with arrays, the function takes as long as before.
    """

    code = "PW028"
    name = "vectorise-instead"
    kind = "advice"

    def judge(self, flow: Flow, where: Place | None, pool: Pool, seen: Evidence) -> Answer | None:
        """Read the function, if computing is what takes the time."""
        if not isinstance(flow, Site) or flow.function_place is None:
            return None
        cpu_s = measures.spent_s(flow, "run_cpu")
        if cpu_s < LEAST_CPU * flow.work_s or flow.work_s < LEAST_WORK * measures.usable_s(flow):
            return None
        loop = arithmetic.find_loop(flow.function_place)
        if loop is None:
            return None
        now_s = remedies.call_wall_s(flow, pool)
        share = min(1.0, cpu_s / measures.usable_s(flow))
        then_s = now_s * (1 - share) + now_s * share / TIMES
        prediction = remedies.predict(flow, pool, seen, then_s, band=0.8)
        name = flow.function.rpartition(".")[2]
        return self.found(
            pool,
            Place(flow.function_place.file, loop, name),
            now_s - then_s,
            f"{name}() is a Python loop over arithmetic: as array operations it would be ten "
            "times faster or more, before any worker is added",
            [
                Fact("cpu_s", cpu_s, f"{figures.seconds(cpu_s)} in it, on a CPU"),
                Fact("loop_line", loop, f"the loop begins at line {loop}"),
                Fact("called_from", str(where or ""), f"called from {where}"),
            ],
            [Remedy("code", "numpy over the whole range, or numba", prediction)],
        )
