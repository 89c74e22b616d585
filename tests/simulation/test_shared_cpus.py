"""Lanes that share CPUs: against lanes with a CPU each, and against bounds that hold always."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwise.simulation.pool import Machine, Overheads, makespan_ns, simulate

FREE = Overheads(0, 0, 0, 0, 0, 0)
costs = st.lists(st.integers(1, 10**8), min_size=1, max_size=120)
pairs = st.lists(st.tuples(st.integers(0, 10**8), st.integers(0, 10**8)), min_size=1, max_size=120)


@given(costs, st.integers(1, 8))
def test_with_a_cpu_for_each_it_is_as_if_they_had_their_own(costs_ns, lanes):
    overheads = Overheads()
    apart = simulate(costs_ns, lanes, overheads).makespan_ns
    shared = makespan_ns(costs_ns, [0] * len(costs_ns), lanes, Machine(lanes + 1), overheads)
    # What is given back differs by a part of a chunk, and with it who runs the last item.
    assert abs(shared - apart) <= max(costs_ns) + 0.1 * apart + 1e6


@given(pairs, st.integers(1, 40), st.integers(1, 8), st.integers(1, 50))
def test_no_schedule_is_faster_than_the_work_allows(items, lanes, cpus, unit):
    cpu_ns, blocked_ns = zip(*items, strict=True)
    found = makespan_ns(cpu_ns, blocked_ns, lanes, Machine(cpus), FREE, unit)
    both = [a + b for a, b in items]
    least = max(sum(cpu_ns) / min(cpus, lanes), sum(both) / lanes, *both)
    assert found >= least - 1e3
    assert found <= sum(both) * 1.001 + 1e6


@given(costs, st.floats(0, 4))
def test_one_lane_on_one_cpu_takes_its_work_and_what_others_take(costs_ns, others):
    alone = makespan_ns(costs_ns, [0] * len(costs_ns), 1, Machine(1), FREE)
    assert alone == pytest.approx(sum(costs_ns), rel=1e-3, abs=1e3)
    beside = makespan_ns(costs_ns, [0] * len(costs_ns), 1, Machine(1, others), FREE)
    assert beside >= alone - 1e3


@pytest.mark.parametrize(
    ("lanes", "hogs", "share"),
    [(1, 2, 2 / 3), (2, 2, 1), (4, 4, 1), (1, 7, 1 / 4), (1, 1.5, 0.8), (2, 0.5, 1.6)],
)
def test_many_lanes_on_few_cpus_come_to_an_end(lanes):
    found = makespan_ns([10**6] * 500, [10**6] * 500, lanes, Machine(2, 1.5), Overheads())
    assert found >= 500 * 10**6 / 2
