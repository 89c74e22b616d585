"""Faults that are open in other libraries, written anew: hangs, limits that are not kept.

pypeln #110 (an exception hangs a pipe with maxsize), #111 (maxsize is ignored over chained
stages), #113 (a pipe that is read in part leaves its workers), #118 (coroutine and thread stages
deadlock after a long time); mpipe #11 (hangs, depending on the size of what is passed).
"""

from __future__ import annotations

import asyncio
import itertools

import pytest

import poolwise
from tests.conftest import children, wait_until
from tests.pipeline import tasks


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_an_exception_does_not_hang_a_narrow_pipe(kind):
    pipe = poolwise.pipe(itertools.count(), window=1, cpus=2)
    pipe = pipe.map(tasks.fail_on_seven, kind=kind, workers=2).map(tasks.double, kind=kind)
    with pytest.raises(ValueError, match="seven"):
        pipe.run()


def test_a_limit_holds_over_chained_stages():
    read = []
    pipe = poolwise.pipe((read.append(x) or x for x in itertools.count()), window=1)
    for _ in range(3):
        pipe = pipe.map(tasks.add_one, kind="thread", workers=1)
    results = iter(pipe)
    assert next(results) == 3
    run = results._run

    def is_still():
        with run:
            return len(run.flow.outlet.waiting) == 1 and all(
                stage.ahead >= 1 for stage in run.flow.stages[1:-1]
            )

    wait_until(is_still)
    assert len(read) <= 1 + 2 * 4
    results.close()


def test_a_pipe_that_is_read_in_part_leaves_no_workers():
    before = children()
    results = iter(poolwise.pipe(itertools.count(), cpus=2).map(tasks.double, kind="process"))
    assert next(results) == 0
    results.close()
    assert children() <= before


def test_coroutines_and_threads_hand_over_to_each_other_again_and_again():
    async def echo(x):
        if x % 7 == 0:
            await asyncio.sleep(0)
        return x

    for _ in range(20):
        pipe = poolwise.pipe(range(200), window=1)
        pipe = pipe.map(echo, workers=3).map(tasks.add_one, kind="thread", workers=3)
        pipe = pipe.map(echo, workers=2).map(tasks.add_one, kind="thread", workers=2)
        assert pipe.run() == [x + 2 for x in range(200)]


@pytest.mark.parametrize("nbytes", [4_000, 70_000, 3_000_000])
def test_no_size_of_items_hangs_processes(nbytes):
    pipe = poolwise.pipe((bytes(nbytes) for _ in range(12)), cpus=2)
    pipe = pipe.map(bytes.upper, kind="process").map(bytes.lower, kind="thread")
    assert list(map(len, pipe.map(bytes.upper, kind="process"))) == [nbytes] * 12
