"""Functions that loop over what an array library does in one go. Reads syntax, runs nothing.

Cautious: a loop counts only if every round does arithmetic on numbers and depends on no other
round, except for sums, products and the like that are built up along the way.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from poolwise.doctor.advice.source import Function, find_function, names_in, parse

if TYPE_CHECKING:
    from poolwise.doctor.evidence.features import Place

_FUNCTIONS = {
    "abs", "float", "int", "max", "min", "pow", "round",
    "sqrt", "exp", "log", "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan", "atan2",
    "sinh", "cosh", "tanh", "floor", "ceil", "fabs", "hypot",
}  # fmt: skip
_EXPRESSIONS = (
    ast.Name, ast.Constant, ast.BinOp, ast.UnaryOp, ast.Compare, ast.IfExp, ast.Call, ast.Tuple,
    ast.Attribute, ast.operator, ast.unaryop, ast.cmpop, ast.expr_context,
)  # fmt: skip
_REDUCTIONS = {"sum", "max", "min", "prod", "fsum"}


def find_loop(place: Place) -> int | None:
    """The line of a function's arithmetic loop; None if it has none, or is more than that.

    A function that only calls one other function of the same file is read through.
    """
    function = find_function(place)
    for _ in range(3):
        if function is None:
            return None
        line = _line_of_loop(function)
        if line is not None:
            return line
        function = _only_callee(function, place)
    return None


def _line_of_loop(function: Function) -> int | None:
    """The first loop, if the function is nothing but plain steps and such loops."""
    lines = []
    for step in _body(function):
        if (isinstance(step, ast.For) and _is_independent(step)) or _has_reduction(step):
            lines.append(step.lineno)
        elif not _is_plain(step):
            return None
    return lines[0] if lines else None


def _body(function: Function) -> list[ast.stmt]:
    if isinstance(function, ast.Lambda):
        return [ast.copy_location(ast.Return(function.body), function.body)]
    is_documented = ast.get_docstring(function) is not None
    return function.body[is_documented:]


def _is_plain(step: ast.stmt) -> bool:
    """A step that takes no time worth counting: numbers and names, no loop, no call of much."""
    if not isinstance(step, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Return | ast.Pass):
        return False
    calls = [node for node in ast.walk(step) if isinstance(node, ast.Call)]
    loops = any(isinstance(node, ast.comprehension) for node in ast.walk(step))
    return not loops and all(_is_function_of_numbers(call) for call in calls)


def _has_reduction(step: ast.stmt) -> bool:
    """True if a step adds up arithmetic over a range, and does nothing else that takes time."""
    calls = [node for node in ast.walk(step) if isinstance(node, ast.Call)]
    found = [call for call in calls if _is_reduction(call)]
    inside = {id(node) for call in found for node in ast.walk(call)}
    rest = [call for call in calls if id(call) not in inside]
    return bool(found) and all(_is_function_of_numbers(call) for call in rest)


def _is_independent(loop: ast.For) -> bool:
    if not _is_range(loop.iter) or loop.orelse:
        return False
    assigned: set[str] = set()
    summed: set[str] = set()
    body = list(_flatten(loop.body))
    written = {name for step in body for name in _targets(step)}
    for step in body:
        if not _is_step(step) or not _is_arithmetic(_value(step)):
            return False
        reads = names_in(_value(step))
        if isinstance(step, ast.AugAssign):
            summed |= _targets(step)
        if (reads & written) - assigned or reads & summed:
            return False  # what another round left behind
        if isinstance(step, ast.Assign):
            assigned |= _targets(step)
    return bool(body) and not assigned & summed


def _flatten(body: list[ast.stmt]) -> list[ast.stmt]:
    """The steps of a loop and of plain loops in it."""
    steps: list[ast.stmt] = []
    for each in body:
        inner = isinstance(each, ast.For) and _is_range(each.iter) and not each.orelse
        steps += _flatten(each.body) if inner and isinstance(each, ast.For) else [each]
    return steps


def _is_step(step: ast.stmt) -> bool:
    if isinstance(step, ast.Assign):
        return all(isinstance(target, ast.Name) for target in step.targets)
    return isinstance(step, ast.AugAssign) and isinstance(step.target, ast.Name)


def _value(step: ast.stmt) -> ast.expr:
    return step.value if isinstance(step, ast.Assign | ast.AugAssign) else ast.Constant(None)


def _targets(step: ast.stmt) -> set[str]:
    targets = step.targets if isinstance(step, ast.Assign) else [getattr(step, "target", None)]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _is_arithmetic(node: ast.expr) -> bool:
    for each in ast.walk(node):
        if not isinstance(each, _EXPRESSIONS):
            return False
        if isinstance(each, ast.Constant) and not isinstance(each.value, int | float):
            return False
        if isinstance(each, ast.Call) and not _is_function_of_numbers(each):
            return False
    return any(isinstance(each, ast.BinOp | ast.Call) for each in ast.walk(node))


def _is_function_of_numbers(call: ast.Call) -> bool:
    if isinstance(call.func, ast.Attribute):
        owner = call.func.value
        return isinstance(owner, ast.Name) and owner.id == "math" and call.func.attr in _FUNCTIONS
    return isinstance(call.func, ast.Name) and call.func.id in _FUNCTIONS


def _is_range(node: ast.expr) -> bool:
    function = node.func if isinstance(node, ast.Call) else None
    return isinstance(function, ast.Name) and function.id == "range"


def _is_reduction(call: ast.Call) -> bool:
    """`sum(... for x in range(...))` over arithmetic."""
    name = call.func.id if isinstance(call.func, ast.Name) else ""
    if name not in _REDUCTIONS or len(call.args) != 1:
        return False
    inner = call.args[0]
    if not isinstance(inner, ast.GeneratorExp | ast.ListComp):
        return False
    plain = all(_is_range(each.iter) and not each.ifs for each in inner.generators)
    return plain and _is_arithmetic(inner.elt)


def _only_callee(function: Function, place: Place) -> ast.FunctionDef | None:
    """The one function of the same file that a function calls."""
    tree = parse(place.file)
    if tree is None:
        return None
    known = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    called = {
        node.func.id
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in known
    }
    return known[called.pop()] if len(called) == 1 else None
