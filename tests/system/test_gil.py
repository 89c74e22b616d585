"""How much of its time a function needs the interpreter's lock, seen from another thread."""

from __future__ import annotations

import pytest

from poolwise.system import gil


class World:
    """A clock, and a function that runs in another thread.

    :param burst_ns: it computes for so long without the lock, then needs it.
    :param cpus: of the machine: with one, nothing computes beside the thread that looks.
    """

    def __init__(self, burst_ns, *, is_held=False, cpus=2):
        self.now_ns = self.cpu_ns = self.queued_ns = 0
        self.burst_ns = burst_ns
        self.is_held = is_held
        self.cpus = cpus
        self.left_ns = burst_ns

    def perf_counter_ns(self):
        step_ns = 1000
        self.now_ns += step_ns
        if self.cpus == 1 and self.left_ns:
            self.queued_ns += step_ns
        else:
            done_ns = min(step_ns, self.left_ns)
            self.cpu_ns += done_ns
            self.left_ns -= done_ns
        return self.now_ns

    def sleep(self, seconds):
        """The lock is free: the function goes on."""
        spent_ns = round(seconds * 1e9)
        self.now_ns += spent_ns + (5_000_000 if self.is_held else 0)
        self.cpu_ns += spent_ns
        self.left_ns = self.burst_ns

    def read_ns(self):
        return 0

    def close(self):
        pass


def look(monkeypatch, world):
    monkeypatch.setattr(gil, "time", world)
    monkeypatch.setattr(gil, "RunQueue", lambda: world)
    return gil.look(
        lambda: True, lambda: False, lambda: world.cpu_ns, lambda: world.queued_ns, world.sleep
    )


@pytest.mark.parametrize("burst_ns", [0, 5_000, 10_000])
def test_code_that_lets_the_lock_go_for_moments_needs_it(burst_ns, monkeypatch):
    """Small files, opened and read: who waits for the lock has it soon, and threads gain little."""
    assert look(monkeypatch, World(burst_ns)) > 0.5


def test_code_that_computes_without_the_lock_does_not_need_it(monkeypatch):
    assert look(monkeypatch, World(10_000_000)) < 0.1


def test_code_that_keeps_the_lock_needs_all_of_it(monkeypatch):
    assert look(monkeypatch, World(0, is_held=True)) == 1.0


def test_who_gets_no_cpu_is_not_taken_for_one_who_waits_for_the_lock(monkeypatch):
    assert look(monkeypatch, World(10_000_000, cpus=1)) < 0.1
