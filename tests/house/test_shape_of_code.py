"""Small things that keep the house readable, checked so that nobody has to say them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.tree import ROOT, list_sources, name_of, parse

LONGEST_FUNCTION = 60
"""Lines, docstring included; far above the house's habit (95 of 100 within 19)."""

MACHINE_PATH = re.compile(r"(?<![\w.:/~-])/(?:root|home/\w+|Users/\w+|work)/")
TEXT = {".md", ".py", ".toml", ".txt", ".cfg", ".yml", ".yaml", ".html", ".svg", ""}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@pytest.mark.parametrize("path", list_sources(), ids=name_of)
def test_module_says_what_it_is(path):
    assert ast.get_docstring(parse(path))


@pytest.mark.parametrize("path", list_sources(), ids=name_of)
def test_imports_are_absolute(path):
    if "_poolwise_observer" in path.parts:
        return  # has two names: its own inside an observed program, and one below ours
    nodes = [node for node in ast.walk(parse(path)) if isinstance(node, ast.ImportFrom)]
    assert [node.lineno for node in nodes if node.level] == []


@pytest.mark.parametrize("path", list_sources(), ids=name_of)
def test_functions_are_short(path):
    functions = [node for node in ast.walk(parse(path)) if isinstance(node, FUNCTIONS)]
    too_long = [f for f in functions if f.end_lineno - f.lineno >= LONGEST_FUNCTION]
    assert [f"{f.name}, line {f.lineno}" for f in too_long] == []


def test_nothing_names_a_folder_of_some_machine():
    found = []
    for path in list_files():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if MACHINE_PATH.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert found == []


def list_files() -> Iterator[Path]:
    """The texts of the project: what stands at its top, and all below its folders."""
    folders = [f for f in ROOT.iterdir() if f.is_dir() and (f.name[0] != "." or f.name == ".ci")]
    top = [path for path in ROOT.iterdir() if path.name != ".git"]  # a file in a second work tree
    candidates = [*top, *(path for folder in folders for path in folder.rglob("*"))]
    for path in candidates:
        is_ours = path.name != ".git" and "__pycache__" not in path.parts
        if path.is_file() and path.suffix in TEXT and is_ours:
            yield path


def test_test_folders_are_packages():
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py")}
    assert [str(f.relative_to(ROOT)) for f in folders if not (f / "__init__.py").is_file()] == []
