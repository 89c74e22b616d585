"""A pool on a back end of the program's own."""

from __future__ import annotations

import pytest

import poolwise
from poolwise.backends.threads import Threads


class Own(Threads):
    name = "own"
    most_lanes = 3


def double(number):
    return 2 * number


@pytest.mark.parametrize("door", [poolwise.Pool, poolwise.ProcessPoolExecutor])
def test_it_runs_the_tasks_and_says_what_it_is_called(door):
    with door(8, backend=Own()) as pool:
        assert list(pool.map(double, range(50))) == [2 * number for number in range(50)]
        report = pool.report()
        assert (report.backend, report.workers) == ("own", 3)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("initializer", {"initializer": print}),
        ("state", {"state": {"a": 1}}),
        ("context", {"context": "fork"}),
        ("worker_output", {"worker_output": "on"}),
    ],
)
def test_what_it_was_told_when_it_was_made_is_refused_beside_it(name, options):
    with pytest.raises(ValueError, match=f"{name} has no meaning"):
        poolwise.Pool(1, backend=Own(), **options)


def test_an_unknown_option_is_refused_with_the_known_ones():
    with pytest.raises(TypeError, match=r"unknown argument 'retry'.*task_timeout.*backend"):
        poolwise.Pool(1, retry=1)
