"""Signals whose handlers raise, as programs limit a call's time with `signal.alarm`.

SIGUSR2 stands for them: pytest's own time limit is a SIGALRM.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import contextmanager

import pytest

import poolwise
from tests.faults import breakers

LIMIT_S = 20


class Late(Exception):
    """What a program's handler raises."""


def too_late(*_):
    raise Late


@contextmanager
def handler(act):
    before = signal.signal(signal.SIGUSR2, act)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR2, before)


def works(pool):
    """The pool goes on, and the program's handlers are its own."""
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGUSR2) is too_late
    return pool.map_async(breakers.double, range(3)).get(LIMIT_S) == [0, 2, 4]


def strike_from_afar(after_s=0.05):
    timer = threading.Timer(after_s, os.kill, (os.getpid(), signal.SIGUSR2))
    timer.start()
    return timer


class BlocksWhenPickled:
    def __reduce__(self):
        time.sleep(60)


class BlocksWhenLoaded:
    def __reduce__(self):
        return block, (os.getpid(),)


def block(pid):
    if os.getpid() != pid:  # not where it is tried whether it can be rebuilt
        time.sleep(60)


def work(_):
    time.sleep(60)


@pytest.mark.parametrize(
    "call",
    [
        lambda pool: pool.map(work, range(2)),
        lambda pool: pool.apply(work, (1,)),
        lambda pool: list(pool.imap(work, iter(range(2)))),
        lambda pool: pool.apply_async(work, (1,)).get(),
        lambda pool: pool.apply(id, (BlocksWhenPickled(),)),
        lambda pool: pool.apply(breakers.make, (BlocksWhenLoaded,)),
    ],
    ids=["map", "apply", "imap", "get", "while an argument is pickled", "while a result is loaded"],
)
def test_call_is_limited_by_a_handler(call):
    with poolwise.Pool(2) as pool, handler(too_late):
        timer = strike_from_afar()
        with pytest.raises(Late):
            call(pool)
        timer.join()
        pool.terminate()
        pool.join()


def test_pool_goes_on_after_a_limited_call():
    with poolwise.Pool(2) as pool, handler(too_late):
        timer = strike_from_afar()
        with pytest.raises(Late):
            pool.map(time.sleep, [0.5] * 2)
        timer.join()
        assert works(pool)


def test_handler_that_returns_changes_nothing():
    told = []
    with poolwise.Pool(2) as pool, handler(lambda *_: told.append(1)):
        timers = [strike_from_afar(at / 100) for at in range(10)]
        assert pool.map(breakers.double, range(20_000)) == list(range(0, 40_000, 2))
        for timer in timers:
            timer.join()
    assert told


def handler_here(_):
    return signal.getsignal(signal.SIGUSR2).__name__, signal.getsignal(signal.SIGINT).__name__


def test_workers_have_the_programs_handlers():
    with handler(too_late), poolwise.Pool(2, context="fork") as pool:
        assert pool.map(handler_here, range(2)) == [("too_late", "_leave_to_parent")] * 2


def test_terminate_that_is_struck_has_ended_the_workers():
    begun, go_on = threading.Event(), threading.Event()

    def hold_up(_):
        begun.set()
        go_on.wait(LIMIT_S)

    pool = poolwise.Pool(2)
    with handler(too_late):
        pool.apply_async(abs, (1,), callback=hold_up)
        assert begun.wait(LIMIT_S)
        workers = pool._pool
        timer = strike_from_afar()
        with pytest.raises(Late):
            pool.terminate()  # waits for the callback
        timer.join()
        assert not any(worker.is_alive() for worker in workers)
        go_on.set()
        pool.terminate()
        pool.join()


# --- at every step --------------------------------------------------------------------------------


def strike_at(step, call):
    """Call, and raise the signal at that step of our own code; how many steps there were."""
    seen = 0

    def count(frame, *_):
        nonlocal seen
        if f"{os.sep}poolwise{os.sep}" in frame.f_code.co_filename:
            seen += 1
            if seen == step:
                signal.raise_signal(signal.SIGUSR2)

    sys.setprofile(count)
    try:
        call()
    except Late:
        pass
    finally:
        sys.setprofile(None)
    return seen


CALLS = {
    "map": lambda pool: pool.map(abs, [-1, -2]),
    "map of an iterator": lambda pool: pool.map(abs, iter([-1, -2])),
    "apply": lambda pool: pool.apply(abs, (-1,)),
    "apply_async": lambda pool: pool.apply_async(abs, (-1,), callback=abs).get(),
    "imap": lambda pool: list(pool.imap(abs, iter([-1, -2]))),
    "report": lambda pool: pool.report(),
}


def sweep(call, stride):
    """Strike at each step in its turn; the pool must be as good as before."""
    with handler(too_late):
        at, steps = 1, stride
        with poolwise.Pool(1) as pool:
            call(pool)
            while at <= steps:
                steps = max(steps, strike_at(at, lambda: call(pool)))
                assert works(pool), f"after a strike at step {at}"
                at += stride
            pool.close()
            pool.join()


# A handler that strikes in a finalizer raises where nobody can catch it.
in_finalizers = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@in_finalizers
@pytest.mark.parametrize("call", CALLS)
def test_strike_at_many_steps(call):
    sweep(CALLS[call], 13)


@in_finalizers
@pytest.mark.exhaustive
@pytest.mark.parametrize("call", CALLS)
def test_strike_at_every_step(call):
    sweep(CALLS[call], 1)


@in_finalizers
def test_strike_at_many_steps_of_an_executor():
    with handler(too_late), poolwise.ProcessPoolExecutor(1) as executor:

        def call():
            assert [one.result() for one in [executor.submit(abs, -1)] * 2] == [1, 1]
            assert list(executor.map(abs, iter([-1, -2]))) == [1, 2]

        call()
        at, steps = 1, 9
        while at <= steps:
            steps = max(steps, strike_at(at, call))
            assert executor.submit(abs, -3).result(LIMIT_S) == 3, f"after a strike at step {at}"
            at += 9
        assert signal.getsignal(signal.SIGUSR2) is too_late


def live_and_die():
    with poolwise.Pool(2, context="fork") as pool:
        pool.map(abs, [-1, -2])


@in_finalizers
@pytest.mark.filterwarnings("ignore:unclosed running:ResourceWarning")
def test_strike_at_many_steps_of_a_pools_life():
    """What is left behind, the fixture for this module finds."""
    with handler(too_late):
        at, steps = 1, 17
        while at <= steps:
            steps = max(steps, strike_at(at, live_and_die))
            at += 17
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
