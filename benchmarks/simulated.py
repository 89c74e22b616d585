"""The pool's policy on 8, 32 and 64 workers that this machine does not have: in simulated time.

``python -m benchmarks.simulated`` prints the efficiency (lower bound / makespan, %) of the real
scheduling code over twelve cost shapes, beside that of the rules it could have used. All are
charged the same overheads. Nothing in it depends on the machine.
"""

from __future__ import annotations

import math
import random
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.chunk_rules import RULES, Rule, Truth, makespan_of
from benchmarks.cost_shapes import lognormal
from poolwise.core.batching import ChunkLimits, ChunkSizer
from poolwise.simulation.pool import Overheads, bound_ns, simulate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LANES = (8, 32, 64)
OURS = "poolwise"
_SEED = 20_261_124
_WORK_US = 4e6

Costs = dict[str, list[int]]


def shapes() -> Costs:
    """Name -> cost of each item, ns. Four seconds of work each, but where the name says how much.

    Sigma of the 64 jobs is 0.5: with 1, as in `cost_shapes`, no order of work that does not know
    the costs comes near the bound at 8 lanes.
    """
    draw = random.Random(_SEED)
    many = round(_WORK_US / 200)
    ramp = [600.0 * i / (_WORK_US / 300) for i in range(round(_WORK_US / 300))]
    fast, slow = [10.0] * round(_WORK_US / 110), [1000.0] * round(_WORK_US / 1100)
    in_us: Mapping[str, Sequence[float]] = {
        "constant 1 us": [1.0] * 1_000_000,
        "constant 20 us": [20.0] * round(_WORK_US / 20),
        "constant 1 ms": [1000.0] * round(_WORK_US / 1000),
        "exponential, 200 us": [draw.expovariate(1 / 200) for _ in range(many)],
        "lognormal sigma 2, 200 us": [lognormal(draw, 200, 2) for _ in range(many)],
        "ascending to 600 us": ramp,
        "descending from 600 us": ramp[::-1],
        "10 us, then 1 ms": fast + slow,
        "1 ms, then 10 us": slow + fast,
        "100 us, 1 % of 10 ms": [1e4 if draw.random() < 0.01 else 100.0 for _ in range(many)],
        "64 lognormal jobs, 1 s in all": [lognormal(draw, 1e6 / 64, 0.5) for _ in range(64)],
        "100 x 10 ms": [10_000.0] * 100,
    }
    return {name: [round(cost * 1000) for cost in costs] for name, costs in in_us.items()}


def by_rule(rule: Callable[[Truth], Rule], costs_ns: Sequence[int], lanes: int) -> float:
    """The efficiency of a rule on a queue that all lanes share."""
    truth = Truth(costs_ns, lanes, Overheads())
    return bound_ns(costs_ns, lanes, truth.overheads) / makespan_of(rule(truth), truth)


def by_limits(limits: ChunkLimits | None, costs_ns: Sequence[int], lanes: int) -> float:
    """The efficiency of the pool's own code, perhaps with other limits."""
    sizer = ChunkSizer(lanes, limits=limits) if limits else None
    return simulate(costs_ns, lanes, sizer=sizer).efficiency


_UNBOUNDED = partial(
    ChunkLimits, least_ns=0, parent_ns=0, most_ns=10**15, most_bytes=10**15, growth=10**9
)

ENTRANTS: dict[str, Callable[[Sequence[int], int], float]] = {
    OURS: partial(by_limits, None),
    **{name: partial(by_rule, rule) for name, rule in RULES.items()},
    "GSS, give-back": partial(by_limits, _UNBOUNDED(share=1.0)),
    "FAC2, give-back": partial(by_limits, _UNBOUNDED(share=2.0)),
}


def worst(by_shape: Mapping[str, float]) -> float:
    return min(by_shape.values())


def geometric_mean(by_shape: Mapping[str, float]) -> float:
    return math.exp(sum(map(math.log, by_shape.values())) / len(by_shape))


def print_table(lanes: int, costs: Costs) -> None:
    print(f"\n== {lanes} workers: efficiency, %, and the twelve shapes in the order named")
    print(f"   {'':<24}{'worst':>6}{'mean':>6}")
    for name, run in ENTRANTS.items():
        by_shape = {shape: run(costs[shape], lanes) for shape in costs}
        cells = "".join(f"{100 * value:>5.0f}" for value in by_shape.values())
        summary = f"{100 * worst(by_shape):>6.1f}{100 * geometric_mean(by_shape):>6.1f}"
        print(f"   {name:<24}{summary}   {cells}")


def main() -> None:
    costs = shapes()
    print("shapes: " + "; ".join(costs))
    print("the mean is geometric; 'told all' knows the true mean, deviation and overhead")
    for lanes in LANES:
        print_table(lanes, costs)


if __name__ == "__main__":
    main()
