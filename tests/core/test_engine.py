"""Who drives, who waits, who is told: the engine on a back end that has no lanes."""

from __future__ import annotations

import logging
import threading
from functools import partial

import pytest

from poolwise import errors
from poolwise.core import contract as c
from poolwise.core.job import MAP, Function, Job, Listed, Submitted
from poolwise.core.leader import _Follower
from poolwise.options import TaskRules
from tests.conftest import wait_until
from tests.core.desk import work
from tests.core.fakes import open_fake

LONG_S = 60


class Ends:
    """A sink that notes all, and may have news for whoever waits outside."""

    def __init__(self, news=()):
        self.values = {}
        self.error = None
        self.is_over = False
        self._news = [lambda call=call: call for call in news]

    def deliver(self, chunk, first, values, failed):
        self.values.update(enumerate(values, chunk.start + first))
        return ()

    def end(self, error):
        self.error, self.is_over = error, True
        return self._news

    def room(self, job):
        return None

    def has_ended(self):
        return self.is_over


@pytest.fixture
def fakes():
    """Makes engines, and ends them."""
    made = []

    def make(*args, **kwargs):
        engine, backend = open_fake(*args, **kwargs)
        made.append(engine)
        return engine, backend

    yield make
    for engine in made:
        engine.terminate(errors.PoolTerminated("the test is over"))


def post(engine, items, news=()):
    """A map over ``items``, and where it ends."""
    ends = Ends(news)
    engine.post(c.JobPosted(make_job(ends, items)))
    return ends


def make_job(ends, items):
    return Job(Function(work), MAP, Listed(items), ends, TaskRules(), lanes=2, prompt_ns=0)


def wait_for(engine, ends):
    """All values, when they are there."""
    assert engine.wait(ends.has_ended, LONG_S)
    return ends.values


def test_whoever_waits_does_the_work(fakes):
    engine, _ = fakes()
    ends = post(engine, range(1000))
    assert engine.wait(ends.has_ended, LONG_S)
    assert ends.values == {at: at for at in range(1000)}
    assert ends.error is None


def test_the_helper_does_it_when_nobody_waits(fakes):
    engine, _ = fakes()
    told = threading.Event()
    post(engine, range(1000), news=[told.set])
    assert told.wait(LONG_S)


def test_waiting_ends_at_its_time(fakes):
    engine, _ = fakes(on_send=lambda _: None)
    ends = post(engine, [1])
    assert not engine.wait(ends.has_ended, 0.01)
    assert not engine.wait(ends.has_ended, 0)


def test_many_threads_may_wait_and_each_gets_its_own(fakes):
    engine, _ = fakes()
    got = {}

    def run(number):
        ends = post(engine, range(number * 10))
        got[number] = engine.wait(ends.has_ended, LONG_S) and ends.values

    threads = [threading.Thread(target=run, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_S)
    assert got == {number: {at: at for at in range(number * 10)} for number in range(12)}


def test_a_waiting_thread_takes_over_when_the_leader_leaves(fakes):
    held = []
    engine, backend = fakes(on_send=held.append)
    first, second = post(engine, ["a"]), post(engine, ["b"])
    got = threading.Event()
    waiter = threading.Thread(target=lambda: engine.wait(second.has_ended, LONG_S) and got.set())
    waiter.start()
    wait_until(lambda: len(held) == 2)  # whichever thread sends them
    backend.answer(next(chunk for chunk in held if chunk.items == ["a"]))
    assert engine.wait(first.has_ended, LONG_S)
    backend.answer(next(chunk for chunk in held if chunk.items == ["b"]))
    assert got.wait(LONG_S)
    waiter.join()


def test_news_may_use_the_pool(fakes):
    engine, _ = fakes()
    inner = []
    post(engine, [1], news=[lambda: inner.append(post(engine, [2]))]).has_ended()
    assert engine.wait(lambda: bool(inner) and inner[0].is_over, LONG_S)
    assert inner[0].values == {0: 2}


def test_news_that_raises_is_logged_and_harms_nobody(fakes, caplog):
    engine, _ = fakes()
    told = threading.Event()
    with caplog.at_level(logging.ERROR, "poolwise"):
        post(engine, [1], news=[lambda: 1 / 0, told.set])
        assert told.wait(LONG_S)
    assert "ZeroDivisionError" in caplog.text


def test_a_sink_cannot_wait_for_the_pool_that_serves_it(fakes):
    engine, _ = fakes()
    caught = []

    class Impatient(Ends):
        def deliver(self, chunk, first, values, failed):
            with pytest.raises(RuntimeError, match="cannot wait for itself") as info:
                engine.wait(lambda: False)
            caught.append(info.value)
            return ()

    ends = Impatient()
    job = Job(Function(work), MAP, Listed([1]), ends, TaskRules(), lanes=2, prompt_ns=0)
    engine.post(c.JobPosted(job))
    assert engine.wait(ends.has_ended, LONG_S)
    assert caught


# -- the end


def test_close_and_join_let_everything_end_well(fakes):
    engine, backend = fakes()
    ends = post(engine, range(100))
    engine.close()
    assert engine.join(LONG_S)
    assert len(ends.values) == 100
    assert backend.closed.is_set()
    assert ("stop", 1) in backend.told


def test_join_waits_for_what_nobody_has_looked_at(fakes):
    engine, _ = fakes()
    with engine._leader._lock:  # so the job is posted, and no lane is started for it
        ends = post(engine, range(10))
        engine.close()
    assert not engine.state.lanes
    assert engine.join(LONG_S)
    assert ends.values == {at: at for at in range(10)}


def test_a_job_that_comes_while_the_pool_is_joined_is_refused(fakes):
    engine, backend = fakes()
    post(engine, [1])
    engine.close()
    wait, too_late = engine.wait, Ends()

    def wait_then_post(*args):
        is_over = wait(*args)
        engine._posted.append(c.JobPosted(make_job(too_late, [2])))  # by another thread
        return is_over

    engine.wait = wait_then_post
    assert engine.join(LONG_S)
    assert isinstance(too_late.error, errors.PoolTerminated)
    assert backend.closed.is_set()
    with pytest.raises(errors.PoolTerminated, match="before this call"):
        post(engine, [3])
    assert not engine.state.lanes


def test_join_gives_up_at_its_time(fakes):
    engine, backend = fakes(on_send=lambda _: None)
    post(engine, [1])
    engine.close()
    assert not engine.join(0.01)
    assert not backend.closed.is_set()


def test_terminate_fails_what_is_not_done(fakes):
    engine, backend = fakes(on_send=lambda _: None)
    ends = post(engine, [1])
    engine.terminate(errors.PoolTerminated("enough"))
    assert repr(ends.error) == "PoolTerminated('enough')"
    assert backend.closed.is_set()


def test_terminate_ends_a_job_that_nobody_has_looked_at_and_that_is_done(fakes):
    engine, _ = fakes()
    with engine._leader._lock:  # so the job is posted, and nothing comes of it
        ends = post(engine, [])
        assert not ends.is_over
    engine.terminate(errors.PoolTerminated("enough"))
    assert ends.is_over
    assert ends.error is None


def test_what_is_posted_while_the_engine_ends_is_refused(fakes):
    engine, _ = fakes()
    engine.terminate(errors.PoolTerminated("enough"))
    with (
        engine._leader._lock,
        pytest.raises(errors.PoolTerminated),
    ):  # who ends it may hold it
        post(engine, [1])


def test_terminate_ends_the_wait_of_other_threads(fakes):
    engine, _ = fakes(on_send=lambda _: None)
    ends = post(engine, [1])
    threads = [threading.Thread(target=engine.wait, args=(ends.has_ended,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    engine.terminate(errors.PoolTerminated("enough"))
    for thread in threads:
        thread.join(LONG_S)
        assert not thread.is_alive()


def test_what_strikes_the_bookkeeping_fails_everything_and_is_said(fakes):
    engine, backend = fakes(on_send=lambda _: 1 / 0)
    with pytest.raises((ZeroDivisionError, errors.PoolInterrupted)):  # here, or in the helper
        wait_for(engine, post(engine, [1]))
    with pytest.raises(errors.PoolInterrupted, match="ZeroDivisionError") as info:
        engine.wait(lambda: False, LONG_S)
    assert isinstance(info.value.__cause__, ZeroDivisionError)
    assert backend.closed.is_set()
    assert engine.is_closed


def test_what_strikes_the_helper_is_told_to_those_who_left_a_callback(fakes):
    engine, backend = fakes(on_send=lambda _: None)
    told = threading.Event()
    ends = post(engine, [1], news=[told.set])
    backend.put("no event")
    assert told.wait(LONG_S)
    assert isinstance(ends.error, errors.PoolInterrupted)


class Door:
    """What an engine is used by."""


def test_an_engine_whose_door_is_dropped_finishes_what_was_begun_and_gives_all_back(fakes):
    engine, backend = fakes()
    told = threading.Event()
    door = Door()
    engine.watch(door, Submitted())
    post(engine, range(100), news=[told.set])
    del door
    assert told.wait(LONG_S)
    assert backend.closed.wait(LONG_S)


def test_a_follower_is_promoted_before_callbacks_run(fakes):
    """A callback may wait for what that follower is about to do."""
    engine, _ = fakes()
    order, called = [], threading.Event()

    class Watched(_Follower):
        def ring(self):
            order.append("promoted")

    class Lock:
        acquire, locked = engine._leader._lock.acquire, engine._leader._lock.locked

        def release(self, real=engine._leader._lock.release):
            real()
            order.append("released")

    engine._leader._lock = Lock()
    follower = Watched(lambda: False)
    engine._leader._followers.append(follower)
    post(engine, [1], news=[lambda: order.append("called back"), called.set])
    assert called.wait(LONG_S)
    engine._leader._followers.remove(follower)
    assert order[order.index("called back") - 1] == "promoted"


def test_statistics_count_what_was_done(fakes):
    engine, _ = fakes(lanes=3)
    engine.start_all()
    assert engine.wait(post(engine, range(50)).has_ended, LONG_S)
    counts = engine.statistics()
    assert counts["tasks"] == 50
    assert counts["workers"] == 3
    assert counts["deaths"] == counts["retries"] == 0


def test_what_is_said_is_told_once_however_many_steps_come_before(fakes):
    told, observer = [], c.Observer()
    engine, _ = fakes(observers=[observer])
    observer.callbacks.extend([partial(told.append, "one"), partial(told.append, "two")])
    with engine._leader._lock:
        engine._step(0)
        engine._step(0)
    engine.publish()
    assert told == ["one", "two"]
