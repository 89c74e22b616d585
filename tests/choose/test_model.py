"""The prediction: from costs to a choice, without running anything."""

from __future__ import annotations

import pytest

from poolwise.choose.model import (
    KINDS,
    Growth,
    Machine,
    Measured,
    Prediction,
    choose,
    left_to_expect,
    predict,
)

TWO = Machine(2, 0.03)
EIGHT = Machine(8, 0.03)
US, MS = 1e-6, 1e-3


def cpu(wall_s, *, send_s=2 * US, gil=1.0, cpus=1.0):
    return Measured(100, wall_s, wall_s, wall_s * cpus, send_s, gil)


def waiting(wall_s, share=0.95):
    return Measured(100, wall_s, wall_s * (1 - share), wall_s * (1 - share), 2 * US, None)


DECISIONS = {
    "tiny, a million": (cpu(0.05 * US), 1_000_000, TWO, "serial"),
    "less work than sending": (cpu(0.9 * US, send_s=2.1 * US), 10_000_000, EIGHT, "serial"),
    "medium": (cpu(100 * US), 10_000, TWO, "processes"),
    "heavy": (cpu(50 * MS), 20, TWO, "processes"),
    "too few for a start": (cpu(5 * MS), 4, TWO, "serial"),
    "few, and workers there": (cpu(5 * MS), 4, Machine(2, 0.0), "processes"),
    "three long": (cpu(1.0), 3, TWO, "processes"),
    "one long": (cpu(1.0), 1, TWO, "serial"),
    "one CPU": (cpu(10 * MS), 1000, Machine(1, 0.03), "serial"),
    "big arguments": (cpu(10 * MS, send_s=20 * MS), 1000, EIGHT, "serial"),
    "releases the GIL": (cpu(2 * MS, gil=0.0), 1000, TWO, "threads"),
    "releases it, big arguments": (cpu(10 * MS, send_s=20 * MS, gil=0.0), 1000, EIGHT, "threads"),
    "holds it half of the time": (cpu(10 * MS, gil=0.5), 1000, EIGHT, "processes"),
    "threaded already": (cpu(10 * MS, gil=0.0, cpus=2.0), 1000, TWO, "serial"),
    "sleep": (waiting(10 * MS), 300, TWO, "threads"),
    "sleep, one CPU": (waiting(10 * MS), 300, Machine(1, 0.03), "threads"),
    "short requests": (waiting(1 * MS), 1000, TWO, "threads"),
    "half CPU, half I/O": (waiting(10 * MS, 0.5), 1000, EIGHT, "processes"),
    "waits, one item": (waiting(1.0), 1, TWO, "serial"),
}


@pytest.mark.parametrize("name", DECISIONS)
def test_decisions(name):
    measured, left, machine, expected = DECISIONS[name]
    assert choose(predict(measured, left, machine, KINDS), "serial").kind == expected


@pytest.mark.parametrize("forbidden", ["threads", "processes"])
@pytest.mark.parametrize("name", DECISIONS)
def test_what_is_not_allowed_is_not_predicted(name, forbidden):
    measured, left, machine, _ = DECISIONS[name]
    ways = predict(measured, left, machine, set(KINDS) - {forbidden})
    assert forbidden not in {way.kind for way in ways}


def test_workers_are_no_more_than_items_or_asked_for():
    by_kind = {w.kind: w.workers for w in predict(cpu(1.0), 3, EIGHT, KINDS)}
    assert by_kind == {"serial": 1, "threads": 3, "processes": 3}
    by_kind = {w.kind: w.workers for w in predict(cpu(1.0), 99, Machine(8, 0.0, 2), KINDS)}
    assert by_kind == {"serial": 1, "threads": 2, "processes": 2}


def test_what_is_in_use_stays_unless_something_is_clearly_better():
    ways = [Prediction("threads", 2, 0.95), Prediction("serial", 1, 1.0)]
    assert choose(ways, "serial").kind == "serial"
    ways[0].seconds = 0.5
    assert choose(ways, "serial").kind == "threads"


def test_unknown_length_is_reckoned_as_what_was_paid_so_far():
    assert left_to_expect(70, None) == 70
    assert left_to_expect(70, 5) == 5
    assert left_to_expect(0, None) == 1


def grow(rate_of_size, most=64):
    """Simulated: items come at the rate that so many threads have."""
    growth, now_s = Growth(8, most), 0.0
    growth.begin(0, 0.0)
    for done in range(1, 10_000):
        now_s += 1 / rate_of_size(growth.size)
        growth.observe(done, now_s)
    return growth


def test_threads_grow_while_throughput_does():
    assert grow(lambda size: 100.0 * size).size == 64
    assert grow(lambda size: 100.0 * min(size, 16)).size == 32  # one step too many, then held
    assert grow(lambda _: 100.0).size == 16
    assert grow(lambda _: 100.0).is_settled


def test_growth_needs_a_window_that_says_something():
    growth = Growth(8, 64)
    growth.begin(0, 0.0)
    assert growth.observe(7, 1.0) is None  # fewer items than threads
    assert growth.observe(8, 0.001) is None  # too short
    assert growth.observe(8, 0.1) == 16
