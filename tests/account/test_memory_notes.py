"""What a report says of limits of workers' memory."""

from __future__ import annotations

import pytest

from poolwise.account.memory_notes import say_memory
from poolwise.core.footprints import Footprints
from poolwise.core.state import Lane

MB = 1_000_000


@pytest.mark.parametrize(
    ("recycled", "said"), [(0, []), (1, ["1 worker was"]), (2, ["2 workers were"])]
)
def test_workers_that_were_replaced_are_counted(recycled, said):
    notes = say_memory(Footprints(None, 50 * MB), 4, recycled)
    assert [note.partition(" replaced")[0] for note in notes] == said


def test_it_says_how_many_there_is_room_for():
    footprints, lane = Footprints(100 * MB, None), Lane(1, None)
    footprints.has_outgrown(lane, 10 * MB, 10 * MB)
    assert say_memory(footprints, 8, 0) == []
    footprints.has_outgrown(lane, 20 * MB, 30 * MB)
    (note,) = say_memory(footprints, 8, 0)
    assert "100 MB has room for 3 of 8 workers: the largest took 30 MB" in note
