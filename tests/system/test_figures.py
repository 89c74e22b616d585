"""Figures of a machine: kept, read again, and never trusted when they make no sense."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from poolwise.system import figures
from poolwise.system.figures import Figures


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder, and a process that knows nothing yet."""
    monkeypatch.setenv("POOLWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(figures, "_known", None)
    return tmp_path / "cache"


def test_a_first_use_measures_and_the_next_process_reads(cache, monkeypatch):
    first = figures.known()
    assert first.source == "first use"
    assert [file.suffix for file in cache.iterdir()] == [".json"]
    monkeypatch.setattr(figures, "_known", None)
    monkeypatch.setattr(figures, "measure", lambda: pytest.fail("it is in the file"))
    assert figures.known() == first


def test_a_first_use_ends_in_time_on_a_slow_machine():
    ticks = itertools.count()
    looked = []

    def slow():  # each look at the clock takes a tenth of a second
        looked.append(next(ticks) / 10)
        return looked[-1]

    found = figures.measure(slow)
    assert len(looked) <= 6
    assert found.thread_start_s == pytest.approx(0.1)


def test_an_empty_variable_keeps_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("POOLWISE_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert figures.path() is None
    assert "POOLWISE_CACHE" in figures.save(Figures({}))
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_that_of_the_platform(monkeypatch, tmp_path):
    monkeypatch.delenv("POOLWISE_CACHE")
    monkeypatch.setattr(figures.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert figures.folder() == str(tmp_path / "poolwise")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert figures.folder() == str(tmp_path / ".cache" / "poolwise")
    monkeypatch.setattr(figures.sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert figures.folder() == str(tmp_path / "poolwise")
    monkeypatch.delenv("LOCALAPPDATA")
    assert figures.folder() is None


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", "null", "{}", '{"start_s": 3}', '{"start_s": {"fork": "x"}}',
        '{"start_s": {"fork": -1}}', '{"start_s": {}, "copy_s_per_byte": NaN}',
        '{"start_s": {}, "copy_s_per_byte": 0}', '{"start_s": {"fork": Infinity}}',
    ],
)  # fmt: skip
def test_a_file_that_makes_no_sense_is_as_none(cache, content):
    cache.mkdir()
    Path(figures.path()).write_text(content)
    assert figures.read() is None
    assert figures.known().source == "first use"
    assert figures.read() is not None  # and it was written anew


def test_keys_of_a_later_version_are_left_out(cache):
    figures.save(Figures({"fork": 0.01}))
    file = Path(figures.path())
    file.write_text(json.dumps({**json.loads(file.read_text()), "quantum_s": 1.0}))
    assert figures.read() == Figures({"fork": 0.01})
    assert cache.exists()


def test_what_cannot_be_written_is_said_and_no_error(cache):
    cache.write_text("a file where the folder should be")
    assert figures.save(Figures({}))
    assert figures.known().source == "first use"


def test_a_disk_that_is_full_leaves_nothing(cache, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(figures.os, "replace", refuse)
    assert "No space left" in figures.save(Figures({}))
    assert list(cache.iterdir()) == []


@pytest.mark.usefixtures("cache")
def test_a_start_is_kept_for_later_processes(monkeypatch):
    figures.note_start("fork", 0.008)
    monkeypatch.setattr(figures, "_known", None)
    assert figures.known().start_of("fork") == pytest.approx(0.008)


@pytest.mark.usefixtures("cache")
def test_a_start_beside_much_else_is_believed_in_part():
    figures.note_start("fork", 9.0)
    assert figures.known().start_of("fork") == pytest.approx(0.08)
    figures.note_start("fork", 0.01)
    assert figures.known().start_s["fork"] == pytest.approx(0.01)


def test_a_method_that_nobody_knows_costs_what_a_fresh_interpreter_does():
    assert Figures({}).start_of("teleport") == Figures({}).start_of("spawn")
