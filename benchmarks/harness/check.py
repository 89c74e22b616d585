"""What results are held against."""

from __future__ import annotations

from typing import Any


def assert_same(load: Any, results: Any) -> None:
    """For tasks that give back what they were given."""
    assert list(results) == list(load), "wrong results"
