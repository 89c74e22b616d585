"""The budget: what is recorded when messages come fast, and that it is bounded."""

from __future__ import annotations

from itertools import pairwise

import pytest

from poolwise.doctor.boot._poolwise_observer import gate


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    """Nothing was recorded before."""
    monkeypatch.setattr(gate.Gate, "recorded", 0)
    monkeypatch.setattr(gate.Gate, "usual_ns", float(gate.PERIOD_NS))


def drive(interval_ns, cost_ns, messages=200_000):
    """Positions of the messages that are recorded, when one comes every `interval_ns`."""
    probe = gate.Gate()
    recorded, skip = [], 0
    for position in range(messages):
        at = 1 + position * interval_ns
        if skip:
            skip -= 1
        elif probe.stays_dark(at):
            skip = probe.skip
        elif probe.opens(at):
            recorded.append(position)
            probe.spend(cost_ns)
    assert probe.seen - skip == messages
    return recorded


def test_the_first_messages_are_recorded_however_fast_they_come():
    assert drive(1_000, 20_000)[: gate.FULL] == list(range(gate.FULL))


def test_the_probes_of_a_hundredth_pool_begin_with_fewer():
    for _ in range(20):
        drive(20_000, 20_000, messages=200)
    assert len(drive(20_000, 20_000, messages=200)) <= gate.FEWER + 2 * gate.LEAST
    assert len(drive(20_000_000, 20_000, messages=200)) > 100  # the slow ones are still seen


def test_slow_messages_are_all_recorded():
    assert len(drive(20_000_000, 20_000, messages=1_000)) == 1_000


@pytest.mark.parametrize("interval_ns", [2_000, 20_000, 200_000])
def test_records_take_no_more_than_the_budget(interval_ns):
    recorded = len(drive(interval_ns, 20_000)) - gate.FULL
    share = recorded * 20_000 / (200_000 * interval_ns)
    few = (gate.SKIP + gate.LEAST) * 20_000 / gate.PERIOD_NS
    assert 0 < share < 1.2 * max(gate.BUDGET, few)


def test_windows_begin_with_periods_of_the_shared_clock():
    late = [position for position in drive(20_000, 20_000) if position > 2 * gate.FULL]
    starts = [now for before, now in pairwise(late) if now - before > 1]
    offsets = {(1 + position * 20_000) % gate.PERIOD_NS for position in starts}
    assert max(offsets) <= (gate.SKIP + 2) * 20_000
