"""A thread that is asked for its chunk before it has begun keeps it, and cuts it when it begins."""

from __future__ import annotations

from poolwise.backends import threads
from poolwise.core import contract as c
from tests.core.desk import make_job


def test_chunk_that_is_about_to_begin_is_not_passed_on():
    told = []

    class Events:
        put = told.append

    lane = threads._Lane(1, Events())
    lane.initialize(None, ())
    chunk = make_job([1, 2, 3], unit=3).take(None)
    lane.put(chunk)
    lane.give_back()
    assert not any(isinstance(event, c.ChunkDone) for event in told)
    lane.run(lane._tasks.get_nowait())
    done = [event.outcome for event in told if isinstance(event, c.ChunkDone)]
    assert sum(outcome.returned for outcome in done) == 2, "all but the first"
    assert sum(len(outcome.values) for outcome in done) == 1
