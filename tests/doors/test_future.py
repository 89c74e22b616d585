"""Our futures beside the standard ones: whatever holds for those holds for ours."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from concurrent.futures import CancelledError, Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError

import pytest

from poolwise import errors
from poolwise.core import contract as c
from poolwise.core.job import CALLS, Function, Job, Submitted, no_call
from poolwise.doors.future import FutureSink, TaskFuture
from poolwise.options import TaskRules
from tests.conftest import wait_until
from tests.core.fakes import open_fake

LONG_S = 30
PENDING, RUNNING, FINISHED = "PENDING", "RUNNING", "FINISHED"


class Standard:
    """Makes standard futures in a wanted state."""

    def make(self, state):
        future = Future()
        if state != PENDING:
            future.set_running_or_notify_cancel()
        if state == FINISHED:
            future.set_result("value")
        return future

    def finish(self, future):
        future.set_result("value")

    def fail(self, future, error):
        future.set_exception(error)

    def close(self):
        pass


class Ours:
    """Makes ours, on an engine whose back end answers when told."""

    def __init__(self):
        self.held = []
        self.engine, self.backend = open_fake(4, self.held.append)
        self.job = Job(
            Function(no_call), CALLS, Submitted(), FutureSink(), TaskRules(),
            lanes=2, prompt_ns=0, unit=1,
        )  # fmt: skip
        self.engine.post(c.JobPosted(self.job))
        self.engine.start_all()

    def make(self, state):
        future = TaskFuture(self.engine, self.job, (str, ("value",), {}))
        if state != PENDING:
            self.job.source.items.append(future)
            assert self.engine.wait(future.running, LONG_S)
        if state == FINISHED:
            self.finish(future)
            assert self.engine.wait(future.done, LONG_S)
        return future

    def finish(self, future):
        self.backend.answer(self._chunk_of(future))
        self.engine.kick()

    def fail(self, future, error):
        chunk = self._chunk_of(future)
        lane = self.backend.lane_of(chunk)
        self.backend.put(c.ChunkDone(lane, chunk.id, c.Outcome(0, [None], {0: error})))
        self.engine.kick()

    def _chunk_of(self, future):
        if not future.running():  # a pending one is sent first
            self.job.source.items.append(future)
            self.engine.kick()
        return next(chunk for chunk in self.held if future in chunk.items)

    def close(self):
        self.engine.terminate(errors.PoolTerminated("the test is over"))


@pytest.fixture(params=[Standard, Ours])
def maker(request):
    made = request.param()
    yield made
    made.close()


@pytest.mark.parametrize("state", [PENDING, RUNNING, FINISHED])
def test_what_it_is_asked(maker, state):
    future = maker.make(state)
    assert isinstance(future, Future)
    assert future.done() == (state == FINISHED)
    assert future.running() == (state == RUNNING)
    assert not future.cancelled()
    assert state.lower() in repr(future)


def test_result_and_exception(maker):
    future = maker.make(FINISHED)
    assert future.result() == future.result(timeout=0) == "value"
    assert future.exception() is None


def test_an_error_is_raised_as_it_is(maker):
    future, error = maker.make(RUNNING), KeyError("k")
    maker.fail(future, error)
    assert future.exception(LONG_S) is error
    with pytest.raises(KeyError) as info:
        future.result()
    assert info.value is error


@pytest.mark.parametrize("state", [PENDING, RUNNING])
@pytest.mark.parametrize("ask", ["result", "exception"])
def test_waiting_ends_at_its_time(maker, state, ask):
    with pytest.raises(FutureTimeoutError):
        getattr(maker.make(state), ask)(timeout=0.01)


def test_a_pending_one_can_be_cancelled_and_says_so(maker):
    future = maker.make(PENDING)
    assert future.cancel()
    assert future.cancel()
    assert future.cancelled()
    assert future.done()
    for ask in (future.result, future.exception):
        with pytest.raises(CancelledError):
            ask()


@pytest.mark.parametrize("state", [RUNNING, FINISHED])
def test_one_that_has_begun_cannot_be_cancelled(maker, state):
    future = maker.make(state)
    assert not future.cancel()
    assert not future.cancelled()


@pytest.mark.parametrize("state", [PENDING, RUNNING, FINISHED])
def test_callbacks_are_called_once_in_order_with_the_future(maker, state):
    future, seen, called = maker.make(state), [], threading.Event()
    future.add_done_callback(lambda done: seen.append((1, done)))
    future.add_done_callback(lambda done: (seen.append((2, done)), called.set()))
    if state != FINISHED:
        maker.finish(future)
    assert called.wait(LONG_S)
    assert seen == [(1, future), (2, future)]


def test_cancelling_calls_back(maker):
    future, seen = maker.make(PENDING), []
    future.add_done_callback(seen.append)
    future.cancel()
    assert seen == [future]


def test_a_callback_that_raises_harms_nobody(maker, caplog):
    future, called = maker.make(RUNNING), threading.Event()
    future.add_done_callback(lambda _: 1 / 0)
    future.add_done_callback(lambda _: called.set())
    maker.finish(future)
    assert called.wait(LONG_S)
    assert future.result(LONG_S) == "value"
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("until", "count"),
    [("FIRST_COMPLETED", 1), ("ALL_COMPLETED", 3), ("FIRST_EXCEPTION", 3)],
)
def test_wait_for_several(maker, until, count):
    futures = [maker.make(RUNNING) for _ in range(2)] + [maker.make(FINISHED)]
    if until != "FIRST_COMPLETED":
        for future in futures[:2]:
            maker.finish(future)
    done, not_done = concurrent.futures.wait(futures, LONG_S, getattr(concurrent.futures, until))
    assert (len(done), len(not_done)) == (count, 3 - count)


def test_as_completed_gives_each_once(maker):
    futures = [maker.make(RUNNING) for _ in range(2)]
    for future in futures:
        maker.finish(future)
    assert set(concurrent.futures.as_completed(futures, LONG_S)) == set(futures)


def test_asyncio_can_await_it(maker):
    async def main():
        future = maker.make(RUNNING)
        waiting = asyncio.wrap_future(future)
        maker.finish(future)
        return await asyncio.wait_for(waiting, LONG_S)

    assert asyncio.run(main()) == "value"


def test_many_threads_may_wait_for_one(maker):
    future, got = maker.make(RUNNING), []
    threads = [threading.Thread(target=lambda: got.append(future.result(LONG_S))) for _ in range(5)]
    for thread in threads:
        thread.start()
    maker.finish(future)
    for thread in threads:
        thread.join(LONG_S)
    assert got == ["value"] * 5


def test_it_is_finished_once(maker):
    future = maker.make(FINISHED)
    with pytest.raises(InvalidStateError):
        future.set_result("another")
    assert future.result() == "value"


# -- what only ours can


@pytest.fixture
def ours():
    made = Ours()
    yield made
    made.close()


def test_a_running_one_can_be_cancelled_by_force(ours):
    future = ours.make(RUNNING)
    assert future.cancel(force=True)
    assert future.cancelled()
    assert [what for what, _ in ours.backend.told].count("kill") == 1
    with pytest.raises(CancelledError):
        future.result(LONG_S)


def test_a_value_that_comes_after_all_changes_nothing(ours):
    future = ours.make(RUNNING)
    (chunk,) = ours.held
    future.cancel(force=True)
    FutureSink().deliver(chunk, 0, ["late"], {})
    assert future.cancelled()


def test_nothing_that_costs_is_made_until_somebody_needs_it(ours):
    future = ours.make(FINISHED)
    assert "_condition" not in vars(future)
    assert future.result() == "value"
    assert "_condition" not in vars(future)


def test_the_call_is_let_go_with_its_end(ours):
    assert ours.make(FINISHED).call is None


def test_a_call_starts_its_worker_although_another_thread_drives():
    engine, backend = open_fake(2)
    job = Job(
        Function(no_call), CALLS, Submitted(), FutureSink(), TaskRules(),
        lanes=2, prompt_ns=0, unit=1,
    )  # fmt: skip
    engine.post(c.JobPosted(job))
    is_over = threading.Event()
    driver = threading.Thread(target=engine.wait, args=(is_over.is_set,), daemon=True)
    driver.start()
    wait_until(lambda: engine._leader.is_asleep)
    future = TaskFuture(engine, job, (str, ("value",), {}))
    job.source.items.append(future)
    engine.submitted()
    assert ("start", 1) in backend.told
    assert future.result(LONG_S) == "value"
    is_over.set()
    engine.wake()
    driver.join()
    engine.terminate(errors.PoolTerminated("the test is over"))
