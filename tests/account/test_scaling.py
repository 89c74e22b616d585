"""Made-up pools whose lanes begin and end one after the other, and what that tells."""

from __future__ import annotations

import random

import pytest

from poolwise.account import scaling
from poolwise.account.ledger import ChunkSpan, Laws

LAWS = Laws(0.5, 2.0, None, 0.1, 0.1, None)


def span(lane, begun_s, ended_s, *, items=1, cpu_s=None, function="work", cause="hand_over"):
    cpu_s = ended_s - begun_s if cpu_s is None else cpu_s
    return ChunkSpan(
        lane, 1, function, 0, items, begun_s, begun_s, begun_s, begun_s, ended_s, ended_s, ended_s,
        cpu_s, 0.0, 0, 0, cause,
    )  # fmt: skip


def run_pool(workers, cost_s, *, chunks=40, scatter=0.0, seed=1):
    """One lane more after each round of chunks; ``cost_s(n)`` is what one takes beside the rest."""
    draw, spans, at_s = random.Random(seed), [], 0.0
    for lanes in range(1, workers + 1):
        for _ in range(chunks):
            cost = cost_s(lanes)
            for lane in range(lanes):
                own = cost * (1 + scatter * draw.uniform(-1, 1))
                spans.append(span(lane, at_s, at_s + cost, cpu_s=own))
            at_s += cost
    return spans


def look(spans, workers, variation=0.1):
    return scaling.complete(LAWS, spans, workers, variation)


@pytest.mark.parametrize("k", [0.0, 0.1, 0.5])
def test_work_inflation_is_what_company_costs(k):
    laws = look(run_pool(4, lambda n: 0.01 * (1 + k * (n - 1)), scatter=0.2), 4)
    assert laws.work_inflation == pytest.approx(1 + 3 * k, rel=0.05)
    assert laws.inflation_why == ""


def test_a_pool_whose_lanes_were_all_busy_all_the_time_does_not_know():
    spans = [span(lane, at, at + 1.0) for lane in range(4) for at in range(50)]
    laws = look(spans, 4)
    assert laws.work_inflation is None
    assert "4.0 to 4.0 lanes" in laws.inflation_why
    assert "those of 4" in laws.why


def test_items_that_differ_more_than_company_costs():
    draw = random.Random(1)
    spans = run_pool(2, lambda _: 0.01, chunks=10)
    spans = [span(s.lane, s.begun_s, s.ended_s, cpu_s=draw.expovariate(100)) for s in spans]
    laws = look(spans, 2, variation=1.0)
    assert laws.work_inflation is None
    assert "from item to item" in laws.inflation_why


def test_costs_that_follow_the_input_are_no_inflation():
    laws = look(run_pool(4, lambda n: 0.01 / n), 4)
    assert laws.work_inflation is None
    assert "the input, not company" in laws.inflation_why


def test_one_worker_has_no_company():
    assert look(run_pool(1, lambda _: 0.01), 1).work_inflation is None


def test_the_best_number_is_where_the_law_has_its_peak():
    def cost_s(n, contention=0.05, coherence=0.01):
        return 0.01 * (1 + contention * (n - 1) + coherence * n * (n - 1))

    laws = look(run_pool(8, cost_s), 8)
    assert laws.best_workers == pytest.approx((0.95 / 0.01) ** 0.5, rel=0.02)
    assert laws.why == ""


def test_a_pool_that_scales_has_no_best_number():
    laws = look(run_pool(8, lambda _: 0.01), 8)
    assert laws.best_workers is None
    assert "only rises" in laws.why


def test_few_worker_counts_are_no_law():
    laws = look(run_pool(3, lambda n: 0.01 * n), 3)
    assert laws.best_workers is None
    assert laws.why.endswith("this run tells those of 1, 2, 3")


def test_a_straggler_is_no_rate_of_a_lane_alone():
    """What runs alone at the end is one item that took long: it says nothing of the others."""
    spans = [span(lane, at, at + 1.0) for lane in range(8) for at in range(30)]
    spans.append(span(0, 30.0, 90.0))
    assert "those of 8" in look(spans, 8, variation=1.0).why


def test_two_functions_have_no_rate_in_common():
    spans = run_pool(8, lambda _: 0.01)
    other = [span(s.lane, s.begun_s, s.ended_s, function="other") for s in spans[::3]]
    assert "several functions" in look([*spans, *other], 8).why


def test_a_lane_that_waits_for_input_does_not_strive_for_work():
    spans = [span(lane, at, at + 0.5) for lane in range(2) for at in range(60)]
    starved = [
        ChunkSpan(
            2, 1, "work", 0, 1, at, at + 0.5, at + 0.5, at + 0.5, at + 1, at + 1, at + 1, 0.5, 0.0,
            0, 0, "input_slow",
        )
        for at in range(60)
    ]  # fmt: skip
    assert set(scaling._rates([*spans, *starved])) == {1, 2}


def test_nothing_run_nothing_known():
    laws = look([], 4)
    assert laws.work_inflation is None
    assert laws.best_workers is None
