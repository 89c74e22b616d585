"""Lanes that share CPUs: against lanes with a CPU each, and against bounds that hold always."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwise.simulation.pool import Overheads, makespan_ns, simulate

FREE = Overheads(0, 0, 0, 0, 0, 0)
costs = st.lists(st.integers(1, 10**8), min_size=1, max_size=120)
pairs = st.lists(st.tuples(st.integers(0, 10**8), st.integers(0, 10**8)), min_size=1, max_size=120)


@given(costs, st.integers(1, 8))
def test_with_a_cpu_for_each_it_is_as_if_they_had_their_own(costs_ns, lanes):
    overheads = Overheads()
    apart = simulate(costs_ns, lanes, overheads).makespan_ns
    shared = makespan_ns(costs_ns, [0] * len(costs_ns), lanes, lanes + 1, overheads)
    # What is given back differs by a part of a chunk, and with it who runs the last item.
    assert abs(shared - apart) <= max(costs_ns) + 0.1 * apart + 1e6


@given(pairs, st.integers(1, 40), st.integers(1, 8), st.integers(1, 50))
def test_no_schedule_is_faster_than_the_work_allows(items, lanes, cpus, unit):
    cpu_ns, blocked_ns = zip(*items, strict=True)
    found = makespan_ns(cpu_ns, blocked_ns, lanes, cpus, FREE, unit)
    both = [a + b for a, b in items]
    least = max(sum(cpu_ns) / min(cpus, lanes), sum(both) / lanes, *both)
    assert found >= least - 1e3
    assert found <= sum(both) * 1.001 + 1e6


@given(costs, st.floats(0.05, 4))
def test_one_lane_takes_its_work_at_the_speed_that_is_left(costs_ns, cpus):
    found = makespan_ns(costs_ns, [0] * len(costs_ns), 1, cpus, FREE)
    assert found == pytest.approx(sum(costs_ns) / min(1, cpus), rel=1e-3, abs=1e4)


@pytest.mark.parametrize("lanes", [1, 2, 4])
@pytest.mark.parametrize("cpus", [0.3, 1, 1.7, 3])
def test_lanes_have_as_many_cpus_as_they_can_use(lanes, cpus):
    costs_ns = [10**6] * 4000
    found = makespan_ns(costs_ns, [0] * 4000, lanes, cpus, FREE)
    assert sum(costs_ns) / found == pytest.approx(min(lanes, cpus), rel=0.01)


def test_a_little_less_cpu_takes_a_little_more_time():
    costs_ns = [3 * 10**6] * 300
    found = [makespan_ns(costs_ns, [0] * 300, 3, 3 * 0.95**at, Overheads()) for at in range(40)]
    assert found == sorted(found)
    assert all(after / before < 1.1 for before, after in pairwise(found))


def test_the_parent_takes_its_time_from_the_workers():
    costs_ns = [1_000_000] * 400
    busy = Overheads(send_ns=2_000_000, receive_ns=2_000_000, lane_ns=0)
    tight, roomy = (makespan_ns(costs_ns, [0] * 400, 4, cpus, busy) for cpus in (4, 5))
    assert tight > roomy + 1e6


def test_workers_that_are_not_there_yet_are_waited_for():
    warm, cold = (
        makespan_ns([10**6] * 10, [0] * 10, 2, 2, Overheads(start_ns=start_ns))
        for start_ns in (0, 10**8)
    )
    assert cold - warm == pytest.approx(1e8, rel=0.01)


@pytest.mark.parametrize("lanes", [1, 64, 1000])
def test_many_lanes_on_few_cpus_come_to_an_end(lanes):
    found = makespan_ns([10**6] * 500, [10**6] * 500, lanes, 1.5, Overheads())
    assert found >= 500 * 10**6 / 2
