"""Headspace by experiment: a stage is replaced by its results, and everything else stays."""

from __future__ import annotations

import time

import pytest

import poolwise
from tests.pipeline import tasks


def test_a_stage_that_waits_is_replaced_by_its_results():
    seen, naps = [], []

    def wait(x):
        naps.append(x)
        return 2 * x

    def keep(x):
        seen.append(x)
        return x

    pipe = poolwise.pipe(range(100)).map(tasks.add_one, kind="thread")
    pipe = pipe.map(wait, kind="thread", workers=1, name="wait").map(keep, kind="thread", workers=1)
    found = pipe.measure_headspace("wait", items=20)
    assert (found.stage, found.items) == ("wait", 20)
    assert found.predicted is not None
    assert found.measured == pytest.approx(found.seconds / found.seconds_without)
    assert len(naps) == 20 * (3 + 2)  # to know the results, for the report, and in each round
    assert seen == [2 * (x + 1) for x in range(20)] * (2 * 3 + 1)


def test_what_it_says_is_what_it_is_worth():
    def wait(x):
        time.sleep(0.005)
        return x

    pipe = poolwise.pipe(range(60)).map(wait, kind="thread", workers=1, name="wait")
    found = pipe.map(tasks.double, kind="thread").measure_headspace("wait")
    assert found.seconds >= 60 * 0.005
    assert found.seconds_without < found.seconds


def test_filters_batches_and_generators_are_replaced_too():
    pipe = poolwise.pipe(range(24), cpus=2).filter(tasks.is_even).batch(4).unbatch()
    pipe = pipe.flat_map(tasks.twice, kind="process").map(tasks.double)
    for name in ("is_even", "twice", "unbatch"):
        assert pipe.measure_headspace(name).items == 24


def test_a_source_that_cannot_be_read_again():
    with pytest.raises(TypeError, match="must be a list, not range_iterator"):
        poolwise.pipe(iter(range(3))).map(tasks.double).measure_headspace("double")


def test_a_stage_that_is_not_there():
    pipe = poolwise.pipe([1]).map(tasks.double).map(tasks.double).batch(2)
    with pytest.raises(ValueError, match=r"2 stages named 'double'.*there are 'double', 'double'"):
        pipe.measure_headspace("double")
    with pytest.raises(ValueError, match="0 stages named"):
        pipe.measure_headspace("batch(2)")
