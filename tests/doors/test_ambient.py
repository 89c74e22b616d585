"""The application chooses, the library uses."""

from __future__ import annotations

import asyncio
import threading

import pytest

import poolwise


def double(number):
    return 2 * number


def library(numbers):
    """A library's function: it knows of no pool."""
    pool = poolwise.current()
    return list(map(double, numbers)) if pool is None else pool.map(double, numbers)


def test_nobody_has_chosen():
    assert poolwise.current() is None
    assert library(range(3)) == [0, 2, 4]


def test_a_pool_is_used_and_left_open():
    with poolwise.Pool(1, backend="threads") as pool:
        with poolwise.using(pool) as used:
            assert used is pool is poolwise.current()
            assert library(range(3)) == [0, 2, 4]
        assert poolwise.current() is None
        assert pool.map(double, [1]) == [2]
        assert pool.statistics()["tasks"] == 4


def test_a_back_end_gets_a_pool_for_the_block():
    with poolwise.using("threads", 2) as pool:
        assert (pool.backend.name, pool._processes) == ("threads", 2)
        later = pool.map_async(double, range(100))
        assert library(range(3)) == [0, 2, 4]
    assert later.get() == [2 * n for n in range(100)]
    with pytest.raises(ValueError, match="not running"):
        pool.map(double, [1])


def test_blocks_nest_and_none_is_serial_again():
    with poolwise.using("threads", 1) as outer:
        with poolwise.using("serial") as inner:
            assert poolwise.current() is inner
        with poolwise.using(None):
            assert poolwise.current() is None
        assert poolwise.current() is outer


def test_an_error_in_the_block_ends_the_choice_and_the_pool():
    with pytest.raises(LookupError), poolwise.using("threads", 1) as pool:
        raise LookupError
    assert poolwise.current() is None
    with pytest.raises(ValueError, match="not running"):
        pool.map(double, [1])


def test_other_threads_choose_for_themselves_and_tasks_inherit():
    seen = []
    with poolwise.using("threads", 1) as pool:
        thread = threading.Thread(target=lambda: seen.append(poolwise.current()))
        thread.start()
        thread.join()

        async def look():
            return await asyncio.gather(asyncio.to_thread(poolwise.current), inner())

        async def inner():
            return poolwise.current()

        assert asyncio.run(look()) == [pool, pool]
    assert seen == [None]


def test_what_is_no_back_end_is_refused():
    with pytest.raises(ValueError, match="unknown backend"), poolwise.using(object()):
        pass
