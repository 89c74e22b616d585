"""`poolwise bench`: rounds, noise, the history, and files that are in the way. No test is timed."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from poolwise.bench import history, machine, present, readings
from poolwise.bench.history import Entry, HistoryError
from poolwise.bench.readings import Effort, Name, Reading
from poolwise.cli import main
from poolwise.system import figures

NAMES = [
    Name("start.fork", "worker process, fork"), Name("start.forkserver", "the same, forkserver"),
    Name("start.thread", "thread"), Name("call.process", "round trip"),
    Name("chunk.process", "a chunk"), Name("chunk.thread", "a chunk, threads"),
    Name("item.process", "an item"), Name("standard.1", "chunksize=1"),
    Name("pickle.ints", "pickle ints", "bytes/s"),
    *(Name(f"{way}.{size}", f"{size} {way}")
      for size in (4096, 65536) for way in ("pipe", "arena", "memcpy")),
    Name("loop", "a loop"), Name("cores.2", "2 busy workers", "cpus"),
]  # fmt: skip


def made(factor=1.0, rounds=5):
    """Readings with a spread of a fiftieth, all so many times as large."""
    return [
        Reading(name, [factor * (1 + at) * (1 + turn / 200) for turn in range(rounds)])
        for at, name in enumerate(NAMES)
    ]


@pytest.fixture
def quiet(monkeypatch, tmp_path):
    """A folder for the cache, and probes that cost nothing."""

    class NoPools:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    state = {"factor": 1.0}

    def probe(_):
        return [(each.name, each.value * state["factor"]) for each in made()]

    monkeypatch.setenv("POOLWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(machine, "Pools", NoPools)
    monkeypatch.setattr(machine, "SECTIONS", {**dict.fromkeys(machine.SECTIONS, lambda _: [])})
    monkeypatch.setitem(machine.SECTIONS, "Pickles", probe)
    return state


def call(capsys, *words):
    try:
        code = main(["bench", "--rounds", "5", *words])
    except SystemExit as left:
        code = left.code
    said = capsys.readouterr()
    return code, said.out, said.err


# -- rounds


def test_rounds_fill_the_time_that_is_given():
    clock = itertools.chain([0, 0], itertools.count(3, 3))  # a round takes three seconds
    found = readings.take([lambda _: [(NAMES[0], 1.0)]], None, Effort(30, least=2), clock.__next__)
    assert [len(each.values) for each in found] == [10]


def test_a_slow_machine_has_the_least_number_of_rounds():
    clock = itertools.count(0, 100)
    found = readings.take([lambda _: [(NAMES[0], 1.0)]], None, Effort(10), clock.__next__)
    assert [len(each.values) for each in found] == [5]


def test_a_number_of_rounds_stands_above_the_time():
    clock = itertools.count(0, 100)
    found = readings.take([lambda _: [(NAMES[0], 1.0)]], None, Effort(10, 2), clock.__next__)
    assert [len(each.values) for each in found] == [2]


def test_probes_take_turns():
    turns = []
    probes = [lambda _: turns.append("a") or [], lambda _: turns.append("b") or []]
    readings.take(probes, None, Effort(1, 3))
    assert turns == ["a", "b"] * 3


def test_a_reading_is_its_median_and_its_tenths():
    reading = Reading(NAMES[0], [float(value) for value in range(11)][::-1])
    assert (reading.value, reading.low, reading.high) == (5, 1, 9)
    assert Reading(NAMES[0], [3.0]).low == Reading(NAMES[0], [3.0]).high == 3


# -- noise


def test_the_same_again_is_noise():
    assert all(change.is_noise for change in history.compare(made(), [Entry.of(made(), {})]))


def test_twice_as_much_is_a_change_for_the_worse_where_little_is_good():
    changes = {c.name.key: c for c in history.compare(made(2), [Entry.of(made(), {})])}
    assert not any(change.is_noise for change in changes.values())
    assert not changes["start.fork"].is_better
    assert changes["pickle.ints"].is_better
    assert changes["cores.2"].is_better


def test_a_small_change_is_noise_however_sure_it_is():
    assert all(change.is_noise for change in history.compare(made(1.06), [Entry.of(made(), {})]))


def test_what_it_was_some_time_ago_already_is_noise():
    earlier = [Entry.of(made(2), {}), Entry.of(made(1), {})]
    assert all(change.is_noise for change in history.compare(made(2), earlier))
    old = [Entry.of(made(2), {}), *[Entry.of(made(1), {})] * 5]
    assert not any(change.is_noise for change in history.compare(made(2), old))


def test_figures_that_are_new_are_compared_with_nothing():
    entry = Entry("then", {}, {"start.fork": (1.0, 1.0, 1.0)})
    assert [each.name.key for each in history.compare(made(), [entry])] == ["start.fork"]
    assert history.compare(made(), []) == []


# -- the command


def test_it_prints_every_figure_with_its_spread_and_the_threshold(quiet, capsys):
    code, out, _ = call(capsys, "--no-save")
    assert code == 0
    spread = {line.partition("  ")[0] for line in out.splitlines() if " to " in line}
    by_size = {"pipe", "arena", "memcpy"}
    assert {n.words for n in NAMES if n.key.partition(".")[0] not in by_size} <= spread
    assert "64 KiB" in out
    assert out.count("±") == 6
    assert "Shared memory was faster at no size" in out
    assert quiet["factor"] == 1


def test_it_says_what_has_changed_since_last_time(quiet, capsys):
    assert "Changed" not in call(capsys)[1]
    assert "nothing has changed by more than noise" in call(capsys)[1]
    quiet["factor"] = 3.0
    _, out, _ = call(capsys)
    assert "Changed by more than noise" in out
    assert "+200%, worse" in out
    assert "+200%, better" in out


def test_another_python_is_said(quiet, capsys, tmp_path):
    file = tmp_path / "h.jsonl"
    call(capsys, "--history", str(file))
    entry = json.loads(file.read_text())
    entry["facts"]["Python"] = "CPython 3.2.1"
    file.write_text(json.dumps(entry) + "\n")
    assert (
        "Different since then: Python: CPython 3.2.1 -> " in call(capsys, "--history", str(file))[1]
    )
    assert quiet


@pytest.mark.usefixtures("quiet")
def test_figures_are_kept_for_choices(capsys, monkeypatch):
    monkeypatch.setattr(figures, "_known", None)
    code, out, _ = call(capsys)
    assert code == 0
    assert f"Kept in {history.default_path()}" in out
    assert figures.known().source == "bench"
    assert figures.known().start_s["fork"] == pytest.approx(made()[0].value)


@pytest.mark.usefixtures("quiet")
def test_shared_memory_that_seems_to_cost_nothing_counts_as_assumed():
    noisy = [
        Reading(each.name, [1.0]) if each.name.key.startswith("arena") else each for each in made()
    ]
    found = machine.make_figures(noisy)
    assert found.copy_s_per_byte == figures.Figures({}).copy_s_per_byte
    assert figures.save(found) is None
    assert figures.read() == found


@pytest.mark.usefixtures("quiet")
def test_nothing_is_kept_if_that_is_not_wanted(capsys, tmp_path):
    assert call(capsys, "--no-save")[0] == 0
    assert not (tmp_path / "cache").exists()


@pytest.mark.usefixtures("quiet")
def test_data_goes_to_standard_output_alone(capsys):
    code, out, _ = call(capsys, "--json")
    plain = json.loads(out)
    assert code == 0
    assert plain["schema"] == 1
    assert {"key", "words", "unit", "value", "low", "high", "rounds"} <= plain["figures"][0].keys()
    assert {each["key"] for each in plain["figures"]} == {name.key for name in NAMES}


@pytest.mark.usefixtures("quiet")
def test_too_few_rounds_are_neither_compared_nor_kept(capsys, tmp_path):
    call(capsys)
    kept = Path(history.default_path()).read_text()
    code, out, err = call(capsys, "--rounds", "4")
    assert code == 0
    assert "Since" not in out
    assert "not kept" in err
    assert Path(history.default_path()).read_text() == kept
    assert tmp_path


# -- files in the way


@pytest.mark.parametrize(
    "content",
    [b"print(1)\n", b"[]\n", b"3\n", b'{"at": 1}\n', b"\xff\xfe", b'{"figures": {"a": 1}}'],
)
def test_a_history_that_is_none_is_refused_before_anything_is_measured(
    capsys, tmp_path, content, monkeypatch
):
    monkeypatch.setattr(readings, "take", lambda *_: pytest.fail("measured"))
    file = tmp_path / "notes.txt"
    file.write_bytes(content)
    code, out, err = call(capsys, "--history", str(file))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert str(file) in err
    assert file.read_bytes() == content


@pytest.mark.parametrize("name", ["", "missing/h.jsonl"])
def test_a_history_that_cannot_be_written_is_refused_first(capsys, tmp_path, name, monkeypatch):
    monkeypatch.setattr(readings, "take", lambda *_: pytest.fail("measured"))
    code, _, err = call(capsys, "--history", str(tmp_path / name))
    assert code == 2
    assert err.count("\n") == 1


@pytest.mark.usefixtures("quiet")
def test_a_cache_that_cannot_be_written_is_said_and_the_figures_are_printed(capsys, tmp_path):
    (tmp_path / "cache").write_text("no folder")
    code, out, err = call(capsys)
    assert code == 0
    assert "worker process, fork" in out
    assert "the figures are not kept" in err


@pytest.mark.usefixtures("quiet")
def test_a_broken_history_of_the_cache_is_said_and_stays(capsys, tmp_path):
    home = tmp_path / "cache"
    home.mkdir()
    file = Path(history.default_path())
    file.write_text("half a li")
    code, out, err = call(capsys)
    assert code == 0
    assert "worker process, fork" in out
    assert str(file) in err
    assert file.read_text() == "half a li"


@pytest.mark.parametrize("word", ["0", "-1", "many", "1.5"])
def test_rounds_are_a_number(capsys, word):
    code, _, err = call(capsys, "--rounds", word)
    assert code == 2
    assert "1 or more" in err


def test_a_file_that_vanishes_in_between_is_said(tmp_path):
    with pytest.raises(HistoryError, match="cannot be written"):
        history.append(str(tmp_path), Entry.of(made(), {}))


# -- on this machine


@pytest.mark.slow
def test_everything_is_measured_here():
    with machine.Pools() as pools:
        found = readings.take(list(machine.SECTIONS.values()), pools, Effort(0, 1))
    assert all(value > 0 for each in found for value in each.values)
    document = present.make_document(machine.list_facts(), found, [], "")
    assert {block.title for block in document.summary if hasattr(block, "title")} >= {
        *machine.SECTIONS
    }
    assert machine.make_figures(found).source == "bench"


def test_counts_double_up_to_all():
    assert machine.list_counts(1) == [1]
    assert machine.list_counts(6) == [1, 2, 4, 6]
    assert machine.list_counts(8) == [1, 2, 4, 8]
