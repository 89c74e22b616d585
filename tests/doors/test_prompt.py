"""Classes and functions of a notebook or a prompt: no worker that starts afresh can import them."""

from __future__ import annotations

import pytest

from tests.doors.programs import run_python

HEAD = """
import dataclasses, enum
import poolwise

class Color(enum.Enum):
    RED = 1

class Base:
    pass

@dataclasses.dataclass
class Point(Base):
    x: int
    color: Color = Color.RED

    class Corner:
        pass

class Failed(Exception):
    pass

def double(point):
    assert isinstance(point, Point)
    return Point(2 * point.x)

def corner(_):
    return Point.Corner()

def fail(point):
    raise Failed(point.x)

points = [Point(x) for x in range(20)]
doubles = [Point(2 * x) for x in range(20)]
pool = poolwise.Pool(2, context=METHOD)
executor = poolwise.ProcessPoolExecutor(2, METHOD)
"""

CALLS = {
    "map": "assert pool.map(double, points) == doubles",
    "imap": "assert list(pool.imap(double, points)) == doubles",
    "starmap": "assert pool.starmap(max, [(1, 2)]) == [2]; pool.starmap(double, [(points[0],)])",
    "apply": "assert pool.apply(double, (points[3],)) == doubles[3]",
    "executor's map": "assert list(executor.map(double, points)) == doubles",
    "submit": "assert executor.submit(double, points[3]).result() == doubles[3]",
    "library's function": "assert pool.map(dataclasses.astuple, points[:2])[1] == (1, Color.RED)",
    "enum": "assert pool.map(repr, [Color.RED]) == [repr(Color.RED)]",
    "result": "assert type(pool.map(Point, [1])[0]) is Point",
    "result that is nested": "assert type(pool.map(corner, [1])[0]) is Point.Corner",
    "class of later": (
        "pool.map(double, points)\n"
        "class Later: pass\n"
        "assert type(pool.map(lambda each: each, [Later()])[0]) is Later"
    ),
    "class defined anew": (
        "assert pool.map(double, points) == doubles\n"
        "@dataclasses.dataclass\n"
        "class Point:\n"
        "    x: int\n"
        "    y: int = 3\n"
        "assert pool.map(double, [Point(1)]) == [Point(2, 3)]"
    ),
    "class that cannot travel": (
        "import threading\n"
        "class Locked:\n"
        "    lock = threading.Lock()\n"
        "assert pool.map(double, points) == doubles"
    ),
    "error": (
        "try:\n"
        "    pool.map(fail, points[5:6])\n"
        "except Failed as error:\n"
        "    assert error.args == (5,)\n"
        "else:\n"
        "    raise AssertionError"
    ),
    "large items": (
        "import numpy\nassert pool.map(double, [Point(numpy.ones(100_000))])[0].x.sum() == 200_000"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
@pytest.mark.parametrize("name", CALLS)
def test_instances_of_its_classes_travel(name, method):
    ended = run_python("-c", f"METHOD = {method!r}\n{HEAD}\n{CALLS[name]}\nprint('done')\n")
    assert (ended.out, ended.code) == ("done\n", 0), ended.err
