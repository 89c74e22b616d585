"""Records and rows: what the core uses of dataclasses and named tuples."""

from __future__ import annotations

import copy
import pickle

from poolwise.record import Row, record


class Place(Row):
    """A row."""

    x: int
    y: str


@record
class Point:
    """A record."""

    x: int
    y: str = "why"


def test_a_row_is_a_tuple_with_names():
    place = Place(1, "a")
    assert (place.x, place.y) == place == (1, "a")
    assert Place._make([1, "a"]) == place
    assert place._replace(y=None) == (1, None)
    assert isinstance(place._replace(x=2), Place)
    assert repr(place) == "Place(x=1, y='a')"
    assert {place: 1}[1, "a"] == 1


def test_a_row_survives_copies_and_pickles():
    place = Place(1, "a")
    for same in (copy.copy(place), copy.deepcopy(place), pickle.loads(pickle.dumps(place))):
        assert (same, type(same), same.y) == (place, Place, "a")


def test_a_record_has_fields_defaults_equality_and_repr():
    assert Point(1) == Point(1, "why") != Point(2)
    assert Point(x=1, y=2).y == 2
    assert repr(Point(1)) == "Point(x=1, y='why')"
