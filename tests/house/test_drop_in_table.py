"""docs/drop-in.md has a row for all that the standard pools offer; the test of each row exists."""

from __future__ import annotations

import ast
import re
from concurrent.futures import Future, ProcessPoolExecutor
from functools import cache
from multiprocessing import pool as standard

import pytest

from poolwise.standard import StandardName
from tests.house.tree import ROOT

PAGE = ROOT / "docs" / "drop-in.md"

CLASSES = {
    "Pool": standard.Pool,
    "ThreadPool": standard.ThreadPool,
    "AsyncResult": standard.AsyncResult,
    "IMapIterator": standard.IMapIterator,
    "ProcessPoolExecutor": ProcessPoolExecutor,
    "Future": Future,
}


def list_rows() -> list[tuple[list[str], str]]:
    """The names in the first cell of each row, and the last cell."""
    rows = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and not cells[0].startswith(("name", "---")):
            rows.append((re.findall(r"`([^`]+)`", cells[0]), cells[-1].strip("`")))
    return rows


ROWS = list_rows()


@cache
def list_tests(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("test", sorted({test for _, test in ROWS}))
def test_test_of_a_row_exists(test):
    path, _, name = test.partition("::")
    assert path.startswith("tests/")
    assert name in list_tests(path)


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_method_has_a_row(name):
    parts = [part for part in CLASSES[name].__mro__ if part is not object]
    methods = {
        method
        for part in parts
        for method, value in vars(part).items()
        if not method.startswith("_") and callable(getattr(value, "__func__", value))
    }
    assert methods
    told = {told for names, _ in ROWS for told in names}
    assert sorted(f"{name}.{method}" for method in methods if f"{name}.{method}" not in told) == []


def test_every_view_has_a_row():
    from poolwise.executor import ProcessPoolExecutor as OurExecutor
    from poolwise.pool import Pool
    from poolwise.results import AsyncResult, MapResult, ResultIterator

    doors = {
        "Pool": Pool,
        "ProcessPoolExecutor": OurExecutor,
        "AsyncResult": AsyncResult,
        "MapResult": MapResult,
        "IMapIterator": ResultIterator,
    }
    told = {told for names, _ in ROWS for told in names}
    views = {
        f"{name}.{attribute}"
        for name, door in doors.items()
        for attribute, value in vars(door).items()
        if isinstance(value, StandardName)
    }
    assert len(views) > 30
    assert sorted(views - told) == []
