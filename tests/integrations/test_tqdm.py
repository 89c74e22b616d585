"""process_map and thread_map: tqdm's results, and a bar that counts every item."""

from __future__ import annotations

import itertools
import sys
import threading

import pytest

from poolwise.integrations.tqdm import process_map, thread_map


class Bar:
    """Notes what is asked of a bar."""

    made: list[Bar]

    def __init__(self, **options):
        self.options = options
        self.count = 0
        self.made.append(self)

    def update(self, count=1):
        self.count += count

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.fixture(params=[process_map, thread_map])
def mapping(request):
    return request.param


@pytest.fixture
def bar():
    return type("Bar", (Bar,), {"made": []})


@pytest.mark.parametrize("chunksize", [1, 7, 1000])
def test_the_bar_counts_items_at_any_chunk_size(mapping, bar, chunksize):
    made = mapping(abs, range(-101, 0), max_workers=2, chunksize=chunksize, tqdm_class=bar)
    assert made == list(range(101, 0, -1))
    assert (bar.made[0].count, bar.made[0].options["total"]) == (101, 101)


def test_generators(mapping, bar):
    assert mapping(abs, (i for i in range(101)), tqdm_class=bar) == list(range(101))
    assert (bar.made[0].count, bar.made[0].options["total"]) == (101, None)


def test_several_inputs_end_with_the_shortest(mapping, bar):
    assert mapping(pow, [2, 3, 4], itertools.count(1), tqdm_class=bar) == [2, 9, 64]
    assert bar.made[0].options["total"] == 3


def test_options_of_the_bar_reach_it(mapping, bar):
    mapping(abs, [1], tqdm_class=bar, desc="work", total=9, lock_name="mp_lock")
    assert bar.made[0].options == {"desc": "work", "total": 9, "smoothing": 0.0}


def test_an_error_is_raised(mapping, bar):
    with pytest.raises(ZeroDivisionError):
        mapping(divmod, [1, 1], [1, 0], tqdm_class=bar)


def test_threads_share_the_callers_memory():
    seen = []
    thread_map(lambda _: seen.append(threading.current_thread()), range(4), disable=True)
    assert len(seen) == 4


def test_nothing_in(mapping, bar):
    assert mapping(abs, [], tqdm_class=bar) == []


def test_the_bar_of_tqdm(capfd):
    pytest.importorskip("tqdm")
    assert process_map(abs, range(30), max_workers=2, ascii=True) == list(range(30))
    assert "30/30" in capfd.readouterr().err


def test_without_tqdm_the_bar_is_ours(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    assert process_map(abs, range(30), max_workers=2) == list(range(30))
