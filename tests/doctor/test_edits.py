"""Edits at the place of the call: derived where the text allows, else none."""

from __future__ import annotations

import ast

import pytest

from poolwise.doctor import edits
from poolwise.doctor.diagnose import diagnose
from poolwise.doctor.features import Place
from poolwise.doctor.findings import Change
from tests.doctor.made_up import leaf, pool, run


def put(tmp_path, text: str) -> Place:
    path = tmp_path / "script.py"
    path.write_text(text)
    return Place(str(path), 1)


def only_line(change: Change | None) -> str:
    assert change is not None
    [line] = change.after
    ast.parse(f"{line}\n  pass" if line.endswith(":") else line.strip())
    return line


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("pool.map(f, xs)", "pool.map(f, xs, chunksize=50)"),
        ("pool.map(f, xs, chunksize=1)", "pool.map(f, xs, chunksize=50)"),
        ("pool.map(f, xs, 1)", "pool.map(f, xs, 50)"),
        ("pool.map(f, iterable=xs)", "pool.map(f, iterable=xs, chunksize=50)"),
        ("a = list(pool.map(f, xs)), 1", "a = list(pool.map(f, xs, chunksize=50)), 1"),
        ("pool.map(f, (x for x in xs))", "pool.map(f, (x for x in xs), chunksize=50)"),
        ('pool.map(f, "Grüße, Jürgen")', 'pool.map(f, "Grüße, Jürgen", chunksize=50)'),
    ],
)
def test_chunksize_is_set(before, after, tmp_path):
    change = edits.set_argument(put(tmp_path, before + "\n"), "map", "chunksize", "50")
    assert only_line(change) == after


NOT_PLAIN = [
    "pool.map(*args)\n",
    "work(xs)\n",
    "p.map(f, [x.map(g) for x in xs])\n",
    "pool.map(f,\n",
    "",
]


@pytest.mark.parametrize("text", NOT_PLAIN)
def test_what_is_not_plain_is_left_alone(text, tmp_path):
    assert edits.set_argument(put(tmp_path, text), "map", "chunksize", "50") is None


def test_a_file_that_is_gone_is_left_alone():
    assert edits.set_argument(Place("/nowhere/a.py", 1), "map", "chunksize", "50") is None


def test_calls_over_several_lines(tmp_path):
    place = put(tmp_path, "r = pool.map(\n    f,\n    xs,\n)\n")
    change = edits.set_argument(place, "map", "chunksize", "50")
    assert change is not None
    assert (change.line, change.before, change.after) == (3, ["    xs,"], ["    xs, chunksize=50,"])


def test_pool_becomes_another_with_another_count(tmp_path):
    place = put(tmp_path, "with Pool(4) as p:\n    p.map(f, xs)\n")
    line = "from multiprocessing.pool import ThreadPool"
    change = edits.swap_call(place, "Pool", "ThreadPool", [line], processes="32")
    assert only_line(change) == "with ThreadPool(32) as p:"
    assert change is not None
    assert change.imports == [line]
    assert change.diff.splitlines() == [
        "--- script.py:1", f"+{line}", "-with Pool(4) as p:", "+with ThreadPool(32) as p:",
    ]  # fmt: skip


def test_import_that_is_there_is_not_added(tmp_path):
    path = tmp_path / "script.py"
    path.write_text("import poolwise\npool = Pool()\n")
    change = edits.swap_call(Place(str(path), 2), "Pool", "poolwise.Pool", ["import poolwise"])
    assert change is not None
    assert change.imports == []


def test_empty_call_gets_its_first_argument(tmp_path):
    change = edits.set_argument(put(tmp_path, "p = Pool()\n"), "Pool", "processes", "2")
    assert only_line(change) == "p = Pool(processes=2)"


def test_bound_argument_of_a_partial_is_wrapped(tmp_path):
    place = put(tmp_path, "p.map(partial(look, dict(TABLE)), xs)\n")
    change = edits.wrap_argument(place, "map", (0, 1), "poolwise.share", ["import poolwise"])
    assert only_line(change) == "p.map(partial(look, poolwise.share(dict(TABLE))), xs)"


def test_remedies_carry_their_edits(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(
        "def look(table, x):\n"
        "    return table[x]\n"
        "\n"
        "with Pool(2) as p:\n"
        "    p.map(partial(look, TABLE), xs, chunksize=1)\n"
    )
    heavy = leaf("partial.args[0]", 6e5, parameter="table")
    call = {
        "place": Place(str(path), 5),
        "function_place": Place(str(path), 1),
        "bytes_out": 72e6,
        "leaves": [heavy],
    }
    account = {"run_cpu": 0.1, "pickle_args": 0.5, "transport": 0.2, "unpickle_args": 0.5}
    seen = run(pool(account, call=call, place=Place(str(path), 4)))
    by_kind = {remedy.kind: remedy for remedy in diagnose(seen).findings[0].remedies}
    ours, shared = by_kind["poolwise"], by_kind["share"]
    assert only_line(ours.changes[0]) == "with poolwise.Pool(2) as p:"
    wrapped, opened = shared.changes
    assert only_line(wrapped) == (
        "    p.map(partial(look, poolwise.share(TABLE)), xs, chunksize=1)"
    )
    assert opened.after == ["    table = table.get()", "    return table[x]"]
