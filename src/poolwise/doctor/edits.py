"""Edits of the program at the place of the call, where its text allows to derive them.

Each function answers with a `Change`, or None where the call is not found or not plain enough.
Nothing is written to anybody's file.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from poolwise.doctor.findings import Change
from poolwise.doctor.source import find_call, find_function, read_lines, text_of

if TYPE_CHECKING:
    from poolwise.doctor.features import Place

_POSITIONS = {"chunksize": 2, "processes": 0, "max_workers": 0}
"""Where the standard pools take these by position."""


@dataclass(frozen=True)
class _Span:
    """A piece of one line, counted in characters, and what shall stand there."""

    line: int
    start: int
    stop: int
    text: str


def set_argument(place: Place | None, call: str, keyword: str, value: str) -> Change | None:
    """Give a call this argument: in place of the one it has, else as a keyword at its end."""
    node = find_call(place, call)
    if node is None or place is None:
        return None
    return _apply(place.file, [_span_of_argument(place.file, node, keyword, value)])


def swap_call(
    place: Place | None, call: str, new: str, imports: Sequence[str], **arguments: str
) -> Change | None:
    """Call `new` in place of `call`, with these arguments set, and import what that needs."""
    node = find_call(place, call)
    if node is None or place is None:
        return None
    spans = [_span_of(place.file, node.func, new)]
    spans += [_span_of_argument(place.file, node, name, text) for name, text in arguments.items()]
    return _apply(place.file, spans, imports)


def wrap_argument(
    place: Place | None,
    call: str,
    path: Sequence[int | str],
    wrapper: str,
    imports: Sequence[str],
) -> Change | None:
    """Put `wrapper(...)` around a part of a call's arguments.

    `path` leads to it through calls: (0, 1) is the second argument of the call that stands as the
    first argument; a string is a keyword.
    """
    node: ast.expr | None = find_call(place, call)
    for step in path:
        node = _step_into(node, step)
    if node is None or place is None:
        return None
    wrapped = f"{wrapper}({text_of(place.file, node)})"
    return _apply(place.file, [_span_of(place.file, node, wrapped)], imports)


def insert_first(function: Place | None, statement: str, parameter: str) -> Change | None:
    """Let a function begin with a statement about one of its parameters."""
    node = find_function(function)
    if function is None or node is None or isinstance(node, ast.Lambda):
        return None
    known = {each.arg for each in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]}
    has_words = ast.get_docstring(node) is not None
    lines = read_lines(function.file)
    if parameter not in known or lines is None or len(node.body) <= has_words:
        return None
    first = node.body[has_words]
    line = lines[first.lineno - 1]
    if first.lineno == node.lineno:
        return None  # the body stands behind the colon
    indent = line[: len(line) - len(line.lstrip())]
    return Change(function.file, first.lineno, [line], [f"{indent}{statement}", line])


def _step_into(node: ast.expr | None, step: int | str) -> ast.expr | None:
    if not isinstance(node, ast.Call):
        return None
    if isinstance(step, str):
        return next((each.value for each in node.keywords if each.arg == step), None)
    return node.args[step] if step < len(node.args) else None


def _span_of_argument(file: str, call: ast.Call, keyword: str, value: str) -> _Span | None:
    if any(isinstance(each, ast.Starred) for each in call.args):
        return None
    given = next((each.value for each in call.keywords if each.arg == keyword), None)
    position = _POSITIONS.get(keyword, len(call.args))
    if given is None and position < len(call.args):
        given = call.args[position]
    if given is not None:
        return _span_of(file, given, value)
    parts = [*call.args, *(each.value for each in call.keywords)]
    if not parts:
        return _span_in_empty(file, call, f"{keyword}={value}")
    last = max(parts, key=lambda part: (part.end_lineno or 0, part.end_col_offset or 0))
    return _span_behind(file, last, f", {keyword}={value}")


def _span_of(file: str, node: ast.expr, text: str) -> _Span | None:
    lines = read_lines(file)
    if lines is None or node.end_lineno != node.lineno:
        return None
    line = lines[node.lineno - 1]
    start, stop = _column(line, node.col_offset), _column(line, node.end_col_offset)
    return _Span(node.lineno, start, stop, text)


def _span_behind(file: str, node: ast.expr, text: str) -> _Span | None:
    lines, number = read_lines(file), node.end_lineno
    if lines is None or number is None:
        return None
    line = lines[number - 1]
    # A generator as the only argument has no parentheses, and no keyword may follow it.
    stop = _column(line, node.end_col_offset)
    if isinstance(node, ast.GeneratorExp) and line[stop - 1 : stop] != ")":
        return None
    return _Span(number, stop, stop, text)


def _span_in_empty(file: str, call: ast.Call, text: str) -> _Span | None:
    behind = _span_behind(file, call, text)
    return behind and _Span(behind.line, behind.start - 1, behind.stop - 1, text)


def _apply(file: str, spans: Sequence[_Span | None], imports: Sequence[str] = ()) -> Change | None:
    known = [span for span in spans if span is not None]
    lines = read_lines(file)
    if lines is None or len(known) < len(spans):
        return None
    first, last = min(span.line for span in known), max(span.line for span in known)
    before = list(lines[first - 1 : last])
    after = list(before)
    for span in sorted(known, key=lambda each: (each.line, each.start), reverse=True):
        text = after[span.line - first]
        after[span.line - first] = text[: span.start] + span.text + text[span.stop :]
    missing = [line for line in imports if line not in lines]
    return Change(file, first, before, after, missing) if after != before else None


def _column(line: str, offset_bytes: int | None) -> int:
    """Columns of `ast` count bytes of UTF-8, those of a line characters."""
    return len(line.encode()[:offset_bytes].decode())
