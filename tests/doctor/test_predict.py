"""Predictions from a run made by hand: what they come from, and how wide their bands are."""

from __future__ import annotations

import dataclasses

import pytest

from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import ParentTimeline, StepCosts
from poolwise.doctor.predict import calls as predict
from tests.doctor import made_up

COSTS = StepCosts(
    dispatch_s=(20e-6, 0.0),
    fetch_s=(10e-6, 0.0),
    reply_s=(10e-6, 0.0),
    collect_s=(20e-6, 0.0),
    item_bytes_out=80.0,
    item_bytes_in=20.0,
    message_bytes=80.0,
    send_bytes_per_s=None,
    reply_bytes_per_s=None,
)


def tiny(**more):
    """10,000 items of 2 us, one a message, 0.5 s."""
    account = {"run_cpu": 0.02, "parent_decide": 0.98}
    return made_up.pool(account, messages=10_000, costs=COSTS, **more)


def computing(**more):
    """200 items of 10 ms on two of two CPUs, five a message."""
    account = {"run_cpu": 2.0, "loop": 0.01}
    return made_up.pool(account, messages=40, items=200, costs=COSTS, **more)


def model_of(pool, **facts):
    model = predict.calibrate(pool.sites[0], pool, made_up.run(pool, **facts))
    assert model is not None
    return model


@pytest.mark.parametrize("make", [tiny, computing])
def test_asked_for_what_was_it_says_what_was(make) -> None:
    model = model_of(make())
    assert model.pool_s() == pytest.approx(model.now_s, rel=0.03)


def test_what_the_probes_did_not_see_is_the_parents_cost_of_a_message() -> None:
    model = model_of(tiny())
    assert model.costs.dispatch_s[0] == pytest.approx(30e-6, rel=0.1)
    assert model.factor == pytest.approx(1.0, abs=0.02)
    assert model.pool_s(chunk=100) < model.now_s / 10


def test_computing_is_bound_by_cpus_and_waiting_by_workers() -> None:
    pool = computing()
    assert model_of(pool).pool_s(workers=8) == pytest.approx(1.0, rel=0.05)
    assert model_of(pool, cpus=4.0).pool_s(workers=4) == pytest.approx(0.5, rel=0.05)
    waiting = made_up.pool({"run_blocked": 2.0}, messages=40, items=200, costs=COSTS)
    assert model_of(waiting).pool_s(workers=8) == pytest.approx(0.25, rel=0.05)


def test_a_plain_loop_and_threads_under_one_gil_take_all_the_cpu_time() -> None:
    model = model_of(computing())
    assert model.serial_s() == pytest.approx(2.0, rel=0.01)
    assert model.threads_s(8) == pytest.approx(2.0, rel=0.02)


def test_bands_are_wide_where_predictions_are_off() -> None:
    work, small = model_of(computing()).width(), model_of(tiny()).width()
    heavy_costs = dataclasses.replace(COSTS, item_bytes_out=1e6)
    heavy = made_up.pool({"run_cpu": 0.2}, messages=20, costs=heavy_costs)
    assert work < small < model_of(heavy).width()
    assert model_of(computing(), other_cpus=0.6).width() > work


def test_what_large_items_take_to_pack_is_theirs_and_what_small_ones_take_is_the_message_s() -> (
    None
):
    """Seen one a message, ten in a message: of the large ones packing takes ten times as long."""
    large = dataclasses.replace(
        COSTS, dispatch_s=(200e-6, 0.0), item_bytes_out=400_100, send_bytes_per_s=0.5e9
    )
    pool = made_up.pool({"run_cpu": 0.01, "parent_send": 1.0}, messages=100, costs=large)
    _, item_s = model_of(pool).costs.dispatch_s
    assert item_s == pytest.approx(200e-6, rel=0.01)
    assert model_of(tiny()).costs.dispatch_s[1] < 1e-6


def test_bytes_flow_faster_in_messages_that_meet_less_often() -> None:
    """Passing 0.4 MB at 0.5 GB/s takes 0.8 ms, of which 0.45 ms are no flow."""
    heavy = dataclasses.replace(COSTS, item_bytes_out=400_000, send_bytes_per_s=0.5e9)
    pool = made_up.pool({"run_cpu": 0.01, "parent_send": 0.19}, messages=100, costs=heavy)
    costs = model_of(pool).costs
    assert costs.meet_s >= predict.MEET_S
    assert costs.send_bytes_per_s == pytest.approx(400_000 / 350e-6, rel=0.01)


def test_a_loop_is_predicted_beside_the_load_that_was_seen_not_beside_what_the_pool_suffered() -> (
    None
):
    """Tasks waited for CPUs as much as they ran: others are taken to want more than they got."""
    account = {"run_cpu": 2.0, "run_queued": 2.0}
    model = model_of(made_up.pool(account, messages=40, items=200, costs=COSTS), other_cpus=0.5)
    assert model.other_cpus > 0.5
    assert model.serial_s() == pytest.approx(2.0, rel=0.05)


def test_of_too_few_recorded_messages_the_chunk_is_one_item() -> None:
    model = model_of(made_up.pool({"run_cpu": 0.1}, messages=100, costs=COSTS, call=NO_CHUNK))
    assert model.chunk == 1


NO_CHUNK = {"chunksize": 0.0}


def test_what_others_want_is_seen_by_the_share_of_the_cpus_that_the_tasks_got() -> None:
    """Two workers got a quarter of a CPU each: others want six, and a loop waits for its turn."""
    account = {"run_cpu": 0.5, "run_queued": 1.5}
    model = model_of(made_up.pool(account, messages=40, items=200, costs=COSTS), other_cpus=1.8)
    assert model.wanted_cpus == pytest.approx(6.0)
    assert model.serial_s() == pytest.approx(0.5 * 7 / 2)
    assert model.serial_s() > model.now_s


def test_more_workers_get_no_more_of_cpus_that_many_want() -> None:
    account = {"run_cpu": 0.5, "run_blocked": 0.3, "run_queued": 2.0}
    model = model_of(made_up.pool(account, messages=40, items=200, costs=COSTS), other_cpus=1.8)
    assert model.wanted_cpus > model.cpus
    assert model.pool_s(workers=8) > 0.7 * model.now_s
    calm = model_of(made_up.pool({**account, "run_queued": 0.0}, messages=40, costs=COSTS))
    assert calm.pool_s(workers=8) < 0.8 * calm.now_s


def test_threads_that_wait_are_not_priced_as_one_that_computes() -> None:
    account = {"run_cpu": 0.4, "run_blocked": 2.0, "run_queued": 3.6}
    model = model_of(made_up.pool(account, messages=100, costs=COSTS), other_cpus=1.8)
    assert model.threads_s(32) < 0.5 * model.now_s


def test_other_load_explains_what_waited_for_a_cpu() -> None:
    pool = made_up.pool({"run_cpu": 2.0, "run_queued": 2.0}, messages=40, items=200, costs=COSTS)
    model = model_of(pool, other_cpus=0.9)
    assert model.other_cpus > 1.5
    assert model.pool_s() == pytest.approx(model.now_s, rel=0.15)


@pytest.mark.parametrize(
    "more",
    [
        {"kind": "ThreadPool"},
        {"costs": None},
        {"max_outstanding": 1},
    ],
)
def test_no_model_for_what_it_does_not_describe(more) -> None:
    pool = made_up.pool({"run_cpu": 2.0}, messages=40, **{"costs": COSTS, **more})
    assert predict.calibrate(pool.sites[0], pool, made_up.run(pool)) is None


def test_several_calls_from_one_line_are_rounds() -> None:
    """Five calls of forty items; each round waits for its last result, as the call did."""
    model = model_of(computing(call={"calls": 5}))
    assert (model.rounds, model.load.items) == (5, 40)
    assert model.pool_s() == pytest.approx(model.now_s, rel=0.03)
    assert model.serial_s() == pytest.approx(2.0, rel=0.01)


def test_a_call_without_its_heavy_arguments_takes_its_work() -> None:
    heavy = dataclasses.replace(
        COSTS, dispatch_s=(10e-3, 0.0), fetch_s=(10e-3, 0.0), item_bytes_out=4e6,
        send_bytes_per_s=0.5e9,
    )  # fmt: skip
    account = {"run_cpu": 0.2, "parent_send": 1.5, "parent_pickle": 1.0}
    model = model_of(made_up.pool(account, messages=100, costs=heavy))
    light = model.lighter(out=1.0)
    assert light.pool_s() < 0.25 < model.pool_s()
    assert model.once_s(1.0) == pytest.approx(2 * 9.7e-3 + 8e-3, rel=0.3)


@pytest.mark.parametrize(
    ("generator_s", "handle_s", "own_s"),
    [(0.02, 0.4, 0.0), (0.2, 0.4, 0.2), (0.02, 4.0, 4.0)],
)
def test_a_loop_has_the_program_s_iterator_and_callbacks_not_the_pool_s_book_keeping(
    generator_s, handle_s, own_s
) -> None:
    """10,000 items: 2 us to step to the next and 40 us for a result are the pool's own."""
    parent = ParentTimeline(0.0, generator_s, 0.0, 0.0, 0.0, 0.0, 0.0, handle_s, 0.0)
    pool = tiny(parent=parent)
    assert measures.own_parent_s(pool) == own_s
    assert model_of(pool).serial_s() == pytest.approx(0.02 + own_s, rel=0.05)
