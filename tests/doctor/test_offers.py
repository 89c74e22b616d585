"""Which remedies are shown, in which order, at which price."""

from __future__ import annotations

import dataclasses

import pytest

from poolwise.doctor.advice import offers
from poolwise.doctor.diagnose import diagnose
from poolwise.doctor.findings import Finding, Prediction, Remedy
from poolwise.doctor.predict import calls as predict
from poolwise.doctor.predict import ours
from poolwise.doctor.render.present import make_document
from poolwise.report.text import render
from tests.doctor import made_up
from tests.doctor.test_predict import COSTS, computing, tiny

HEAVY = dataclasses.replace(
    COSTS, dispatch_s=(8e-3, 0.0), fetch_s=(8e-3, 0.0), item_bytes_out=2e6, send_bytes_per_s=0.5e9
)
"""Steps of a message that binds a table of 2 MB of objects."""


def finding(pool, *remedies: Remedy, name: str = "x") -> Finding:
    where = pool.sites[0].place
    return Finding("PW001", name, "slow", where, pool.id, 1.0, "", [], list(remedies), "", 100)


def offered(pool, *remedies: Remedy, name: str = "x", **facts) -> list[Remedy]:
    (told,) = offers.offer([finding(pool, *remedies, name=name)], made_up.run(pool, **facts))
    return told.remedies


def predicted(then_s: float) -> Prediction:
    return Prediction("call", 1.0, then_s, 0.5 * then_s, 2 * then_s)


def bound_table(**more):
    """A hundred tasks of 1 ms, each with the table that a partial binds."""
    leaf = made_up.leaf("partial.args[0]", 2e6, share_of_bytes_out=0.999, parameter="table")
    account = {"run_cpu": 0.1, "parent_pickle": 0.9, "parent_send": 0.5, "unpickle": 0.9}
    call = {"bytes_out": 200e6, "leaves": [leaf]}
    return made_up.pool(account, messages=100, costs=HEAVY, call=call, **more)


def test_all_prices_of_a_screen_are_the_model_s() -> None:
    estimate = predicted(0.9)
    told = offered(
        tiny(), Remedy("chunksize", "", estimate, 100), Remedy("workers", "", value=1),
        Remedy("serial", "", estimate), Remedy("threads", "", value=4),
        Remedy("order", "", estimate),
    )  # fmt: skip
    assert all(each.prediction for each in told)
    now_s = [each.prediction.now_s for each in told if each.prediction and each.kind != "order"]
    assert now_s == pytest.approx([0.5] * len(now_s), rel=0.01)


def test_what_is_predicted_not_to_gain_is_not_shown() -> None:
    """The function computes: threads under one lock take as long as a loop, twice the pool."""
    told = offered(computing(), Remedy("threads", "", value=2), Remedy("serial", ""))
    assert told == []


def test_the_best_stands_first_and_what_is_alike_in_the_rule_s_order() -> None:
    some = [Remedy("order", text, predicted(then_s))
            for text, then_s in (("slow", 0.9), ("a", 0.1), ("b", 0.101))]  # fmt: skip
    told = offered(made_up.pool({"run_cpu": 1.0}), *some, Remedy("code", "unpriced"))
    assert [each.words for each in told] == ["a", "b", "slow", "unpriced"]


def test_a_plain_loop_and_our_pool_are_thought_of_where_messages_are_the_matter() -> None:
    names = [each.kind for each in offered(tiny(), name="tasks-too-small")]
    assert names == ["serial", "poolwise"]
    assert offered(tiny(), name="worker-churn") == []


def test_our_pool_is_offered_where_its_import_pays_only() -> None:
    short = made_up.pool({"run_cpu": 0.002, "parent_decide": 0.15}, messages=1000, costs=COSTS)
    assert "poolwise" not in [each.kind for each in offered(short, name="tasks-too-small")]


def test_what_is_bound_is_put_down_once_and_each_way_has_its_price() -> None:
    pool = bound_table()
    by_kind = {each.kind: each for each in diagnose(made_up.run(pool)).findings[0].remedies}
    once = [
        by_kind[kind].prediction.then_s for kind in ("initializer", "share", "poolwise", "state")
    ]
    assert max(once) < 0.3 * by_kind["share"].prediction.now_s
    assert once[0] < once[1]
    spawned = {each.kind: each for each in diagnose(
        made_up.run(bound_table(method="spawn"))).findings[0].remedies}  # fmt: skip
    assert spawned["initializer"].prediction.then_s > once[0]


def test_our_pool_carries_blocks_by_shared_memory_and_packs_objects_like_others() -> None:
    pool = bound_table()
    model = predict.calibrate(pool.sites[0], pool, made_up.run(pool))
    assert model is not None
    sent = {"leaves": [made_up.leaf("arg", 2e6, 12, type="numpy.ndarray")]}
    objects = {"leaves": [made_up.leaf("arg", 2e6, 12, type="dict")]}
    times = [
        ours.ours_s(model, dataclasses.replace(pool.sites[0], **leaves), pool)
        for leaves in (sent, objects)
    ]
    assert times[0] < 0.5 * times[1]
    assert times[1] == pytest.approx(model.pool_s(), rel=0.3)


def test_threads_are_advised_only_where_the_function_waits_or_has_helpers() -> None:
    account = {"run_cpu": 0.1, "parent_pickle": 0.6, "parent_send": 0.6, "receive": 0.4}
    call = {"bytes_out": 240e6, "leaves": [made_up.leaf("arg", 4e6, 12, type="ndarray")]}
    for more, is_advised in (({}, False), ({"helper_cpu_s": 0.09}, True)):
        pool = made_up.pool(account, messages=60, call=call, **more)
        kinds = [each.kind for each in diagnose(made_up.run(pool)).findings[0].remedies]
        assert ("threads" in kinds) is is_advised


def test_several_pools_of_a_line_are_priced_together() -> None:
    """By the one in the middle: one that was held up for seconds is an accident."""
    slow = made_up.pool(
        {"run_cpu": 0.02, "parent_decide": 7.98}, messages=10_000, costs=COSTS, id=3
    )
    pools = [tiny(), tiny(id=2), slow]
    given = dataclasses.replace(finding(slow, Remedy("chunksize", "", value=100)), pools=3)
    (told,) = offers.offer([given], made_up.run(*pools))
    prediction = told.remedies[0].prediction
    assert prediction is not None
    assert prediction.now_s == pytest.approx(0.5 + 0.5 + 4.0, rel=0.01)
    assert prediction.then_s < 0.1 * prediction.now_s


def test_the_edit_on_the_screen_is_the_first_remedy_s() -> None:
    pool = tiny()
    seen = made_up.run(pool)
    text = render(make_document(seen, diagnose(seen)))
    assert "1. a plain for-loop" in text
    assert "The edit of 1" not in text


def test_thread_executors_ignore_a_chunksize_and_are_not_given_one() -> None:
    account = {"run_cpu": 0.02, "hand_over": 1.4}
    kind = "ThreadPoolExecutor"
    pool = made_up.pool(account, messages=10_000, kind=kind, method=None)
    first = diagnose(made_up.run(pool)).findings[0]
    assert first.code == "PW001"
    assert [each.kind for each in first.remedies] == ["serial", "code"]


def test_making_the_pool_counts_against_it_only_where_the_pool_itself_is_in_doubt() -> None:
    """Without the table that is bound the pool is as fast as a loop; it took 0.5 s to make."""
    pool = bound_table(creation_s=0.5, slots=1)
    first = {}
    for name in ("repeated-payload", "slower-than-serial"):
        proposed = [Remedy("initializer", ""), Remedy("serial", "")]
        first[name] = offered(pool, *proposed, name=name)[0].kind
    assert first == {"repeated-payload": "initializer", "slower-than-serial": "serial"}
