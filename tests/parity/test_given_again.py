"""The same data given again, call after call: what each call sees is what it was when called."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

import poolwise

np = pytest.importorskip("numpy")

LENGTH = 20_000
"""Numbers in an array that is large enough to go through shared memory."""

ARRAYS = st.integers(0, 2)
WAYS = st.sampled_from(["bound", "bound twice", "handed to each", "applied", "streamed"])


def take(array, _=None, other=None):
    """What was given, and a change of it that nobody else may see."""
    before = array.copy(), None if other is None else other.copy()
    array[:] = -1
    if other is not None:
        other[:] = -2
    return before


@pytest.fixture(scope="module", autouse=True)
def pool():
    with poolwise.Pool(2) as pool:
        Calls.pool = pool
        yield pool
        Calls.pool = None


class Calls(RuleBasedStateMachine):
    """Arrays are changed, replaced and given to calls in any order."""

    pool: poolwise.Pool | None = None

    @initialize()
    def make(self):
        self.arrays = [np.full(LENGTH, float(n)) for n in range(3)]

    @rule(which=ARRAYS, at=st.integers(0, LENGTH - 1), value=st.integers(0, 9))
    def change(self, which, at, value):
        self.arrays[which][at] = value

    @rule(which=ARRAYS)
    def change_the_sign_of_zero(self, which):
        self.arrays[which] *= -0.0

    @rule(which=ARRAYS, value=st.integers(0, 9))
    def replace(self, which, value):
        self.arrays[which] = None  # the next one may well lie in the same place
        self.arrays[which] = np.full(LENGTH, float(value))

    @rule(which=ARRAYS, way=WAYS, part=st.sampled_from([slice(None), slice(5, -5)]))
    def call(self, which, way, part):
        array, pool = self.arrays[which][part], self.pool
        wanted = array.tobytes()
        if way == "bound":
            got = pool.map(partial(take, array), range(3))
        elif way == "bound twice":
            other = self.arrays[which - 1]
            got = pool.map(partial(take, array, other=other), range(3))
            assert [b.tobytes() for _, b in got] == [other.tobytes()] * 3
        elif way == "handed to each":
            got = pool.starmap(take, [(array, n) for n in range(4)], chunksize=1)
        elif way == "streamed":
            got = pool.imap(take, [array] * 3)
        else:
            got = [pool.apply(take, (array,))]
        assert {a.tobytes() for a, _ in got} == {wanted}
        assert array.tobytes() == wanted


TestCalls = Calls.TestCase
TestCalls.settings = settings(max_examples=30, stateful_step_count=12, deadline=None)


def memory_of(pool):
    return pool._engine._backend._memory._arena


def test_what_is_bound_again_does_not_pile_up():
    array = np.arange(float(LENGTH))
    with poolwise.Pool(2) as pool:
        for _ in range(6):
            pool.map(partial(take, array), range(3))
        assert memory_of(pool).lent_bytes < 2 * array.nbytes


def test_arrays_that_are_gone_do_not_pile_up(pool):
    """A worker gives its last ones back with what it says next, so a few of them are still held."""
    for n in range(40):
        pool.map(partial(take, np.full(LENGTH, float(n))), range(3))
    assert memory_of(pool).lent_bytes < 20 * 8 * LENGTH
