"""The core decides and does nothing else: no account, no telemetry, no clock where decided."""

from __future__ import annotations

import ast

import pytest

from tests.house.tree import PACKAGE, list_imports, parse, part_of

DECIDING = ["batching", "contract", "job", "sinks", "state"]
"""Modules of `core/` that are handed the time; the engine reads it."""


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "core").glob("*.py")), ids=lambda path: path.stem
)
def test_the_core_knows_no_observer(path):
    assert {part_of(name) for _, name in list_imports(path)} <= {
        "core",
        "errors",
        "options",
        "record",
    }


@pytest.mark.parametrize("name", DECIDING)
def test_what_decides_reads_no_clock(name):
    tree = parse(PACKAGE / "core" / f"{name}.py")
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert "time" not in imported | modules
