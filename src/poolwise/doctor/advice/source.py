"""The program's own text, as far as it still lies where the run saw it.

Rules that suggest an edit or read a function come here, and nowhere else read files: where a file
is gone or has changed so that nothing fits, the answer is None.
"""

from __future__ import annotations

import ast
import io
import tokenize
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from poolwise.doctor.evidence.features import Place

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef


@lru_cache(maxsize=64)
def read_lines(file: str) -> tuple[str, ...] | None:
    """The lines of a file, without their ends; None if it cannot be read as Python's text."""
    try:
        with tokenize.open(file) as stream:
            # Not splitlines(): it also breaks at form feeds, which are no lines to Python.
            return tuple(stream.read().split("\n"))
    except (OSError, SyntaxError, UnicodeDecodeError):
        return None


@lru_cache(maxsize=64)
def parse(file: str) -> ast.Module | None:
    """The syntax tree of a file; None if it cannot be read or is no Python of this version."""
    lines = read_lines(file)
    if lines is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the program's own, said when it ran
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
        and name in {called_name(node), imported_name(tree, node)}
        and node.lineno <= place.line <= (node.end_lineno or node.lineno)
    ]
    if len(found) > 1:
        found = [node for node in found if _begins_at(node) == place.line]
    return found[0] if len(found) == 1 else None


def locate(place: Place | None, *names: str) -> Located | None:
    """The file, tree and node of the first of these calls that covers a line; None if none does."""
    tree = parse(place.file) if place else None
    node = next((found for name in names if (found := find_call(place, name))), None)
    if place is None or tree is None or node is None:
        return None
    return Located(place.file, tree, node)


class Located(NamedTuple):
    """A call, and where it stands."""

    file: str
    tree: ast.Module
    node: ast.Call


def called_name(call: ast.Call) -> str:
    """`map` of `pool.map(...)`, `Pool` of `Pool(...)`; empty for anything else."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def imported_name(tree: ast.Module, call: ast.Call) -> str:
    """The called object, under the name that it has where it comes from: `Pool` of `P(...)`."""
    return origin(tree, call.func).rpartition(".")[2] or called_name(call)


def origin(tree: ast.Module, node: ast.expr) -> str:
    """The dotted name that an expression stands for, its first part as it was imported.

    `multiprocessing.Pool` for `Pool`, for `mp.Pool` and for `P`, as the imports have it; empty
    where it is no name that was imported.
    """
    if isinstance(node, ast.Attribute):
        inside = origin(tree, node.value)
        return f"{inside}.{node.attr}" if inside else ""
    return imported_names(tree).get(node.id, "") if isinstance(node, ast.Name) else ""


@lru_cache(maxsize=64)
def imported_names(tree: ast.Module) -> dict[str, str]:
    """Name -> what it stands for, of all imports of a module."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            known.update(_names_of(node))
    return known


def is_imported(tree: ast.Module, statement: str) -> bool:
    """True if the top of a module has all the names that an import statement gives."""
    wanted = _names_of(ast.parse(statement).body[0])
    known: dict[str, str] = {}
    for node in tree.body:
        known.update(_names_of(node))
    return wanted.items() <= known.items()


def find_function(place: Place | None) -> Function | None:
    """The function that begins at a line (its first decorator counts)."""
    tree = parse(place.file) if place else None
    if tree is None or place is None:
        return None
    for node in ast.walk(tree):
        if isinstance(node, Function) and place.line in _first_lines(node):
            return node
    return None


@lru_cache(maxsize=64)
def parents_in(tree: ast.Module) -> dict[ast.AST, ast.AST]:
    """Node -> the node it stands in."""
    return {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}


def way_up(tree: ast.Module, node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that a node stands in, from the nearest to the module."""
    parents = parents_in(tree)
    while node in parents:
        node = parents[node]
        yield node


def scope_of(tree: ast.Module, node: ast.AST) -> Scope:
    """The function that a node stands in, else the module."""
    return next((each for each in way_up(tree, node) if isinstance(each, Scope)), tree)


def statement_of(tree: ast.Module, node: ast.AST) -> ast.stmt | None:
    """The nearest statement that a node stands in, or is."""
    return next((each for each in (node, *way_up(tree, node)) if isinstance(each, ast.stmt)), None)


def names_in(*nodes: ast.AST) -> set[str]:
    """All names that stand in these nodes, whatever is done with them."""
    return {each.id for node in nodes for each in ast.walk(node) if isinstance(each, ast.Name)}


def uses_of(scope: ast.AST, name: str) -> list[ast.Name]:
    """All places where a name stands, whatever is done with it."""
    names = (each for each in ast.walk(scope) if isinstance(each, ast.Name))
    return [each for each in names if each.id == name]


def value_of(scope: ast.AST, name: str) -> ast.expr | None:
    """The value that a name is given by `=`, if that happens once."""
    found = [
        each.value
        for each in ast.walk(scope)
        if isinstance(each, ast.Assign) and name in names_in(*each.targets)
    ]
    return found[0] if len(found) == 1 else None


def names_declared_in(scope: ast.AST) -> set[str]:
    """Names that are `global` or `nonlocal` there."""
    declared = (each for each in ast.walk(scope) if isinstance(each, ast.Global | ast.Nonlocal))
    return {name for each in declared for name in each.names}


def names_bound_in(*nodes: ast.AST) -> set[str]:
    """Names that these nodes give a value to."""
    return {
        each.id
        for node in nodes
        for each in ast.walk(node)
        if isinstance(each, ast.Name) and not isinstance(each.ctx, ast.Load)
    }


def text_of(file: str, node: ast.AST) -> str:
    """The source text of an expression or a statement."""
    start, stop = offsets_of(file, node)
    return "\n".join(read_lines(file) or ())[start:stop]


def offsets_of(file: str, node: ast.AST) -> tuple[int, int]:
    """Begin and end of a node in the file's text, in characters."""
    lines, number, end = read_lines(file) or (), node.lineno, node.end_lineno  # type: ignore[attr-defined]
    start = offset_of_line(file, number) + _column(lines[number - 1], node.col_offset)  # type: ignore[attr-defined]
    stop = offset_of_line(file, end) + _column(lines[end - 1], node.end_col_offset)  # type: ignore[attr-defined]
    return start, stop


def offset_of_line(file: str, number: int) -> int:
    """Begin of a line in the file's text; behind the last one, the end of the text."""
    return sum(len(line) + 1 for line in (read_lines(file) or ())[: number - 1])


@lru_cache(maxsize=64)
def lines_inside_strings(file: str) -> frozenset[int]:
    """Lines that begin inside a string: their indentation is part of it."""
    text = "\n".join(read_lines(file) or ())
    inside: set[int] = set()
    opened: list[int] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        name = tokenize.tok_name[token.type]
        if name.endswith("STRING_START"):
            opened.append(token.start[0])
        elif name.endswith("STRING_END"):
            inside.update(range(opened.pop() + 1, token.end[0] + 1))
        elif name == "STRING":
            inside.update(range(token.start[0] + 1, token.end[0] + 1))
    return frozenset(inside)


def _names_of(node: ast.AST) -> dict[str, str]:
    """The names that an import statement binds; nothing for any other node, and for `*`."""
    if isinstance(node, ast.Import):
        tops = [(each, each.name.partition(".")[0]) for each in node.names]
        return {each.asname or top: each.name if each.asname else top for each, top in tops}
    if not isinstance(node, ast.ImportFrom) or node.level:
        return {}
    return {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}


def _first_lines(node: Function) -> set[int]:
    decorators = getattr(node, "decorator_list", [])
    return {node.lineno, *(decorator.lineno for decorator in decorators)}


def _begins_at(call: ast.Call) -> int:
    """The line of the called name, which is where the interpreter says a call is."""
    return call.func.end_lineno or call.lineno


def _column(line: str, offset_bytes: int) -> int:
    """Columns of `ast` count bytes of UTF-8, those of a line characters."""
    return len(line.encode()[:offset_bytes].decode())
