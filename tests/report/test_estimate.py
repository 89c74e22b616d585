"""Time left: what is said is true, as far as it can be known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwise.report.live.estimate import Estimator, say_rate, say_time

ITEMS = 1_000


def watch(cost, until, items=ITEMS):
    """What is said at a part of the items, and what was true, if item x of 0..1 costs cost(x)."""
    ends, now = [], 0.0
    for at in range(items):
        now += cost(at / items)
        ends.append(now)
    estimator = Estimator()
    last = int(until * items)
    for at in range(0, last, max(1, items // 300)):
        estimator.note(at + 1, ends[at])
    estimator.note(last, ends[last - 1])
    return estimator.time_left(items, ends[last - 1]), ends[-1] - ends[last - 1]


@pytest.mark.parametrize("until", [0.1, 0.25, 0.5, 0.75, 0.9])
def test_even_costs_give_a_number_that_is_true(until):
    said, true = watch(lambda _: 0.01, until)
    assert said == pytest.approx(true, rel=0.02)


def test_after_a_jump_what_came_last_counts():
    said, true = watch(lambda x: 1 if x < 0.5 else 3, 0.7)
    assert said == pytest.approx(true, rel=0.05)


def test_nothing_is_said_before_there_is_anything_to_go_by():
    estimator = Estimator()
    assert estimator.time_left(100, 5.0) is None
    assert estimator.rate(5.0) is None
    estimator.note(1, 5.0)
    assert estimator.time_left(100, 5.0) is None
    assert estimator.rate(5.0) == pytest.approx(0.2)


def test_start_of_workers_does_not_count():
    estimator = Estimator()
    for at in range(1, 51):
        estimator.note(at, 100.0 + at)
    assert estimator.time_left(100, 150.0) == pytest.approx(50, rel=0.05)


def test_time_goes_by_between_two_notes():
    estimator = Estimator()
    for at in range(1, 51):
        estimator.note(at, at)
    early, late = estimator.time_left(100, 50.0), estimator.time_left(100, 60.0)
    assert late == pytest.approx(early - 10)
    assert estimator.time_left(100, 1e6) == 0


def test_rate_is_of_late_and_sinks_in_a_pause():
    estimator = Estimator()
    for at in range(1, 101):
        estimator.note(at, at)
    for at in range(1, 101):
        estimator.note(100 + at, 100 + at / 10)
    assert estimator.rate(110.0) == pytest.approx(10, rel=0.05)
    assert estimator.rate(210.0) < 1


@given(
    st.lists(st.tuples(st.integers(1, 50), st.floats(0, 10)), min_size=1, max_size=400),
    st.integers(0, 1000),
)
def test_estimates_are_never_nonsense(steps, left):
    estimator, done, now = Estimator(), 0, 0.0
    for more, seconds in steps:
        done, now = done + more, now + seconds
        estimator.note(done, now)
    said = estimator.time_left(done + left, now)
    assert said is None or 0 <= said < 1e9
    rate = estimator.rate(now)
    assert rate is None or rate >= 0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (7.4, "7 s"), (42, "40 s"), (58, "1 min"), (83, "1 min 20 s"), (1260, "21 min"),
     (3570, "1 h"), (7900, "2 h 10 min"), (86400, "24 h")],
)  # fmt: skip
def test_times_are_as_coarse_as_estimates_are(seconds, words):
    assert say_time(seconds) == words


@pytest.mark.parametrize(
    ("rate", "words"),
    [(None, ""), (0, ""), (51_234.5, "51,234 items/s"), (4.26, "4.3 items/s"),
     (0.31, "3.2 s an item"), (0.01, "1 min 40 s an item")],
)  # fmt: skip
def test_rates_read_well(rate, words):
    assert say_rate(rate) == words
