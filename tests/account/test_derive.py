"""The formulas of the ledger, with lists."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwise.account import derive
from poolwise.account.states import merge
from poolwise.worker.stopwatch import edge_ns, step_of

seconds = st.floats(0, 1e4)


def test_a_distribution_says_what_most_took():
    histogram = {step_of(1e6): 98, step_of(1e9): 2}
    times = derive.make_distribution(histogram, 98 * 1e-3 + 2 * 1.0, 1.0)
    assert times.count == 100
    assert times.mean_s == pytest.approx(0.02098)
    assert times.p50_s == times.p90_s == pytest.approx(1e-3, rel=0.1)
    assert times.p99_s == pytest.approx(1.0, rel=0.1)
    assert times.max_s == 1.0
    assert times.variation == pytest.approx(6.7, rel=0.1)


def test_no_times_no_distribution():
    assert derive.make_distribution({}, 0.0, 0.0) is None
    assert derive.distribute([]) is None


@given(st.lists(st.floats(1e-8, 1e4), min_size=1))
def test_times_measured_one_by_one_are_all_in_the_distribution(times_s):
    found = derive.distribute(times_s)
    assert sum(number for _, _, number in found.histogram) == found.count == len(times_s)
    assert found.mean_s == pytest.approx(sum(times_s) / len(times_s))
    assert found.max_s == max(times_s)
    assert found.p50_s == pytest.approx(sorted(times_s)[(len(times_s) - 1) // 2], rel=0.1)


@given(st.floats(2, 1e12))
def test_a_duration_lies_between_the_edges_of_its_step(ns):
    step = step_of(ns)
    assert edge_ns(step) * 0.999 <= ns <= edge_ns(step + 1) * 1.001


def sums(points):
    xs, ys = zip(*points, strict=True)
    return (
        len(points),
        sum(xs),
        sum(ys),
        sum(x * x for x in xs),
        sum(x * y for x, y in points),
    )


def test_the_cost_of_an_item_and_of_a_chunk():
    assert derive.fit_line(*sums([(n, 5.0 + 2.0 * n) for n in (1, 2, 4, 9)])) == pytest.approx(
        (2.0, 5.0)
    )


@pytest.mark.parametrize("points", [[(1, 3.0), (2, 5.0)], [(4, 3.0)] * 9])
def test_no_line_through_too_little(points):
    assert derive.fit_line(*sums(points)) is None


@given(
    st.dictionaries(st.sampled_from(["start", "unpickle", "run_cpu", "run_queued"]), seconds),
    st.dictionaries(st.sampled_from(["tail", "input_slow", "parent_pickle"]), seconds),
)
def test_the_factors_multiply_to_what_the_losses_leave(account, idle):
    # "wait" and "tail" are what the causes add up to
    account = {**account, "wait": sum(idle.values()) - idle.get("tail", 0.0)}
    account["tail"] = idle.get("tail", 0.0)
    factors = derive.split_efficiency(merge(account, idle))
    product = math.prod(factor.value for factor in factors)
    left = 1 - sum(factor.lost_share for factor in factors)
    assert product == pytest.approx(left if sum(account.values()) else 1.0, abs=1e-6)
    assert all(0 <= factor.value <= 1 for factor in factors)


def test_amdahl():
    assert derive.amdahl(0.0, 8) == 8
    assert derive.amdahl(0.1, 1e12) == pytest.approx(10)


def test_laws_of_a_pool_whose_parent_is_the_limit():
    laws = derive.make_laws(8.0, 4.0, 4, parent_busy_s=3.0, longest_s=0.1)
    assert laws.speedup == 2.0
    assert laws.efficiency == 0.5
    assert laws.ceiling == pytest.approx(8 / 3)
    assert laws.serial_fraction == 0.75


def test_laws_of_nothing():
    assert derive.make_laws(0.0, 0.0, 4, 0.0, 0.0).ceiling is None
