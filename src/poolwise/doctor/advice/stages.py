"""Calls whose results become another call's items, as the program's text has it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from poolwise.doctor.advice import source

if TYPE_CHECKING:
    from poolwise.doctor.evidence.features import Site

_FILLS = frozenset({"append", "appendleft", "add", "extend", "insert", "put", "update"})


class _Flow:
    """Names and functions of a module that hold, or return, what a call has given.

    By scope and name: what is bound in one function says nothing of another's variable.
    """

    def __init__(self, tree: ast.Module, origin: ast.Call) -> None:
        self._tree = tree
        self._origin = origin
        self._names: set[tuple[ast.AST, str]] = set()
        self._functions: set[str] = set()
        while self._spread():
            pass

    def reaches(self, node: ast.AST) -> bool:
        """True if something of it stands in this node."""
        return any(self._is_of_it(each) for each in ast.walk(node))

    def _is_of_it(self, node: ast.AST) -> bool:
        if node is self._origin:
            return True
        if isinstance(node, ast.Name):
            return (source.scope_of(self._tree, node), node.id) in self._names
        return isinstance(node, ast.Call) and source.called_name(node) in self._functions

    def _spread(self) -> bool:
        """One pass over the module; True if it has found more."""
        before = len(self._names) + len(self._functions)
        for node in ast.walk(self._tree):
            for value, bound in _bindings_of(node):
                if self.reaches(value):
                    scope = source.scope_of(self._tree, bound)
                    self._names.update((scope, name) for name in source.names_in(bound))
            if isinstance(node, ast.Return) and node.value and self.reaches(node.value):
                self._functions.add(getattr(source.scope_of(self._tree, node), "name", ""))
            if isinstance(node, ast.Call):
                self._enter(node)
        return len(self._names) + len(self._functions) > before

    def _enter(self, call: ast.Call) -> None:
        """Follow arguments into a function of the module."""
        for each in self._tree.body:
            if isinstance(each, ast.FunctionDef) and each.name == source.called_name(call):
                for parameter, value in zip(each.args.args, call.args, strict=False):
                    if self.reaches(value):
                        self._names.add((each, parameter.arg))


def _bindings_of(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Value and target of what binds a name, or puts something into what it stands for."""
    if isinstance(node, ast.Assign):
        yield from ((node.value, target) for target in node.targets)
    elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr) and node.value:
        yield node.value, node.target
    elif isinstance(node, ast.For | ast.comprehension):
        yield node.iter, node.target
    elif isinstance(node, ast.Call) and source.called_name(node) in _FILLS:
        held = node.func.value if isinstance(node.func, ast.Attribute) else None
        if isinstance(held, ast.Name):
            yield from ((value, held) for value in node.args)


def feeds(first: Site, second: Site) -> bool:
    """True if the program's text gives what the first call returns to the second one."""
    giver, taker = source.locate(first.place, first.api), source.locate(second.place, second.api)
    if giver is None or taker is None or giver.file != taker.file:
        return False
    flow = _Flow(giver.tree, giver.node)
    return any(flow.reaches(value) for value in taker.node.args)


def pipe_of(first: Site, second: Site) -> str:
    """The two calls as one pipe, in Python."""
    function, items = _parts_of(first)
    following, _ = _parts_of(second)
    return f"poolwise.pipe({items}).map({function}).map({following})"


def _parts_of(site: Site) -> tuple[str, str]:
    """Texts of a call's function and of its items."""
    name = site.function.rpartition(".")[2]
    call = source.locate(site.place, site.api)
    if call is None or len(call.node.args) < 2:  # noqa: PLR2004 - a function and its items
        return name, "items"
    function, *items = (source.text_of(call.file, each) for each in call.node.args)
    if site.api in {"submit", "apply", "apply_async"}:
        loops = (each for each in source.way_up(call.tree, call.node) if _loop_of(each))
        loop = next(loops, None)
        return function, "items" if loop is None else source.text_of(call.file, _loop_of(loop))  # type: ignore[arg-type]
    return function, items[0]


def _loop_of(node: ast.AST) -> ast.AST | None:
    """The items of a loop, or of a comprehension."""
    if isinstance(node, ast.For):
        return node.iter
    return node.generators[0].iter if isinstance(node, ast.ListComp | ast.GeneratorExp) else None
