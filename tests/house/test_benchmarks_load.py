"""Every benchmark can be loaded: none needs what another no longer has."""

from __future__ import annotations

from importlib import import_module

import pytest

from tests.house.tree import ROOT

NAMES = sorted(path.stem for path in (ROOT / "benchmarks").glob("[a-z]*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_it_loads(name):
    try:
        import_module(f"benchmarks.{name}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("benchmarks"):
            raise
        pytest.skip(f"needs {error.name}")
