"""What tells an end by a signal from every other end, and what follows from it."""

from __future__ import annotations

import asyncio
import functools
import signal
import sys
from concurrent.futures import CancelledError

import pytest

import poolwise
from poolwise.core import interrupts
from poolwise.core.signals import DeferredSignals, find_raised, interruptible
from tests.conftest import handler


def leave(*_):
    sys.exit(3)


class Leaves:
    def __call__(self, *_):
        leave()

    def method(self, *_):
        leave()


def caught(call, *args):
    try:
        call(*args)
    except BaseException as error:
        return error
    return None


# --- whose end it is ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "act",
    [leave, lambda *_: leave(), functools.partial(leave), Leaves(), Leaves().method],
    ids=["function", "lambda", "partial", "object", "method"],
)
def test_an_exit_of_a_handler_is_an_interrupt(act):
    with handler(act):
        error = caught(signal.raise_signal, signal.SIGUSR2)
        assert isinstance(error, SystemExit)
        assert interrupts.is_interrupt(error)


def test_other_ends_are_none():
    with handler(leave):
        pass
    for error in (None, caught(sys.exit, 3), ValueError(), GeneratorExit(), CancelledError()):
        assert not interrupts.is_interrupt(error)


def test_ctrl_c_is_one():
    assert interrupts.is_interrupt(KeyboardInterrupt())


def test_a_cancelled_task_is_what_ended_its_loop():
    error = asyncio.CancelledError()
    assert not interrupts.is_interrupt(error)
    error.__context__ = KeyboardInterrupt()
    assert interrupts.is_interrupt(error)
    wrong = ValueError()
    wrong.__context__ = KeyboardInterrupt()  # as where a program cleans up after Ctrl-C
    assert not interrupts.is_interrupt(wrong)


def test_ctrl_c_in_an_event_loop_is_one():
    told = []

    async def main():
        signal.raise_signal(signal.SIGINT)
        try:
            await asyncio.sleep(60)
        except BaseException as error:
            told.append(interrupts.is_interrupt(error))
            raise

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    assert told in ([True], [])  # before Python 3.11 it is raised where the loop is


# --- the shield -----------------------------------------------------------------------------------


class Late(Exception):
    """What a program's handler raises."""


def too_late(*_):
    raise Late


def fail():
    raise KeyError


def test_what_a_handler_raises_has_no_context_of_ours():
    def bookkeeping():
        with DeferredSignals(lambda: None):
            signal.raise_signal(signal.SIGUSR2)
            message = "ours"
            raise poolwise.PoolwiseError(message)

    def cleanup():
        try:
            fail()
        except KeyError:
            bookkeeping()

    with handler(too_late):
        error = caught(bookkeeping)
        assert isinstance(error, Late)
        assert error.__context__ is None
        assert isinstance(caught(cleanup).__context__, KeyError)  # the program's own stays


def test_of_two_handlers_that_raise_one_is_heard():
    def bookkeeping():
        with DeferredSignals(lambda: None):
            signal.raise_signal(signal.SIGUSR2)
            signal.raise_signal(signal.SIGUSR1)

    with handler(too_late), handler(leave, signal.SIGUSR1):
        error = caught(bookkeeping)
        assert isinstance(error, (Late, SystemExit))
        assert error.__context__ is None


@pytest.mark.parametrize("act", [too_late, leave, signal.default_int_handler])
def test_a_handler_strikes_in_the_programs_code_with_no_name_of_ours(act):
    struck = []

    def bookkeeping():
        with DeferredSignals(lambda: None):
            try:
                with interruptible:
                    signal.raise_signal(signal.SIGUSR2)
            except BaseException as error:
                struck.append(error)

    with handler(act):
        error = caught(bookkeeping)
    assert type(error) in {Late, SystemExit, KeyboardInterrupt}
    assert not isinstance(struck[0], Exception)  # which whoever is in the midst of it may catch
    assert type(struck[0]).__module__ == "builtins"
    assert find_raised(struck[0]) is error
