"""Looking before sleeping: how rarely it is tried again follows from what it cost."""

from __future__ import annotations

import itertools

import pytest

from poolwise.wire import waiting


class Poll:
    """Never ready; counts what it was asked without waiting, and with."""

    def __init__(self):
        self.looks = self.sleeps = 0

    def poll(self, timeout):
        self.looks += timeout == 0
        self.sleeps += timeout != 0
        return []


def waits_until_next_look(monkeypatch, look_ns):
    """How many waits go by without a look after one that failed and took so long."""
    poll = Poll()
    waiter = waiting.Waiter(poll)
    clock = itertools.count(0, look_ns)
    monkeypatch.setattr(waiting.time, "perf_counter_ns", lambda: next(clock))
    waiter.wait(1)
    for number in itertools.count():
        poll.looks = 0
        waiter.wait(1)
        if poll.looks > 1:  # each wait asks once whatever it does then
            return number
    return None


@pytest.mark.parametrize(("look_ns", "waits"), [(100_000, 1), (800_000, 10), (4_000_000, 50)])
def test_a_look_that_cost_more_is_tried_more_rarely(monkeypatch, look_ns, waits):
    assert waits_until_next_look(monkeypatch, look_ns) == waits


def test_looks_that_pay_are_done_again(monkeypatch):
    poll = Poll()
    waiter = waiting.Waiter(poll)
    answers = itertools.cycle([[], [(1, 1)]])
    monkeypatch.setattr(poll, "poll", lambda _: next(answers))
    waiter = waiting.Waiter(poll)
    for _ in range(5):
        assert waiter.wait(1) == [(1, 1)]
