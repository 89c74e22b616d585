"""The differential test: random programs on the standard pools and on ours; it can fail too."""

from __future__ import annotations

import os
import random
import sys

import pytest

from tests.parity.differential.broken import BROKEN
from tests.parity.differential.programs import Call, End, Program, Read, Setup, Source
from tests.parity.differential.run import OURS, Farm
from tests.parity.differential.search import compare_all, draw
from tests.parity.differential.tasks import Do

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for hangs in /proc")

COUNT = 150
SEED = int(os.environ.get("DIFFERENTIAL_SEED") or random.SystemRandom().randrange(1 << 30))


@pytest.fixture(scope="module")
def farm():
    with Farm() as farm:
        yield farm


def test_random_programs_come_to_the_same(farm):
    cases = ((program, OURS) for program in draw(COUNT, SEED))
    found = [one for one in compare_all(farm, cases) if one.differences]
    again = f"DIFFERENTIAL_SEED={SEED} repeats this run, scripts/differential makes one small"
    assert not found, "\n".join([*map(str, found), again])


def test_the_same_number_gives_the_same_programs():
    assert list(draw(30, 7)) == list(draw(30, 7))
    assert list(draw(30, 7)) != list(draw(30, 8))


def test_a_program_is_what_it_prints():
    for program in draw(20, SEED):
        assert eval(repr(program)) == program


# --- it can fail --------------------------------------------------------------------------------

POOL = (Setup("pool"),)
NUMBERS = Source("list", (1, 2, 3))
CLOSED = (End(0, "close"), End(0, "join"))


def read_all(of):
    return Read(of, "all")


SMALL = {
    "a map": Program(POOL, (Call(0, "map", "echo", (NUMBERS,)), *CLOSED)),
    "an imap": Program(POOL, (Call(0, "imap", "echo", (NUMBERS,)), read_all(0), *CLOSED)),
    "a refilled buffer": Program(
        POOL,
        (
            Call(0, "imap", "look", (Source("generator", (1, 2, 3), mutates="list"),)),
            read_all(0),
            *CLOSED,
        ),
    ),
    "an exception": Program(
        POOL, (Call(0, "apply", "echo", (Source("list", (Do("raise", "ValueError"),)),)), *CLOSED)
    ),
    "a callback": Program(
        POOL,
        (
            Call(0, "apply_async", "echo", (Source("list", (1,)),), callback="log"),
            Read(0, "get"),
            *CLOSED,
        ),
    ),
    "a call when it is closed": Program(POOL, (*CLOSED, Call(0, "map", "echo", (NUMBERS,)))),
    "a held input": Program(
        POOL,
        (
            Call(0, "imap", "echo", (Source("endless", (Do("gate"),)),)),
            End(0, "terminate"),
            End(0, "join"),
        ),
    ),
    "all left open": Program(POOL, (Call(0, "map", "echo", (NUMBERS,)), *CLOSED), leaves_open=True),
}

FAULTS = {
    "SwapsValues": ("a map", "expected"),
    "LosesTheLast": ("an imap", "ends before"),
    "PicklesLate": ("a refilled buffer", "in the place of"),
    "RaisesAnother": ("an exception", "expected"),
    "ForgetsCallbacks": ("a callback", "0 callbacks, not 1"),
    "CallsBackTwice": ("a callback", "2 callbacks, not 1"),
    "RunsTwice": ("a map", "6 runs of tasks, not 3"),
    "TakesMoreWhenClosed": ("a call when it is closed", "join raised"),
    "HangsAtTheEnd": ("a map", "ours ended here: hang"),
    "LeavesAThread": ("a map", "something is left"),
    "LeavesDescriptors": ("a map", "something is left"),
    "LeavesAProcess": ("a map", "something is left"),
    "KeepsItsInput": ("a held input", "something is left"),
    "HangsAtExit": ("all left open", "hang at its exit"),
}


@pytest.fixture(scope="module")
def caught(farm):
    """What is found in each broken pool, by its name."""
    cases = [(SMALL[program], fault) for fault, (program, _) in FAULTS.items()]
    return {one.side: one for one in compare_all(farm, cases)}


def test_each_fault_is_shown_by_a_small_program():
    assert set(FAULTS) == set(BROKEN)


def test_what_is_not_broken_passes(farm):
    cases = [(program, OURS) for program in SMALL.values()]
    assert not [str(one) for one in compare_all(farm, cases) if one.differences]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_pool_is_caught(caught, fault):
    why = FAULTS[fault][1]
    assert [one for one in caught[fault].differences if why in one.why], str(caught[fault])
