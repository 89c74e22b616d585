"""The threshold of shared memory: found from measurements, and settable."""

from __future__ import annotations

import pytest

from poolwise.bench import sharing
from poolwise.bench.sharing import Sharing, find_threshold
from poolwise.pool import Pool
from poolwise.system.limits import setting_bytes
from poolwise.wire import pickling


def measured(*pairs):
    return [Sharing(1 << at, pickled, shared) for at, (pickled, shared) in enumerate(pairs)]


@pytest.mark.parametrize(
    ("pairs", "threshold"),
    [
        ([(1, 2), (2, 2), (3, 2), (4, 2)], 4),
        ([(3, 2), (1, 2), (3, 2)], 4),
        ([(3, 2), (3, 2)], 1),
        ([(3, 2), (1, 2)], None),
        ([], None),
    ],
)
def test_the_threshold_is_where_sharing_is_faster_from_then_on(pairs, threshold):
    assert find_threshold(measured(*pairs)) == threshold


def test_both_ways_are_measured_and_the_settings_stay(monkeypatch):
    monkeypatch.setattr(sharing, "SIZES_BYTES", (4096, 1 << 20))
    before = pickling.LEAST_BUFFER_BYTES
    with Pool(1) as pool:
        found = list(sharing.measure_sharing(1, 2, pool))
    assert [one.size_bytes for one in found] == [4096, 1 << 20]
    assert all(one.pickled_s > 0 and one.shared_s > 0 for one in found)
    assert before == pickling.LEAST_BUFFER_BYTES


def test_the_environment_sets_a_number_of_bytes(monkeypatch):
    monkeypatch.delenv("POOLWISE_TEST_BYTES", raising=False)
    assert setting_bytes("POOLWISE_TEST_BYTES", 5) == 5
    monkeypatch.setenv("POOLWISE_TEST_BYTES", "70")
    assert setting_bytes("POOLWISE_TEST_BYTES", 5) == 70


@pytest.mark.parametrize("text", ["x", "-1", "0", "1.5"])
def test_what_is_no_number_of_bytes_is_refused_by_name(monkeypatch, text):
    monkeypatch.setenv("POOLWISE_TEST_BYTES", text)
    with pytest.raises(ValueError, match="POOLWISE_TEST_BYTES"):
        setting_bytes("POOLWISE_TEST_BYTES", 5)
