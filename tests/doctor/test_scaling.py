"""Speed-up, ceilings and the number of workers that is enough, where the answer is known."""

from __future__ import annotations

import dataclasses

import pytest

from poolwise.account import derive
from poolwise.doctor.evidence.measures import useful_s
from poolwise.doctor.predict.scaling import MostWorkers, Scaling, enough_workers, find_scaling
from poolwise.doctor.render.present import say_scaling
from tests.doctor.made_up import pool, run


def scaling_of(*pools, **facts) -> Scaling:
    seen = run(*pools, **facts)
    found = find_scaling(seen, {each.id: [None] * len(each.sites) for each in pools})
    assert found is not None
    return found


def test_amdahl_by_hand():
    """1 s outside and 3 s of work on two workers: 4 s as a loop, 2.5 s as it was, 1 s at least."""
    busy = pool({"run_cpu": 3.0}, creation_s=0.1, teardown_s=0.1)
    found = scaling_of(busy, wall_s=2.7, serial_s=1.2, parallel_s=1.5)
    assert found.speedup == pytest.approx(4 / 2.7)
    assert found.serial_share == pytest.approx(0.25)
    assert found.ceiling == pytest.approx(4)


def test_what_the_parent_has_to_move_bounds_it_too():
    busy = pool({"run_cpu": 3.0}, creation_s=0.0, teardown_s=0.0)
    laws = derive.make_laws(3.0, 1.5, 2, 1.0, 0.01)
    found = scaling_of(
        dataclasses.replace(busy, laws=laws), wall_s=2.5, serial_s=1.0, parallel_s=1.5
    )
    assert found.ceiling == pytest.approx(4)
    assert found.ceiling_as_is == pytest.approx(2)
    assert say_scaling(found, 2, None).endswith("; at most 2.0x however many.")


def test_a_plain_loop_waits_for_no_lock():
    waiting = pool({"run_cpu": 1.0, "run_blocked": 2.0}, blocked_by={"lock": 1.5, "sleep": 0.5})
    assert useful_s(waiting) == pytest.approx(1.5)


def test_a_task_that_waits_for_a_pool_of_its_own_does_not_count_twice():
    outer = pool({"run_cpu": 0.5, "run_blocked": 4.0}, pid=100, creation_s=0.0, teardown_s=0.0)
    inner = pool({"run_cpu": 4.0}, pid=101, id=2)  # the first worker of the outer one
    found = scaling_of(outer, inner, wall_s=2.75, serial_s=0.5)
    assert found.speedup == pytest.approx((0.5 + 0.5 + 4.0) / 2.75)


def test_nothing_is_said_where_no_pool_worked():
    assert find_scaling(run(wall_s=1.0), {}) is None


@pytest.mark.parametrize(
    ("time_s", "enough"),
    [
        (lambda workers: 1 / min(workers, 2), 2),
        (lambda workers: 1 / min(workers, 5), 5),
        (lambda workers: 0.2 + 1 / workers**2, 10),
        (lambda _: 1.0, 1),
        (lambda workers: 1 / workers, None),
    ],
)
def test_enough_workers(time_s, enough):
    found = enough_workers(time_s, 16)
    assert found == enough
    if found:
        assert time_s(found) <= 1.031 * time_s(16)


def test_the_line_names_the_workers_only_where_they_are_known():
    scaling = Scaling(1.5, 4.0, 4.0, 0.25, [])
    said = say_scaling(scaling, 2, MostWorkers(1, 2, "simulation", ""))
    assert said.startswith("2 workers: 1.5x the speed of a plain loop; at most 4.0x however many;")
    assert said.endswith("more than 2 workers gain nothing here (simulated).")
    assert "gain nothing" not in say_scaling(scaling, 2, MostWorkers(1, None, None, "why"))


def test_beside_other_programs_the_speed_up_is_that_of_a_free_machine():
    """Tasks computed for 2 s and waited for CPUs as long: one second of the wall was the load's."""
    busy = pool({"run_cpu": 2.0, "run_queued": 2.0}, creation_s=0.0, teardown_s=0.0)
    facts = {"wall_s": 2.0, "serial_s": 0.0, "parallel_s": 2.0}
    assert scaling_of(busy, **facts, other_cpus=1.5).speedup == pytest.approx(2.0)
    assert scaling_of(busy, **facts, other_cpus=0.0).speedup == pytest.approx(1.0)
