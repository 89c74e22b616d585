"""The policy on thousands of simulated lanes' worth of work: what `benchmarks/simulated` prints."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import simulated
from poolwise.simulation.pool import Overheads, bound_ns, simulate

costs_of_items = st.lists(st.integers(0, 10**8), min_size=1, max_size=300)


@cache
def shapes():
    return simulated.shapes()


@cache
def efficiencies(name, lanes, most_items=10**9):
    run = simulated.ENTRANTS[name]
    chosen = [costs for costs in shapes().values() if len(costs) <= most_items]
    return {at: run(costs, lanes) for at, costs in enumerate(chosen)}


@pytest.mark.parametrize("shape", simulated.shapes())
def test_eight_workers_are_kept_busy_whatever_the_costs(shape):
    assert simulate(shapes()[shape], 8).efficiency >= 0.90


@pytest.mark.slow
@pytest.mark.parametrize("rule", [name for name in simulated.ENTRANTS if name != simulated.OURS])
@pytest.mark.parametrize("lanes", [32, 64])
def test_no_other_rule_serves_many_workers_better(lanes, rule):
    # a million chunks of one item take seconds to simulate and are a hopeless case anyway
    most_items = 100_000 if rule == "chunksize 1" else 10**9
    ours, other = (efficiencies(name, lanes, most_items) for name in (simulated.OURS, rule))
    assert simulated.worst(ours) >= simulated.worst(other)
    assert simulated.geometric_mean(ours) > simulated.geometric_mean(other)


@pytest.mark.parametrize("shape", simulated.shapes())
def test_a_thousand_lanes_get_through_it(shape):
    run = simulate(shapes()[shape], 1000)
    assert 0 < run.bound_ns <= run.makespan_ns


@pytest.mark.parametrize("shape", simulated.shapes())
def test_an_input_of_unknown_length_keeps_eight_workers_busy(shape):
    assert simulate(shapes()[shape], 8, is_length_known=False).efficiency >= 0.70


@given(costs_of_items, st.integers(1, 40), st.booleans())
def test_every_item_is_answered_for_once(costs_ns, lanes, is_length_known):
    run = simulate(costs_ns, lanes, is_length_known=is_length_known)  # its sink checks
    assert run.makespan_ns >= bound_ns(costs_ns, lanes, Overheads())


@settings(max_examples=30)
@given(costs_of_items, st.integers(1, 40), st.sampled_from([0, 10**5, 10**8]))
def test_every_item_is_answered_for_once_however_late_lanes_hear(costs_ns, lanes, hear_ns):
    simulate(costs_ns, lanes, replace(Overheads(), hear_ns=hear_ns))


def test_what_a_lane_holds_is_shared_when_costs_rise_at_once():
    run = simulate([10_000] * 1000 + [100_000_000] * 16, 8)
    assert run.given_back > 0
    assert run.efficiency > 0.6


def test_even_costs_need_no_sharing():
    run = simulate([1_000_000] * 2000, 8)
    assert (run.asked, run.given_back) == (0, 0)
