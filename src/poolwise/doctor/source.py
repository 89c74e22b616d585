"""The program's own text, as far as it still lies where the run saw it.

Rules that suggest an edit or read a function come here, and nowhere else touch files: where a file
is gone or has changed so that nothing fits, the answer is None.
"""

from __future__ import annotations

import ast
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from poolwise.doctor.features import Place

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@lru_cache(maxsize=64)
def read_lines(file: str) -> tuple[str, ...] | None:
    """The lines of a file, without their ends; None if it cannot be read as Python's text."""
    try:
        with open(file, encoding="utf-8") as stream:
            return tuple(stream.read().splitlines())
    except (OSError, UnicodeDecodeError):
        return None


@lru_cache(maxsize=64)
def parse(file: str) -> ast.Module | None:
    """The syntax tree of a file; None if it cannot be read or is no Python of this version."""
    lines = read_lines(file)
    if lines is None:
        return None
    try:
        return ast.parse("\n".join(lines))
    except (SyntaxError, ValueError):
        return None


def find_call(place: Place | None, name: str) -> ast.Call | None:
    """The call of `name` (a function or a method) that covers a line; None if it is not clear.

    Several can cover a line: then the only one that begins on it is meant.
    """
    tree = parse(place.file) if place else None
    if tree is None or place is None:
        return None
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and called_name(node) == name
        and node.lineno <= place.line <= (node.end_lineno or node.lineno)
    ]
    if len(found) > 1:
        found = [node for node in found if _begins_at(node) == place.line]
    return found[0] if len(found) == 1 else None


def called_name(call: ast.Call) -> str:
    """`map` of `pool.map(...)`, `Pool` of `Pool(...)`; empty for anything else."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def find_function(place: Place | None) -> Function | None:
    """The function that begins at a line (its first decorator counts)."""
    tree = parse(place.file) if place else None
    if tree is None or place is None:
        return None
    for node in ast.walk(tree):
        if isinstance(node, Function) and place.line in _first_lines(node):
            return node
    return None


def text_of(file: str, node: ast.expr) -> str:
    """The source text of an expression."""
    return ast.get_source_segment("\n".join(read_lines(file) or ()), node) or ast.unparse(node)


def _first_lines(node: Function) -> set[int]:
    decorators = getattr(node, "decorator_list", [])
    return {node.lineno, *(decorator.lineno for decorator in decorators)}


def _begins_at(call: ast.Call) -> int:
    """The line of the called name, which is where the interpreter says a call is."""
    return call.func.end_lineno or call.lineno
