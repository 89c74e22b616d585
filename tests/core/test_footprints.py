"""How many lanes their memory leaves room for, and which of them are replaced."""

from __future__ import annotations

from poolwise.core import contract as c
from poolwise.core.footprints import Footprints
from poolwise.errors import Death
from tests.core.desk import Desk, items_of, make_job, only, sent

MB = 1_000_000


def weigh(desk, lane, own, peak=None):
    return desk.tell(c.LaneWeighed(lane, own * MB, (own if peak is None else peak) * MB))


def make_desk(lanes, *, total=None, growth=None):
    limits = [None if size is None else size * MB for size in (total, growth)]
    desk = Desk(lanes, footprints=Footprints(*limits))
    for lane in list(desk.state.lanes):
        weigh(desk, lane, 10)
    return desk


def test_one_lane_begins_where_memory_is_bounded_and_others_follow_from_its_peak():
    desk = make_desk(8, total=100)
    assert list(desk.state.lanes) == [1]
    desk.post(make_job(range(1000), lanes=8, unit=1))
    assert only(c.StartLane, weigh(desk, 1, own=12, peak=30)) == [c.StartLane(2), c.StartLane(3)]


def test_a_lane_needs_no_memory_and_all_are_started():
    desk = make_desk(3, total=100)
    desk.post(make_job(range(1000), lanes=3, unit=1))
    assert only(c.StartLane, weigh(desk, 1, 0)) == [c.StartLane(2), c.StartLane(3)]


def test_one_lane_stays_though_it_is_larger_than_the_whole_budget():
    desk = make_desk(4, total=100)
    (chunk,) = desk.post(make_job("ab", lanes=1, unit=1))
    assert weigh(desk, 1, 500) == []
    assert items_of(sent(desk.answer(chunk))) == ["b"]


def test_lanes_that_grow_leave_room_for_fewer_which_end_after_what_they_hold():
    desk = make_desk(2, total=100)
    desk.post(make_job("abcdef", lanes=2, unit=1))
    assert only(c.StartLane, weigh(desk, 1, 40)) == [c.StartLane(2)]
    (second,) = sent(desk.tell(c.LaneReady(2)))
    weigh(desk, 2, 10)
    assert weigh(desk, 1, 60) == []
    assert only(c.StopLane, desk.answer(second)) == [c.StopLane(2)]
    assert desk.tell(c.LaneDied(2, Death(1, 0))) == []
    assert desk.state.counts["deaths"] == 0


def test_a_lane_that_has_grown_is_replaced_after_its_chunk():
    desk = make_desk(1, growth=50)
    (chunk,) = desk.post(make_job("ab", lanes=1, unit=1))
    assert weigh(desk, 1, 61) == []
    assert only(c.StopLane, desk.answer(chunk)) == [c.StopLane(1)]
    assert desk.tell(c.LaneDied(1, Death(1, 0))) == [c.StartLane(2)]
    assert items_of(sent(desk.tell(c.LaneReady(2)))) == ["b"]
    counts = desk.state.counts
    assert (counts["recycled"], counts["deaths"]) == (1, 0)


def test_it_may_grow_up_to_the_limit():
    desk = make_desk(1, growth=50)
    (chunk,) = desk.post(make_job("ab", lanes=1, unit=1))
    weigh(desk, 1, 60)
    assert items_of(sent(desk.answer(chunk))) == ["b"]


def test_a_peak_that_is_over_does_not_replace_a_lane():
    desk = make_desk(1, growth=50)
    (chunk,) = desk.post(make_job("ab", lanes=1, unit=1))
    weigh(desk, 1, own=20, peak=500)
    assert items_of(sent(desk.answer(chunk))) == ["b"]


def test_a_pool_that_grows_still_keeps_to_the_budget():
    desk = make_desk(1, total=100)
    desk.post(make_job(range(1000), lanes=8, unit=1))
    weigh(desk, 1, 40)
    desk.state.grow(8)
    assert only(c.StartLane, desk.tell()) == [c.StartLane(2)]
