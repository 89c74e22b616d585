"""The field's words: how docstrings begin, and private words that are gone from names."""

from __future__ import annotations

import ast
from collections import Counter

from tests.house.tree import list_sources, name_of, parse, part_of

BEGINNINGS = ("What", "Who", "Whoever", "Whose", "How", "Whether", "The same", "Nobody", "Somebody")
"""A docstring that begins so keeps back the noun or the verb that says what the thing is."""

MOST = {
    "account": 17, "choose": 4, "cli": 1, "doctor": 62, "pipeline": 6, "report": 32, "telemetry": 7,
}  # fmt: skip
"""Docstrings by part that begin so all the same; may fall only, as in `test_numbers.py`."""

GONE = {
    "Shield", "Struck", "users_code", "UNTIL_ASSIGNED", "was_struck",
    "_Visit", "_Helper", "_Waiter", "_standby", "_guests", "_stand_by", "_hand_over",
    "nudge", "nudge_if_idle", "attend", "post_later"
}  # fmt: skip
"""Names with a common word in their place, by which readers search; see CONTRIBUTING.md."""


def docstrings(path):
    """Every docstring of a module, those below constants included."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            text = node.value.value
            if isinstance(text, str):
                yield text.strip()


def names(path):
    """All names that a module defines, reads or asks for."""
    for node in ast.walk(parse(path)):
        for field in ("name", "id", "attr", "arg"):
            name = getattr(node, field, None)
            if isinstance(name, str):
                yield name


def test_docstrings_begin_with_a_noun_or_a_verb():
    counts = Counter(
        part_of(name_of(path))
        for path in list_sources()
        for text in docstrings(path)
        if text.startswith(tuple(f"{word} " for word in BEGINNINGS))
    )
    assert {part: count for part, count in counts.items() if count > MOST.get(part, 0)} == {}


def test_old_private_words_are_gone():
    found = {(name_of(path), name) for path in list_sources() for name in names(path)}
    assert {(module, name) for module, name in found if name in GONE} == set()
