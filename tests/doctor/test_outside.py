"""Serial time in which nobody of the program does anything is told from that in which it works."""

from __future__ import annotations

import pytest

from poolwise.doctor.diagnose import diagnose
from poolwise.doctor.gather.outside import complement, idle_s
from poolwise.doctor.records.run import Run, Sample
from tests.doctor.made_up import pool, run

MS = 1_000_000
ROOT, OTHER = 100, 101

LOCK, POLL, RUNS = ("S", "futex_do_wait"), ("S", "do_poll"), ("R", "-")


def looks(what: tuple[str, str], late: int = 0) -> list[Sample]:
    """Ten looks at a thread, one each 20 ms."""
    return [Sample(at * 20 * MS + late, *what, 0) for at in range(10)]


def observed(**threads: tuple[str, str]) -> Run:
    """A process whose first thread waits for a lock, with others."""
    found = Run({"root": ROOT}, {})
    found.samples[ROOT] = {ROOT: looks(LOCK)}
    for number, what in enumerate(threads.values()):
        found.samples[ROOT][OTHER + number] = looks(what, late=MS)
    return found


@pytest.mark.parametrize(
    ("threads", "idle"),
    [
        ({}, 0.2),
        ({"server": POLL}, 0.2),
        ({"server": POLL, "other": LOCK}, 0.2),
        ({"joined": RUNS}, 0.0),
        ({"downloads": ("S", "tcp_recvmsg")}, 0.0),
        ({"runs_a_command": ("S", "do_wait")}, 0.0),
        ({"sleeps": ("S", "hrtimer_nanosleep")}, 0.0),
    ],
)
def test_who_waits_for_a_thread_is_idle_if_that_does_nothing(threads, idle):
    assert idle_s(observed(**threads), [(0, 200 * MS)]) == pytest.approx(idle)


@pytest.mark.parametrize(
    ("channel", "idle"),
    [("do_epoll_wait", 0.2), ("ep_poll", 0.2), ("poll_schedule_timeout.constprop.0", 0.0)],
)
def test_an_event_loop_waits_to_be_called_and_a_read_with_a_limit_for_its_data(channel, idle):
    seen = observed(pool=LOCK)
    seen.samples[ROOT][ROOT] = looks(("S", channel))
    assert idle_s(seen, [(0, 200 * MS)]) == pytest.approx(idle)


def test_a_thread_that_is_just_waking_up_is_not_hidden():
    seen = observed()
    seen.samples[ROOT][ROOT][3] = Sample(60 * MS, "S", "0", 0)
    assert idle_s(seen, [(0, 200 * MS)]) == pytest.approx(0.18)


def test_only_the_time_asked_for_counts():
    seen = observed()
    seen.samples[ROOT][ROOT][5:] = [Sample(each.at, *RUNS, 0) for each in looks(RUNS)[5:]]
    assert idle_s(seen, [(0, 90 * MS)]) == pytest.approx(0.09)
    assert idle_s(seen, [(95 * MS, 200 * MS)]) == 0


def test_a_kernel_that_hides_what_threads_wait_for_gives_no_answer():
    seen = observed()
    seen.samples[ROOT][ROOT] = looks(("S", "0"))
    assert idle_s(seen, [(0, 200 * MS)]) is None
    assert idle_s(Run({"root": ROOT}, {}), [(0, 200 * MS)]) is None


def test_complement():
    assert complement([(2, 3), (3, 5), (7, 9)], 0, 9) == [(0, 2), (5, 7)]
    assert complement([], 0, 4) == [(0, 4)]


@pytest.mark.parametrize(("idle", "verdict"), [(None, "serial-parent"), (1.6, "healthy")])
def test_a_program_that_waits_for_its_own_server_to_stop_is_not_serial(idle, verdict):
    seen = run(
        pool({"run_cpu": 0.5}), wall_s=2.0, serial_s=1.7, parallel_s=0.25, serial_idle_s=idle
    )
    assert diagnose(seen).verdict == verdict
