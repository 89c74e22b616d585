from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwise.account.derive import split_efficiency
from poolwise.account.states import CHAIN
from poolwise.doctor.gather.account import STATES, Timeline, account, dispatcher
from poolwise.doctor.records.pools import PoolRecords, WorkerRecords
from poolwise.doctor.records.run import Call, Send, Task

SPANS = st.integers(0, 10_000_000)

T0 = 1_000
"""When the pools below are made. A time of 0 means that it was not seen."""


def make_pool(workers, sends=(), *, slots=None, kind="multiprocessing.Pool", ended=None, calls=()):
    done = [worker.end for worker in workers]
    return PoolRecords(
        facts={"id": 1, "kind": kind, "slots": slots or len(workers), "began": T0, "ended": T0},
        run_began=0,
        began=T0,
        ended=ended or max(done, default=T0),
        sends=list(sends),
        results=[],
        workers=workers,
        calls={call.job: call for call in calls},
        sites={},
        ends=[],
        sent_count=len(sends),
        result_count=0,
        send_of={(send.job, send.position): send for send in sends},
    )


def make_worker(pid, tasks=(), *, launching=T0, first_get=T0, **rest):
    marks = {"launched": launching, "booted": 0, "ready": 0, "interpreter": 0, "last_get": 0}
    count = max((task.number for task in tasks), default=0)
    marks |= {"first_get": first_get, "count": count, "dark_until": 0, **rest}
    return WorkerRecords(pid=pid, launching=launching, tasks=list(tasks), **marks)


def make_task(pid, number, get, steps=(0,) * 10, *, cpu=-1, queued=-1, before=-1, position=0):
    """A task whose ten clock readings after `get` come `steps` apart."""
    times = [get]
    for step in steps:
        times.append(times[-1] + step)
    return Task(pid, 1, position, 1, number, *times, 0, 0, cpu, cpu, queued, 0, before, 0)


def make_send(position, *, free=0, taken=0, pickled=0, sent=0, number=None, submitted=0):
    number = position + 1 if number is None else number
    return Send(9, 1, 1, position, 1, number, free, taken, pickled, sent, 0, 0, submitted, 0, 0)


@st.composite
def lives(draw, pid, begin=0):
    """A worker that works through a few messages, some of which were not recorded."""
    at = (begin or T0) + draw(SPANS)
    launching, at = at, at + draw(SPANS)
    tasks, first, number = [], at, 0
    for position in range(draw(st.integers(0, 5))):
        number += draw(st.sampled_from([1, 1, 1, 40]))
        steps = draw(st.lists(SPANS, min_size=10, max_size=10))
        cpu, queued = draw(st.sampled_from([-1, 1_000, 10**9])), draw(SPANS)
        counted = {"cpu": cpu, "queued": queued, "before": draw(SPANS)}
        tasks.append(make_task(pid, number, at, steps, position=position, **counted))
        at = tasks[-1].sent + draw(SPANS)
    dark_until = at if tasks and draw(st.booleans()) else 0
    times = {"launching": launching, "first_get": first, "dark_until": dark_until}
    return make_worker(pid, tasks, **times)


@st.composite
def pools(draw):
    workers = [draw(lives(pid)) for pid in range(1, draw(st.integers(2, 4)))]
    if draw(st.booleans()):  # one is replaced
        workers.append(draw(lives(99, begin=min(worker.end for worker in workers))))
    kind = draw(st.sampled_from(["multiprocessing.Pool", "ProcessPoolExecutor"]))
    late = draw(SPANS)
    slots = min(3, len(workers)) if workers[-1].pid != 99 else len(workers) - 1
    times = [T0 + at for at in sorted(draw(st.lists(SPANS, min_size=8, max_size=8)))]
    sends = [
        make_send(0, free=times[0], taken=times[1], pickled=times[2], sent=times[3]),
        make_send(1, free=times[4], taken=times[5], pickled=times[6], sent=times[7], number=9),
    ]
    ended = max(worker.end for worker in workers) + late
    return make_pool(workers, sends, slots=max(slots, 1), kind=kind, ended=ended)


@given(pools())
def test_states_partition_the_worker_seconds(pool):
    if pool.slots < len(pool.workers) - (pool.workers[-1].pid == 99):
        return  # more workers at a time than slots: no pool does that
    found = account(pool)
    whole = pool.slots * (pool.ended - pool.began)
    assert set(found.states) == set(STATES)
    assert sum(found.states.values()) == pytest.approx(whole, rel=1e-6, abs=1)
    assert found.states["unexplained"] == pytest.approx(0, abs=1e-6 * whole + 1)


@given(pools())
def test_no_state_but_the_unexplained_is_negative(pool):
    found = account(pool)
    found.states.pop("unexplained")
    assert min(found.states.values()) >= 0


@given(pools())
def test_chain_is_a_product_and_a_sum(pool):
    states = account(pool).states
    steps = split_efficiency(states, CHAIN)
    whole = sum(states.values())
    useful = 1 - sum(step.lost_s for step in steps) / whole if whole else 1.0
    product = 1.0
    for step in steps:
        product *= step.value
    if sum(states.values()):
        assert useful == pytest.approx(states["run_cpu"] / sum(states.values()), abs=1e-9)
        assert product == pytest.approx(useful, abs=1e-6)


def test_waiting_is_blamed_on_what_the_dispatcher_did():
    sends = [make_send(0, taken=T0 + 40, pickled=T0 + 60, sent=T0 + 90)]
    call = Call(9, 1, 1, 0, T0, T0 + 10, 5, 1, 1, -1)
    waits = make_task(1, 1, T0, [0, 100, 0, 0, 0, 0, 0, 0, 0, 0])
    found = account(make_pool([make_worker(1, [waits])], sends, calls=[call])).states
    assert (found["parent_decide"], found["parent_pickle"], found["parent_send"]) == (40, 20, 30)
    assert found["hand_over"] == 10


def test_a_blocked_write_costs_nothing_while_workers_are_busy():
    sends = [
        make_send(0, free=T0, taken=T0, pickled=T0, sent=T0),
        make_send(1, free=T0, taken=T0, pickled=T0, sent=T0 + 1_000),
    ]
    run = [0, 0, 0, 0, 0, 1_000, 0, 0, 0, 0]
    tasks = [make_task(1, 1, T0, run), make_task(1, 2, T0 + 1_000, run, position=1)]
    found = account(make_pool([make_worker(1, tasks)], sends)).states
    assert found["parent_send"] == 0


def test_workers_that_die_while_they_start_fill_their_slot_once():
    """Of two slots, one sees three starts that fail, one a start that never comes to its end."""
    dead = {"first_get": 0}
    workers = [
        make_worker(1, launching=T0, exited=T0 + 100, **dead),
        make_worker(2, launching=T0 + 10, **dead),
        make_worker(3, launching=T0 + 110, exited=T0 + 200, **dead),
        make_worker(4, launching=T0 + 220, exited=T0 + 300, **dead),
    ]
    workers[1].launched = T0 + 900
    found = account(make_pool(workers, slots=2, ended=T0 + 1_000))
    assert found.states["start"] == 100 + 1_000
    assert found.states["respawn"] == 900
    assert found.identity == 1.0


def test_a_replaced_worker_takes_over_the_slot_that_was_free_longest():
    first = make_worker(1, [make_task(1, 1, T0, runs(100))])
    other = make_worker(2, [make_task(2, 1, T0, runs(500))])
    tasks = [make_task(3, 1, T0 + 200, runs(300))]
    fresh = make_worker(3, tasks, launching=T0 + 150, first_get=T0 + 200)
    found = account(make_pool([first, other, fresh], slots=2))
    assert found.states["respawn"] == 100
    assert found.identity == 1.0


def runs(amount):
    """The steps of a task of which only the function takes time."""
    return [0, 0, 0, 0, 0, amount, 0, 0, 0, 0]


def test_preemption_inside_our_clocks_goes_back_to_the_run_queue():
    steps = [0, 0, 0, 0, 0, 1_000_000, 5_000_000, 0, 0, 0]
    task = make_task(1, 1, T0, steps, cpu=1_000_000, queued=5_000_000)
    found = account(make_pool([make_worker(1, [task])])).states
    assert found["run_cpu"] == 1_000_000
    assert found["run_queued"] + found["observer"] == 5_000_000
    assert found["run_queued"] > 4_900_000


def test_a_worker_that_loses_its_cpu_as_it_answers_was_not_moving_results():
    """Writing a result wakes the parent up, which beside other programs takes the worker's CPU."""
    steps = [0, 0, 0, 0, 0, 100, 0, 0, 0, 1_000]
    tasks = [
        make_task(1, 1, T0, steps, cpu=100),
        make_task(1, 2, T0 + 1_100, steps, cpu=100, before=900, position=1),
        make_task(1, 3, T0 + 2_200, steps, cpu=100, before=5_000, position=2),
    ]
    found = account(make_pool([make_worker(1, tasks)])).states
    assert found["run_queued"] == 900 + 1_000
    assert found["send"] == 100 + 0 + 1_000


def test_dark_messages_are_filled_in_like_those_around_them():
    run = [0, 0, 0, 0, 0, 100, 0, 100, 0, 0]
    tasks = [
        make_task(1, 1, T0, run, cpu=100),
        make_task(1, 11, T0 + 2_000, run, cpu=100, position=1),
    ]
    found = account(make_pool([make_worker(1, tasks)])).states
    assert found["run_cpu"] == pytest.approx(found["pickle"])
    assert found["run_cpu"] == pytest.approx(1_100)


def test_workers_that_come_when_all_is_done_count_no_more_than_the_region():
    first = make_worker(1, [make_task(1, 1, T0, runs(100))])
    late = make_worker(2, launching=T0, first_get=T0 + 500)
    found = account(make_pool([first, late], ended=T0 + 100))
    assert found.identity == 1.0
    assert found.states["start"] == 100


def test_a_thread_that_does_nothing_known_is_starved():
    assert Timeline([(10, 20, {"parent_send": 1.0})]).split(0, 40) == {
        "no_job": 30,
        "parent_send": 10,
    }


def test_input_that_is_streamed_is_the_generators_time():
    sends = [make_send(0, taken=T0 + 50, pickled=T0 + 50, sent=T0 + 50)]
    pool = make_pool([make_worker(1)], sends, ended=T0 + 50)
    pool.calls = {1: Call(9, 1, 1, 7, T0 + 20, T0 + 21, -1, 1, 1, -1)}
    pool.sites = {7: {"api": "imap"}}
    assert dispatcher(pool).split(T0, T0 + 50)["input_slow"] == 30
