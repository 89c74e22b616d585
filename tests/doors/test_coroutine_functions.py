"""Coroutine functions are told from others, and run on a loop beside the program."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from contextvars import ContextVar
from unittest import mock

import pytest

import poolwise
from poolwise.doors.coroutines import EventLoop, in_time, tried
from poolwise.doors.functions import (
    is_async_generator_function,
    is_coroutine_function,
    is_generator_function,
)


async def one(x=1):
    return x


async def many():
    yield 1


def some():
    yield 1


def gives_one():
    return one()


class Called:
    async def __call__(self, x):
        return x


@pytest.mark.parametrize(
    "function", [one, functools.partial(functools.partial(one), 2), Called(), mock.AsyncMock()]
)
def test_coroutine_functions(function):
    assert is_coroutine_function(function)
    assert not is_generator_function(function)
    assert not is_async_generator_function(function)


def test_generator_functions():
    assert is_generator_function(functools.partial(some))
    assert is_async_generator_function(functools.partial(many))
    assert not is_coroutine_function(many)
    assert not is_coroutine_function(mock.Mock())
    assert not is_coroutine_function(len)


@pytest.mark.skipif(
    not hasattr(inspect, "markcoroutinefunction"), reason="Python 3.12 has brought that"
)
def test_a_function_that_is_marked_as_one():
    assert is_coroutine_function(inspect.markcoroutinefunction(gives_one))


def test_tasks_that_are_left_end_with_the_loop():
    ended, begun, loop = [], threading.Event(), EventLoop()

    async def wait():
        begun.set()
        try:
            await asyncio.sleep(600)
        finally:
            ended.append(1)

    loop.spawn(wait())
    begun.wait()
    loop.close()
    assert ended == [1]


def test_what_takes_too_long_has_ended_when_that_is_said():
    ended = []

    async def wait():
        try:
            await asyncio.sleep(600)
        finally:
            await asyncio.sleep(0)
            ended.append(1)

    with pytest.raises(poolwise.TaskTimeout):
        asyncio.run(in_time(wait(), 0.01))
    assert ended == [1]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_would_end_a_loop_ends_one_call(error):
    async def leave():
        raise error

    async def main():
        with pytest.raises(error):
            await in_time(leave(), 60)
        return "goes on"

    assert asyncio.run(main()) == "goes on"


def test_tries_are_counted():
    calls = []

    async def fail():
        calls.append(1)
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - it says nothing
        asyncio.run(tried(fail, None, lambda _, count: count < 3))
    assert len(calls) == 3


def test_coroutines_of_a_map_see_the_callers_context():
    user = ContextVar("user", default="nobody")

    async def read(_):
        return user.get()

    user.set("somebody")
    assert poolwise.map(read, range(3)) == ["somebody"] * 3
