"""The source tree as the house tests read it: files, their syntax, their rows."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "poolwise"

ROWS = {
    "errors": 0, "options": 0, "quantities": 0, "record": 0,
    "core": 1, "payloads": 1, "system": 1,
    "wire": 2,
    "memory": 3, "simulation": 3,
    "account": 4, "shared": 4, "telemetry": 4, "worker": 4,
    "backends": 5, "report": 5,
    "doors": 6, "dropin": 6, "executor": 6, "pool": 6, "results": 6, "standard": 6,
    "aio": 7, "ambient": 7, "bench": 7, "choose": 7, "doctor": 7, "integrations": 7,
    "pipeline": 7, "tuning": 7,
    "cli": 8,
    "__main__": 9,
}  # fmt: skip
"""Part of the package -> the row it stands in. Imports go down: from a higher number to a lower."""

OUTSIDE = {"testing"}
"""Shipped, but nobody above or below leans on it: it may know everybody."""

FRONT_DOOR = ""
"""`poolwise/__init__.py`: knows every door, loads none by itself."""


@cache
def list_sources() -> tuple[Path, ...]:
    """Every module of the package."""
    return tuple(sorted(PACKAGE.rglob("*.py")))


@cache
def parse(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def name_of(path: Path) -> str:
    """The dotted name a module is imported by."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str:
    """`poolwise.core.state` -> `core`; the front door and the names it offers -> `FRONT_DOOR`."""
    part = module.partition(".")[2].partition(".")[0]
    return part if part in ROWS or part in OUTSIDE else FRONT_DOOR


def list_imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each of our own modules that a file imports, wherever it does so.

    Imports inside functions count. Those under `if TYPE_CHECKING` count too: a type is knowledge.
    """
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from ((node.lineno, name) for name in names if name.split(".")[0] == "poolwise")
