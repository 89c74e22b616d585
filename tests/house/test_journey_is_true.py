"""The journey of a task, as core/README.md tells it, names only what exists.

Its tables are read row by row. A word in backticks that ends in `.py` is a file below
`src/poolwise`; any other name in backticks in that row is defined in one of the row's files, or,
if it begins with a capital, in any file: messages are named wherever they pass.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.house.tree import PACKAGE, list_sources, parse

JOURNEY = PACKAGE / "core" / "README.md"
NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def test_the_journey_is_told():
    assert len(list_rows()) >= 5


def test_files_of_the_journey_exist():
    named = {file for files, _ in list_rows() for file in files}
    assert [file for file in sorted(named) if not (PACKAGE / file).is_file()] == []


def test_names_of_the_journey_exist():
    anywhere = {name for path in list_sources() for name in list_defined(path)}
    missing = []
    for files, names in list_rows():
        here = {name for file in files for name in list_defined(PACKAGE / file)}
        known = here | {name for name in anywhere if name[0].isupper()}
        missing += [f"{name} in {' or '.join(files)}" for name in names if name not in known]
    assert missing == []


def list_rows() -> list[tuple[list[str], list[str]]]:
    """The files and the names of each table row that has a file."""
    rows = []
    for line in JOURNEY.read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            words = re.findall(r"`([^`]+)`", line)
            files = [word for word in words if word.endswith(".py")]
            found = [NAME.match(word) for word in words if word not in files]
            if files:
                rows.append((files, [match.group() for match in found if match]))
    return rows


def list_defined(path: Path) -> set[str]:
    """What a file defines at its top and in its classes: `run`, `State`, `apply`, `State.apply`."""
    defined = set()
    for node in parse(path).body:
        defined |= set(names_bound_by(node))
        if isinstance(node, ast.ClassDef):
            inside = {name for statement in node.body for name in names_bound_by(statement)}
            defined |= inside | {f"{node.name}.{name}" for name in inside}
    return defined


def names_bound_by(node: ast.stmt) -> list[str]:
    """The names that one definition or assignment gives to something."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    return [target.id for target in targets if isinstance(target, ast.Name)]
