"""What the front door offers is what is there, and `__all__` says so in every module."""

from __future__ import annotations

import ast
import importlib

import pytest

import poolwise
from tests.house.tree import list_sources, name_of, parse


def test_all_is_the_table_of_homes():
    assert set(poolwise.__all__) == {*poolwise._HOME, "__version__"}
    assert list(poolwise.__all__) == sorted(poolwise.__all__)
    assert len(set(poolwise.__all__)) == len(poolwise.__all__)


def test_type_checkers_see_the_same_names():
    tree = parse(next(path for path in list_sources() if name_of(path) == "poolwise"))
    typed = {
        alias.asname: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("poolwise")
        for alias in node.names
    }
    assert typed == poolwise._HOME


@pytest.mark.parametrize("name", poolwise.__all__)
def test_public_name_resolves(name):
    value = getattr(poolwise, name)
    assert name in dir(poolwise)
    if name in poolwise._HOME:
        assert value is getattr(importlib.import_module(poolwise._HOME[name]), name)


@pytest.mark.parametrize(
    "path", [p for p in list_sources() if "__all__" in p.read_text()], ids=name_of
)
def test_all_names_what_is_there(path):
    module = importlib.import_module(name_of(path))
    missing = [name for name in module.__all__ if not hasattr(module, name)]
    assert missing == []


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = poolwise.nonsense
