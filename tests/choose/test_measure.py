"""Costs of items, by readings that are made up."""

from __future__ import annotations

from poolwise.choose.call import Call
from poolwise.choose.measure import Meter
from poolwise.choose.options import Options
from poolwise.choose.run import Run
from tests.choose import work

MS = 1_000_000
BEGIN = (0, 0, 0, 0)
LONG = (150 * MS, 8 * MS, 16 * MS, 0)
"""A call of BLAS that had no CPU for most of its time; while somebody looks who has the lock, the
kernel is not asked for how long."""
TRUE = (10 * MS, 10 * MS, 20 * MS, 0)


def test_a_first_item_that_was_disturbed_gives_way_to_the_next():
    meter = Meter()
    meter.add(1, BEGIN, LONG, is_disturbed=True)
    assert meter.is_disturbed
    meter.add(1, BEGIN, TRUE)
    assert not meter.is_disturbed
    assert meter.measured().waiting == 0
    assert meter.measured().cpus == 2.0
    assert meter.is_first


def test_disturbed_ones_after_it_say_nothing():
    meter = Meter()
    meter.add(1, BEGIN, TRUE)
    meter.add(1, BEGIN, LONG, is_disturbed=True)
    assert meter.measured().waiting == 0
    assert meter.measured().items == 2


def test_nothing_is_decided_by_an_item_that_was_disturbed():
    """Threads of BLAS that find no CPU look like a wait: 64 threads were started for it."""
    run = Run(Call(work.compute, has_many=False, seed=None), range(100), Options.of({}))
    run.meter.add(1, BEGIN, LONG, is_disturbed=True)
    assert not run._can_decide(run.meter.measured())
    run.meter.add(1, BEGIN, LONG)
    assert run._can_decide(run.meter.measured())
    run.close()
