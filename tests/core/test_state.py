"""Events in, commands out."""

from __future__ import annotations

import pytest

from poolwise import errors
from poolwise.core import contract as c
from tests.core.desk import (
    KILLED,
    MS,
    Call,
    Desk,
    errors_of,
    items_of,
    make_calls,
    make_job,
    only,
    sent,
)

# -- lanes


def test_work_starts_all_lanes_where_forking_later_would_be_unsafe():
    desk = Desk(3, is_cold=True)
    assert desk.tell(c.JobPosted(make_job([1]))) == [c.StartLane(1), c.StartLane(2), c.StartLane(3)]


def test_else_work_starts_a_lane_for_each_item():
    desk = Desk(3, is_cold=True, starts_at_once=False)
    assert desk.tell(c.JobPosted(make_job([1, 2]))) == [c.StartLane(1), c.StartLane(2)]
    assert desk.tell() == []


def test_no_lane_is_started_without_work():
    desk = Desk(3, is_cold=True)
    assert desk.tell(c.JobPosted(make_calls([]))) == []
    assert desk.state.wants_work


def test_a_lane_gets_nothing_before_it_is_ready():
    desk = Desk(2, is_cold=True)
    job = make_job([1, 2, 3])
    assert desk.post(job) == []
    (chunk,) = sent(desk.tell(c.LaneReady(2)))
    assert desk.holder_of(chunk) == 2


def test_a_lane_that_may_run_two_tasks_is_ended_after_them_and_replaced():
    desk = Desk(1, tasks_per_lane=2)
    (chunk,) = desk.post(make_job("abc", lanes=1, unit=1))
    (second,) = sent(desk.answer(chunk))
    assert desk.answer(second)[-1:] == [c.StopLane(1, kill=False)]
    assert desk.tell(c.LaneDied(1, errors.Death(1, 0))) == [c.StartLane(2)]
    assert desk.state.counts["deaths"] == 0
    assert items_of(sent(desk.tell(c.LaneReady(2)))) == ["c"]


def test_a_chunk_never_has_more_tasks_than_its_lane_may_run():
    desk = Desk(1, tasks_per_lane=3)
    job = make_job(range(1000), lanes=1, unit=1)
    (chunk,) = desk.post(job)
    chunks = sent(desk.answer(chunk, run_ns=1))
    assert len(items_of(chunks)) <= 2


def test_lanes_end_when_the_pool_is_closed_and_all_is_done():
    desk = Desk(2)
    (chunk,) = desk.post(make_job([1]))
    idle = 3 - desk.holder_of(chunk)
    assert desk.tell(c.PoolClosed()) == []
    commands = desk.answer(chunk)
    assert only(c.StopLane, commands) == [c.StopLane(1), c.StopLane(2)]
    assert desk.tell(c.LaneDied(idle, errors.Death(1, 0))) == []


# -- handing out


def test_each_idle_lane_gets_one_item_while_nothing_is_known():
    assert [chunk.items for chunk in Desk(3).post(make_job(range(10)))] == [
        range(1), range(1, 2), range(2, 3),
    ]  # fmt: skip


def test_values_are_delivered_and_the_job_ends_with_the_last():
    desk = Desk(1)
    job = make_job("ab", lanes=1)
    (first,) = desk.post(job)
    commands = desk.answer(first, ["A"])
    (second,) = sent(commands)
    assert only(c.Deliver, commands) == [c.Deliver(first, 0, ["A"], {})]
    assert desk.answer(second, ["B"]) == [c.Deliver(second, 0, ["B"], {}), c.EndJob(job)]
    assert not desk.state.jobs


def test_an_empty_job_ends_at_once():
    job = make_job([])
    assert Desk().tell(c.JobPosted(job)) == [c.EndJob(job)]


def test_a_job_ends_with_what_its_input_raised():
    job = make_job([])
    job.source.error = KeyError("input")
    assert Desk().tell(c.JobPosted(job)) == [c.EndJob(job, job.source.error)]


def test_jobs_take_turns():
    desk = Desk(4)
    chunks = desk.post(make_job("aa"), make_job("bb"))
    assert [chunk.items[0] for chunk in chunks] == ["a", "b", "a", "b"]


def test_nothing_is_sent_behind_a_single_item():
    desk = Desk(1)
    calls = [Call() for _ in range(3)]
    desk.tell(c.JobPosted(job := make_calls(calls[:1])))
    job.sizer.observe(1000, 1000 * 1000)  # so far they were short
    job.source.items.extend(calls[1:])
    assert not sent(desk.tell())


def test_cheap_items_go_ahead_of_the_answer():
    desk = Desk(1)
    (chunk,) = desk.post(make_job(range(10_000), lanes=1))
    ahead = sent(desk.answer(chunk, run_ns=1000))
    assert len(ahead) == 2
    assert all(chunk.rest for chunk in ahead)


def test_dear_items_are_bound_late():
    desk = Desk(1)
    (chunk,) = desk.post(make_job(range(100), lanes=1))
    assert len(sent(desk.answer(chunk, run_ns=50 * MS))) == 1


def test_an_answer_for_a_chunk_that_nobody_knows_any_more_is_ignored():
    desk = Desk(1)
    (chunk,) = desk.post(make_job([1]))
    lane = desk.holder_of(chunk)
    desk.state.fail_all(RuntimeError())
    assert desk.tell(c.ChunkDone(lane, chunk.id, c.Outcome(0, [1], {}))) == []


def test_fail_all_ends_every_job_with_an_error_of_its_own():
    desk, error = Desk(2), errors.PoolTerminated("enough")
    error.__cause__ = KeyError()
    jobs = [make_job([1, 2, 3]), make_job([4])]
    desk.post(*jobs)
    ends = desk.state.fail_all(error)
    assert [end.job for end in ends] == jobs
    assert [repr(end.error) for end in ends] == [repr(error)] * 2
    assert [end.error.__cause__ for end in ends] == [error.__cause__] * 2
    assert len({id(error), *(id(end.error) for end in ends)}) == 3


# -- parts of a chunk, and what is given back


def send_many(desk, items, *, run_ns=30 * MS, **rules):
    """A job of which each lane has done one item; the chunks that they hold now."""
    job = make_job(items, lanes=desk.state.most_lanes, **rules)
    first, chunks = desk.post(job), []
    for chunk in first:
        chunks += sent(desk.answer(chunk, run_ns=run_ns))
    return job, chunks


def test_parts_of_an_answer_are_delivered_as_they_come():
    desk = Desk(1)
    _, (chunk,) = send_many(desk, range(20))
    assert len(chunk.items) == 4
    assert only(c.Deliver, desk.answer(chunk, ["one"], is_last=False)) == [
        c.Deliver(chunk, 0, ["one"], {})
    ]
    assert only(c.Deliver, desk.answer(chunk, ["two", "three", "four"], first=1)) == [
        c.Deliver(chunk, 1, ["two", "three", "four"], {})
    ]


def hold_ten_beside_an_idle_lane(desk, run_ns=300 * MS):
    """Two chunks of ten; the second lane has answered, and nothing waits for it."""
    long, short = desk.post(make_job(range(20), unit=10))
    return long, desk.answer(short, run_ns=run_ns)


def test_a_lane_is_asked_for_what_it_has_not_begun_when_others_are_idle():
    desk = Desk(2)
    long, commands = hold_ten_beside_an_idle_lane(desk)
    assert only(c.AskBack, commands) == [c.AskBack(desk.holder_of(long))]
    commands = desk.answer(long, ["one"], returned=8, is_last=False)
    (share,) = sent(commands)
    assert list(share.items) == list(range(2, 10))
    assert desk.holder_of(share) != desk.holder_of(long)
    assert desk.state.counts["given_back"] == 8
    assert only(c.Deliver, desk.answer(long, ["two"], first=1)) == [c.Deliver(long, 1, ["two"], {})]


def test_it_is_asked_once():
    desk = Desk(2)
    hold_ten_beside_an_idle_lane(desk)
    assert desk.look(100 * MS) == []


def test_a_lane_with_little_left_is_not_asked_until_that_takes_long():
    desk = Desk(2)
    _, commands = hold_ten_beside_an_idle_lane(desk, run_ns=1)
    assert only(c.AskBack, commands) == []
    assert desk.state.next_look_ns() is not None
    assert len(only(c.AskBack, desk.look(100 * MS))) == 1


def test_a_chunk_returned_whole_goes_again():
    desk = Desk(1)
    _, (held, queued) = send_many(desk, range(10_000), run_ns=1000)
    before = queued.start
    again = sent(desk.answer(queued, [], returned=-1))
    assert again[0].start == before
    assert held in desk.state.lanes[1].chunks


# -- deaths


def test_a_death_is_blamed_on_the_item_that_ran_and_says_all_that_is_known():
    desk = Desk(1)
    job = make_job("ab", lanes=1)
    (chunk,) = desk.post(job)
    commands = desk.kill(chunk)
    (error,) = errors_of(commands).values()
    assert isinstance(error, errors.WorkerDied)
    assert (error.pid, error.exitcode, error.item) == (4711, -9, 0)
    assert "killed by SIGKILL" in str(error)
    assert "item 0 of work" in str(error)
    assert only(c.StartLane, commands) == [c.StartLane(2)]
    assert job in desk.state.jobs
    assert desk.state.counts["deaths"] == 1


def test_when_many_could_be_to_blame_each_is_tried_alone():
    desk = Desk(1)
    job, (chunk,) = send_many(desk, range(20))
    desk.kill(chunk)
    failed, seen = {}, []
    commands = desk.tell(c.LaneReady(2))
    while chunks := sent(commands):
        (alone,) = chunks[:1]
        if len(alone.items) > 1:
            break
        seen.append(alone.start)
        if alone.start == 3:
            commands = desk.kill(alone)
            failed.update(errors_of(commands))
            commands += desk.tell(c.LaneReady(3))
        else:
            commands = desk.answer(alone, run_ns=30 * MS)
    assert seen[:4] == [1, 2, 3, 4]
    assert list(failed) == [3]
    assert job.open_items


def test_items_that_were_answered_for_before_the_death_are_not_run_again():
    desk = Desk(1)
    _, (chunk,) = send_many(desk, range(20))
    desk.answer(chunk, ["1", "2", "3"], is_last=False)
    assert errors_of(desk.kill(chunk)).keys() == {4}


def test_what_waits_behind_the_dead_chunk_goes_again_as_it_was():
    desk = Desk(1)
    _, (held, queued) = send_many(desk, range(10_000), run_ns=1000)
    desk.kill(held)
    alone, *_ = sent(desk.tell(c.LaneReady(2)))
    assert len(alone.items) == 1
    assert not queued.is_alone


def test_a_task_is_tried_again_as_often_as_the_rules_say():
    desk = Desk(1)
    (chunk,) = desk.post(make_job("a", lanes=1, retries=2))
    for lane in (2, 3):
        assert errors_of(desk.kill(chunk)) == {}
        (chunk,) = sent(desk.tell(c.LaneReady(lane)))
    assert errors_of(desk.kill(chunk)).keys() == {0}
    assert desk.state.counts["retries"] == 2


def test_a_dropped_job_ends_though_its_last_task_was_worth_another_try():
    desk = Desk(1)
    job = make_job("a", lanes=1, retries=1)
    (chunk,) = desk.post(job)
    desk.tell(c.JobDropped(job))
    assert only(c.EndJob, desk.kill(chunk)) == [c.EndJob(job)]


def test_exceptions_named_in_retry_on_are_worth_another_try():
    desk = Desk(1)
    rules = {"retries": 1, "retry_on": (OSError,)}
    job, (chunk,) = send_many(desk, range(20), **rules)
    failed = {0: KeyError(), 2: OSError()}
    commands = desk.answer(chunk, [None, "b", None, "d"], errors=failed)
    assert errors_of(commands) == {1: failed[0]}
    (again,) = sent(commands)
    assert again.start == 3
    assert errors_of(desk.answer(again, [None], errors={0: failed[2]})) == {3: failed[2]}
    assert job.open_items


def test_nothing_of_a_dropped_job_is_delivered_or_tried_again():
    desk = Desk(1)
    job, (chunk,) = send_many(desk, range(20), retries=1, retry_on=(OSError,))
    desk.tell(c.JobDropped(job))
    commands = desk.answer(chunk, [1, 2, None, 4], errors={2: OSError()})
    assert commands == [c.EndJob(job)]


# -- lanes that never become ready


def test_an_initializer_that_raises_fails_the_job():
    desk = Desk(2, is_cold=True)
    job, failure = make_job([1, 2]), ValueError("no licence")
    desk.tell(c.JobPosted(job))
    (ended,) = desk.tell(c.LaneDied(1, errors.Death(1, 1), failure))
    assert isinstance(ended.error, errors.InitializerFailed)
    assert ended.error.__cause__ is failure


def test_workers_that_end_before_they_are_ready_are_restarted_twice():
    desk = Desk(1, is_cold=True)
    job = make_job([1], lanes=1)
    assert desk.tell(c.JobPosted(job)) == [c.StartLane(1)]
    assert desk.tell(c.LaneDied(1, KILLED)) == [c.StartLane(2)]
    assert desk.tell(c.LaneDied(2, KILLED)) == [c.StartLane(3)]
    (ended,) = desk.tell(c.LaneDied(3, KILLED))
    assert isinstance(ended.error, errors.InitializerFailed)


def test_one_good_worker_is_enough():
    desk = Desk(2, is_cold=True)
    desk.tell(c.JobPosted(make_job([1, 2])))
    desk.tell(c.LaneReady(1))
    assert desk.tell(c.LaneDied(2, errors.Death(1, 1), ValueError())) == [c.StartLane(3)]


def test_calls_fail_with_the_initializer_but_the_next_call_gets_a_chance():
    desk = Desk(1, is_cold=True)
    job = make_calls([Call(), Call()])
    desk.tell(c.JobPosted(job))
    commands = desk.tell(c.LaneDied(1, errors.Death(1, 1), ValueError()))
    assert len(errors_of(commands)) == 2
    assert only(c.EndJob, commands) == []
    job.source.items.append(Call())
    assert desk.tell() == [c.StartLane(2)]


# -- time limits


def test_a_task_that_runs_too_long_costs_its_lane_and_itself():
    desk = Desk(1)
    (chunk,) = desk.post(make_job("ab", lanes=1, task_timeout_s=1.0))
    assert desk.state.next_look_ns() == 10**9
    assert desk.look(10**9 - 1) == []
    assert desk.look(10**9) == [c.StopLane(1, kill=True)]
    commands = desk.kill(chunk)
    (error,) = errors_of(commands).values()
    assert isinstance(error, errors.TaskTimeout)
    assert "1.0 s" in str(error)
    assert desk.state.counts["deaths"] == 0


def test_the_limit_is_of_one_task_not_of_a_chunk():
    desk = Desk(1)
    _, (chunk,) = send_many(desk, range(20), task_timeout_s=1.0)
    desk.now_ns = 10**9 // 2
    desk.answer(chunk, ["one"], is_last=False)
    assert only(c.StopLane, desk.look(10**9)) == []
    assert only(c.StopLane, desk.look(10**9 * 3 // 2)) == [c.StopLane(1, kill=True)]
    assert errors_of(desk.kill(chunk)).keys() == {2}


def test_a_task_that_was_done_before_its_lane_could_be_stopped_has_its_value():
    desk = Desk(1)
    _, (chunk,) = send_many(desk, range(20), task_timeout_s=1.0)
    desk.look(10**9)
    assert only(c.Deliver, desk.answer(chunk, ["late"], is_last=False))
    assert errors_of(desk.kill(chunk)) == {}
    (again,) = sent(desk.tell(c.LaneReady(2)))
    assert again.start == 2


# -- refused and unread


def test_an_item_that_cannot_be_sent_fails_alone():
    desk = Desk(1)
    job, (chunk,) = send_many(desk, range(20))
    error, failed, commands = TypeError("cannot pickle"), {}, []
    commands = desk.tell(c.ChunkRefused(1, chunk.id, error))
    while chunks := sent(commands):
        one = chunks[0]
        if one.start > 4:
            break
        if 3 in one.items:
            commands = desk.tell(c.ChunkRefused(1, one.id, error))
            failed.update(errors_of(commands))
        else:
            commands = desk.answer(one, run_ns=30 * MS)
    assert failed == {3: error}
    assert job in desk.state.jobs


def test_a_function_that_cannot_be_sent_ends_the_job():
    desk, error = Desk(2), TypeError("cannot pickle")
    job = make_job([1, 2])
    (chunk, other) = desk.post(job)
    refused = c.ChunkRefused(desk.holder_of(chunk), chunk.id, error, is_function=True)
    assert desk.tell(refused) == [c.EndJob(job, error)]
    assert desk.answer(other) == []


def test_a_function_that_workers_cannot_find_travels_with_its_code():
    desk = Desk(1)
    (chunk,) = desk.post(make_job("a", lanes=1))
    function = chunk.job.function
    known = function.id
    (again,) = sent(desk.tell(c.ChunkUnread(1, chunk.id, AttributeError(), is_function=True)))
    assert function.by_value
    assert function.id != known
    error = AttributeError()
    commands = desk.tell(c.ChunkUnread(1, again.id, error, is_function=True))
    assert errors_of(commands) == {0: error}


def test_workers_that_miss_a_function_at_once_all_get_its_code():
    desk = Desk(2)
    first, second = desk.post(make_job("ab"))
    misses = [
        c.ChunkUnread(desk.holder_of(chunk), chunk.id, AttributeError(), is_function=True)
        for chunk in (first, second)
    ]
    commands = desk.tell(*misses)
    assert not errors_of(commands)
    again = sent(commands)
    assert sorted(item for chunk in again for item in chunk.items) == ["a", "b"]
    assert {chunk.function_id for chunk in again} == {first.job.function.id}


def test_what_was_answered_in_vain_goes_again_singly_and_not_for_ever():
    desk, why = Desk(1), errors.ResultNotLoadable("its memory is gone")
    (chunk,) = desk.post(make_job("ab", lanes=1, unit=2))
    for lane in (1, 2, 3):
        assert sent(desk.tell(c.ChunkLost(lane, chunk.id, why))) == [], "the lane has died"
        desk.tell(c.LaneDied(lane, errors.Death(7, -9)))
        (chunk,) = sent(desk.tell(c.LaneReady(lane + 1)))
        assert list(chunk.items) == ["a"]
    assert errors_of(desk.tell(c.ChunkLost(4, chunk.id, why))) == {0: why}
    assert desk.state.counts["deaths"] == 4


def test_what_waited_behind_a_lost_answer_is_not_blamed():
    desk, why = Desk(1), errors.ResultNotLoadable("its memory is gone")
    (chunk,) = desk.post(make_job(range(100), lanes=1))
    desk.post(make_job("a", lanes=1))
    running, behind = sent(desk.answer(chunk, run_ns=1000))
    assert list(behind.items) == ["a"]
    desk.tell(c.ChunkLost(1, running.id, why, is_last=False))
    assert not errors_of(desk.tell(c.LaneDied(1, errors.Death(7, -9))))
    assert behind.job.open_items == 0
    assert behind.job.waiting == 1


def test_an_item_that_cannot_be_rebuilt_fails_with_the_reason():
    desk, why = Desk(1), ValueError("no such file")
    (chunk,) = desk.post(make_job("a", lanes=1))
    commands = desk.tell(c.ChunkUnread(1, chunk.id, why, is_function=False))
    (error,) = errors_of(commands).values()
    assert isinstance(error, errors.ArgumentNotLoadable)
    assert error.__cause__ is why


# -- what nobody wants any more


def test_a_dropped_job_begins_nothing_more_and_ends_with_what_is_out():
    desk = Desk(1)
    job = make_job(range(5), lanes=1)
    (chunk,) = desk.post(job)
    assert desk.tell(c.JobDropped(job)) == []
    assert desk.answer(chunk) == [c.EndJob(job)]


def test_a_running_call_is_cancelled_by_stopping_its_lane():
    desk = Desk(1)
    call, next_call = Call(), Call()
    job = make_calls([call, next_call])
    (chunk,) = desk.post(job)
    call.is_cancelled = True
    assert desk.tell(c.TaskDropped(job, call)) == [c.StopLane(1, kill=True)]
    commands = desk.kill(chunk)
    (error,) = errors_of(commands).values()
    assert isinstance(error, errors.TaskCancelled)
    (chunk,) = sent(desk.tell(c.LaneReady(2)))
    assert list(chunk.items) == [next_call]


def hold_two_calls(desk):
    """One lane that runs one call and holds another."""
    running, behind = Call(), Call()
    job = make_calls([running, behind])
    job.lanes = 1
    job.sizer.observe(1000, 1000 * 1000)  # so far they were short
    (chunk,) = desk.post(job)
    assert list(chunk.items) == [running, behind]
    return job, running, behind


def test_a_call_that_waits_in_a_lane_is_asked_back_and_not_run_when_cancelled():
    desk = Desk(1)
    job, _, behind = hold_two_calls(desk)
    behind.is_cancelled = True
    assert desk.tell(c.TaskDropped(job, behind)) == [c.AskBack(1)]
    (chunk,) = desk.state.lanes[1].chunks
    assert sent(desk.answer(chunk, ["value"], returned=1, is_last=True)) == []
    assert job.open_items == 0
    assert job in desk.state.jobs


def test_a_call_that_ended_before_its_lane_was_stopped_does_not_blame_its_neighbour():
    desk = Desk(1)
    job, running, _ = hold_two_calls(desk)
    running.is_cancelled = True
    assert desk.tell(c.TaskDropped(job, running)) == [c.StopLane(1, kill=True)]
    chunk = desk.state.lanes[1].chunks[0]
    desk.answer(chunk, ["value"], is_last=False)
    assert errors_of(desk.tell(c.LaneDied(1, KILLED))) == {}
    assert job.waiting == 1


def test_a_call_nobody_holds_any_more_is_dropped_without_a_word():
    desk = Desk(1)
    job = make_calls([])
    desk.post(job)
    assert desk.tell(c.TaskDropped(job, Call())) == []


def test_a_pool_with_nothing_but_cancelled_calls_ends():
    desk = Desk(1)
    running, waiting = Call(), Call()
    job = make_calls([running, waiting])
    (chunk,) = desk.post(job)
    waiting.is_cancelled = True
    job.source.end()
    desk.tell(c.PoolClosed())
    commands = desk.answer(chunk)
    assert only(c.EndJob, commands) == [c.EndJob(job)]
    assert only(c.StopLane, commands) == [c.StopLane(1)]


# -- when to look again


def test_there_is_no_need_to_look_again_while_all_lanes_are_busy():
    desk = Desk(2)
    send_many(desk, range(100))
    assert desk.state.next_look_ns() is None
    assert desk.state.is_busy


@pytest.mark.parametrize("lanes", [1, 2, 5])
def test_idle_lanes_are_not_busy(lanes):
    desk = Desk(lanes)
    assert not desk.state.is_busy
    assert desk.state.wants_work
