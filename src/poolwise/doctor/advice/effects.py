"""Finds what a function changes beyond its own variables, by its text. Runs nothing.

Workers get copies of what they are sent, threads and shared memory do not: an edit from the one to
the other is only derived where the function leaves alone what it is given.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from poolwise.doctor.advice.source import (
    Function,
    find_function,
    imported_names,
    names_bound_in,
    names_declared_in,
    names_in,
    parse,
    value_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from poolwise.doctor.evidence.features import Place

_WRITERS = {
    "add", "append", "appendleft", "clear", "discard", "extend", "fill", "insert", "partition",
    "pop", "popitem", "popleft", "put", "remove", "resize", "reverse", "setdefault", "setflags",
    "shuffle", "sort", "update", "write",
}  # fmt: skip
"""Methods of lists, dicts, sets, queues, files and arrays that change their object."""

_ALIASES = (ast.Name, ast.Attribute, ast.Subscript, ast.Starred, ast.Tuple, ast.List)
"""Expressions that give an object that was there before, or a view of it."""


_OF_PROCESS = {
    "_exit", "abort", "alarm", "chdir", "environ", "exit", "fork", "kill", "nice", "putenv",
    "setitimer", "setrlimit", "signal", "umask",
}  # fmt: skip
"""Functions of `os`, `sys` and `signal` that are about the process they are called in."""


def changes_what_it_gets(place: Place | None) -> bool:
    """True if a function writes to its arguments, globals or its process; True if unreadable."""
    function = find_function(place)
    if function is None or changed_names(function):
        return True
    return any(_is_about_process(node) for node in ast.walk(function))


def _is_about_process(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        is_of_it = isinstance(node.value, ast.Name) and node.value.id in {"os", "signal", "sys"}
        return is_of_it and node.attr in _OF_PROCESS
    return isinstance(node, ast.Name) and node.id in {"exit", "quit"}


def changed_names(function: Function) -> set[str]:
    """Parameters and outer names whose objects a function writes to."""
    own = parameters_of(function)
    fresh = names_bound_in(function) - own
    written = written_names(function) - _numbers(function)
    for _ in range(3):  # a name stands for what it was taken from
        for names, sources in _aliases(function):
            if names & written:
                written |= sources
    return (written - fresh) | names_declared_in(function)


def may_change_what_it_gave(file: str, source: ast.expr, kind: str | None) -> bool:
    """True if an input may change an item after it has given it: to fill a buffer again, say.

    Such an input is only read right one item at a time. `kind` is the type that was seen; a
    generator whose function is not in this file is taken for one.
    """
    tree = parse(file)
    if tree is None:
        return True
    if isinstance(source, ast.Name):
        source = value_of(tree, source.id) or source
    called = {
        node.func.id
        for node in ast.walk(source)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    functions = [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)]
    makers = [each for each in functions if each.name in called and _yielded(each)]
    is_seen = bool(makers) or isinstance(source, ast.GeneratorExp)
    if kind == "generator" and not is_seen:
        return True
    return any(names_in(*_yielded(each)) & written_names(each) for each in makers)


def _yielded(function: Function) -> list[ast.expr]:
    yields = (each for each in ast.walk(function) if isinstance(each, ast.Yield | ast.YieldFrom))
    return [each.value for each in yields if each.value is not None]


def parameters_of(function: Function) -> set[str]:
    """The names of all parameters."""
    arguments = function.args
    plain = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    starred = [each for each in (arguments.vararg, arguments.kwarg) if each]
    return {each.arg for each in [*plain, *starred]}


_OF_THREADS = {"asyncio", "queue", "socket", "sqlite3", "threading"}
"""Modules whose objects cannot be pickled, and which a program imports that shares such."""


def can_go_to_processes(place: Place | None) -> bool:
    """True if processes can call what threads did: by its name, with what can be pickled.

    Nothing is seen of what threads are given: so programs that import what is shared among threads
    are left alone, and so are generators.
    """
    tree, function = parse(place.file) if place else None, find_function(place)
    if tree is None or function is None or function not in tree.body:
        return False
    imported = {name.partition(".")[0] for name in imported_names(tree).values()}
    return not (imported & _OF_THREADS or _yielded(function) or changes_what_it_gets(place))


def written_names(*nodes: ast.AST) -> set[str]:
    """Names whose objects these nodes write to: an element, an attribute, in place."""
    return {name for node in nodes for name in _written(node)}


def _numbers(function: Function) -> set[str]:
    """Names that some step gives a number or a text, which nothing writes into: `steps = 0`."""
    return {
        one.id
        for node in ast.walk(function)
        if isinstance(node, ast.Assign)
        for target in node.targets
        for one, other in _each(target, node.value)
        if isinstance(other, ast.Constant) and isinstance(one, ast.Name)
    }


def _each(target: ast.expr, value: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    several = ast.Tuple | ast.List
    if isinstance(target, several) and isinstance(value, several):
        yield from zip(target.elts, value.elts, strict=False)
    else:
        yield target, value


def _written(root: ast.AST) -> Iterator[str]:
    for node in ast.walk(root):
        if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            yield from _base(node)
        elif isinstance(node, ast.AugAssign):
            yield from _base(node.target)  # `array += 1` writes into the array
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute) and node.func.attr in _WRITERS:
                yield from _base(node.func.value)
            for each in node.keywords:
                yield from _base(each.value) if each.arg == "out" else ()


def _base(node: ast.expr) -> Iterator[str]:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id


def _aliases(function: Function) -> Iterator[tuple[set[str], set[str]]]:
    """Names, and those of the objects that they may be, or be parts of."""
    for node in ast.walk(function):
        if isinstance(node, ast.For | ast.comprehension):
            yield names_in(node.target), names_in(node.iter)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                for one, other in _each(target, node.value):
                    if isinstance(other, _ALIASES):
                        yield names_in(one), names_in(other)
