from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwise.report import figures


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0 s"), (8.3e-7, "830 ns"), (4.5e-9, "4.50 ns"), (1.14e-5, "11.4 µs"),
        (0.0123, "12.3 ms"), (0.9999, "1.00 s"), (4.93, "4.93 s"), (99.94, "99.9 s"),
        (99.97, "1 min 40 s"),
        (125, "2 min 5 s"), (3599.6, "1 h 0 min"), (7384, "2 h 3 min"), (-0.5, "-500 ms"),
    ],
)  # fmt: skip
def test_seconds(value, words):
    assert figures.seconds(value) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0 bytes"),
        (512, "512 bytes"),
        (80_200, "80.2 kB"),
        (288e6, "288 MB"),
        (999_900, "1.00 MB"),
    ],
)
def test_size(value, words):
    assert figures.size(value) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0 %"),
        (0.0004, "<0.1 %"),
        (0.042, "4.2 %"),
        (0.0996, "10 %"),
        (0.931, "93 %"),
        (1, "100 %"),
    ],
)
def test_share(value, words):
    assert figures.share(value) == words


@pytest.mark.parametrize(("value", "words"), [(50_000, "50,000"), (3125.4, "3,125"), (2.5, "2.50")])
def test_count(value, words):
    assert figures.count(value) == words


@pytest.mark.parametrize("unit", ["s", "bytes", "count", "share", ""])
@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_what_is_no_number_is_a_question_mark(unit, value):
    assert figures.write(value, unit) == "?"


@given(st.floats(1e-9, 99), st.floats(1.02, 50))
def test_longer_times_never_read_as_shorter(value, factor):
    assert in_seconds(figures.seconds(value * factor)) > in_seconds(figures.seconds(value)) * 0.999


def in_seconds(words: str) -> float:
    """The inverse of `figures.seconds`, as a reader does it."""
    scale = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600}
    parts = words.split()
    return sum(float(n) * scale[unit] for n, unit in zip(parts[::2], parts[1::2], strict=True))
