"""What partial binds, handed to each worker once: where it is plain, and nowhere else."""

from __future__ import annotations

import pytest

from poolwise.doctor.advice import keepers, patch
from poolwise.doctor.evidence.features import Place
from tests.doctor import made_up

SCRIPT = """\
from functools import partial
from multiprocessing import Pool

def look(table, word):
    return table[word]

def main(words):
    table = dict.fromkeys(words)
    with Pool(2) as pool:
        return pool.map(partial(look, table), words)
"""


def edit(tmp_path, text, way="initializer"):
    """The script's new text; None if there is no edit."""
    path = tmp_path / "script.py"
    path.write_text(text)
    lines = text.split("\n")
    made, called, defined = (
        Place(str(path), 1 + next(i for i, line in enumerate(lines) if part in line))
        for part in ("Pool(2", "pool.map", "def look")
    )
    pool = made_up.pool(
        {"run_cpu": 1.0}, place=made, call={"place": called, "function_place": defined}
    )
    if way == "initializer":
        changes = keepers.initialise(pool, "Pool", pool.sites[0], "table")
    else:
        changes = keepers.keep_as_state(pool, "Pool", "poolwise.Pool", pool.sites[0], "table")
    return patch.new_text(changes, str(path)) if changes else None


def test_an_initializer_keeps_it(tmp_path):
    text = edit(tmp_path, SCRIPT)
    assert "def look(word):\n    table = kept_table\n" in text
    assert "Pool(2, initializer=keep_table, initargs=(table,))" in text
    assert "pool.map(look, words)" in text
    assert "global kept_table" in text


def test_a_pool_of_ours_has_it_as_its_state(tmp_path):
    text = edit(tmp_path, SCRIPT, "state")
    assert 'table = poolwise.state["table"]' in text
    assert 'poolwise.Pool(2, state={"table": table})' in text


def test_what_else_is_bound_stays_bound(tmp_path):
    text = SCRIPT.replace("(table, word)", "(table, base, word)").replace(
        "k, table)", "k, table, 7)"
    )
    assert "pool.map(partial(look, 7), words)" in edit(tmp_path, text)


def test_it_may_be_bound_by_name(tmp_path):
    named = SCRIPT.replace("(table, word)", "(word, table)").replace("k, table)", "k, table=table)")
    assert "def look(word):" in edit(tmp_path, named)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("return table[word]", "table[word] = 1"),
        ("    with Pool", "    look(table, 1)\n    with Pool"),
        ("Pool(2)", "Pool(2, initializer=print)"),
        ("Pool(2)", "Pool(2, print)"),
        ("def look", "@cache\ndef look"),
        ("(table, word)", "(table, word=1)"),
        ("look, table)", "look, *words)"),
        ("look, table)", "look, dict.fromkeys(words))"),
        ("        return pool", "        table = {}\n        return pool"),
        ("    with Pool", "    table[1] = 2\n    with Pool"),
    ],
)
def test_where_it_is_not_plain_there_is_no_edit(before, after, tmp_path):
    assert before in SCRIPT
    assert edit(tmp_path, SCRIPT.replace(before, after, 1)) is None
