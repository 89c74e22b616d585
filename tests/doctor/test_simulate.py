"""The simulated pool against closed forms, and against the pool's own scheduling code."""

from __future__ import annotations

import math

import pytest

from poolwise.doctor.predict.schedule import makespan_s
from poolwise.doctor.predict.simulate import BYTES_PER_S, Costs, Load, simulate
from poolwise.simulation import pool as simulator


def computing(*cpu_s: float) -> Load:
    return Load(cpu_s, [0.0] * len(cpu_s), len(cpu_s))


def waiting(each_s: float, items: int) -> Load:
    return Load([0.0], [each_s], items)


@pytest.mark.parametrize(("workers", "cpus"), [(1, 1), (2, 2), (4, 4), (4, 2), (12, 2)])
def test_even_work_takes_its_share_of_the_cpus(workers: int, cpus: int) -> None:
    load = Load([0.01], [0.0], 240)
    assert simulate(load, 1, workers, cpus) == pytest.approx(2.4 / min(workers, cpus), rel=0.02)


@pytest.mark.parametrize("workers", [1, 2, 5, 16])
def test_waiting_needs_no_cpu(workers: int) -> None:
    expected = math.ceil(64 / workers) * 0.02
    assert simulate(waiting(0.02, 64), 1, workers, 1) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("chunk", [1, 2, 7, 25])
def test_uneven_work_ends_as_list_scheduling_says(chunk: int) -> None:
    costs_s = [0.001 * (1 + at % 7) for at in range(99)] + [0.4]
    expected = makespan_s(costs_s, 3, chunk)
    assert simulate(computing(*costs_s), chunk, 3, 3) == pytest.approx(expected, rel=1e-6)


def test_tiny_tasks_take_as_long_as_the_parent() -> None:
    costs = Costs(dispatch_s=(30e-6, 0), collect_s=(20e-6, 0), fetch_s=(10e-6, 0))
    load = Load([1e-7], [0.0], 50_000)
    one_by_one_s = simulate(load, 1, 2, 4, costs)
    assert one_by_one_s == pytest.approx(50_000 * 50e-6, rel=0.05)
    assert simulate(load, 1000, 2, 4, costs) < one_by_one_s / 100


def test_the_chunk_curve_is_a_u() -> None:
    costs = Costs(dispatch_s=(100e-6, 0), collect_s=(100e-6, 0))
    load = Load([1e-4], [0.0], 2000)
    small, middle, large = (simulate(load, chunk, 2, 2, costs) for chunk in (1, 50, 2000))
    assert middle < small
    assert middle < large
    assert large == pytest.approx(0.2, rel=0.01)


def test_heavy_messages_pass_one_at_a_time() -> None:
    size = 10_000_000
    costs = Costs(item_bytes_out=size)
    seconds = simulate(Load([1e-6], [0.0], 50), 1, 4, 4, costs)
    assert seconds == pytest.approx(50 * size / BYTES_PER_S, rel=0.01)


def test_heavy_answers_hold_their_worker_up() -> None:
    size = 10_000_000
    costs = Costs(item_bytes_in=size)
    seconds = simulate(Load([1e-6], [0.0], 50), 1, 4, 4, costs)
    assert seconds == pytest.approx(50 * size / BYTES_PER_S, rel=0.01)


def test_a_full_pipe_holds_the_dispatcher_up_and_loses_nothing() -> None:
    costs = Costs(dispatch_s=(1e-6, 0), item_bytes_out=30_000)
    assert simulate(Load([0.01], [0.0], 40), 1, 2, 3, costs) == pytest.approx(0.2, rel=0.02)


def test_another_program_takes_its_share() -> None:
    load = Load([0.02], [0.0], 100)
    alone_s, beside_s = simulate(load, 1, 2, 2), simulate(load, 1, 2, 2, other_cpus=1.0)
    assert beside_s == pytest.approx(1.5 * alone_s, rel=0.1)


def test_waiting_and_computing_overlap() -> None:
    load = Load([0.001], [0.009], 100)
    assert simulate(load, 1, 1, 1) == pytest.approx(1.0, rel=0.01)
    assert simulate(load, 1, 5, 1) == pytest.approx(0.2, rel=0.1)
    assert simulate(load, 1, 50, 1) == pytest.approx(0.1, rel=0.2)


def test_known_for_some_items_at_a_time() -> None:
    load = Load([0.001, 0.003], [0.0, 0.0], 100)
    assert load.cpu_s == pytest.approx(0.2)
    assert simulate(load, 50, 2, 2) == pytest.approx(0.15)


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_it_agrees_with_the_real_scheduling_code_where_both_know(lanes: int) -> None:
    """Even items, chunks that cost little: who schedules how does not matter."""
    overheads = simulator.Overheads()
    costs = Costs(
        dispatch_s=(overheads.send_ns / 1e9, overheads.item_ns / 2e9),
        collect_s=(overheads.receive_ns / 1e9, overheads.item_ns / 2e9),
        reply_s=(overheads.lane_ns / 1e9, 0.0),
    )
    ours = simulator.simulate([2_000_000] * 400, lanes, overheads)
    chunk = max(1, 400 // ours.chunks)
    theirs_s = simulate(Load([0.002], [0.0], 400), chunk, lanes, lanes + 1, costs)
    assert theirs_s == pytest.approx(ours.makespan_ns / 1e9, rel=0.15)
