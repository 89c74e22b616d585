"""Edits that change more than a call: a loop without its pool, a pool kept over a loop, and others.

As in `edits`, the answer is a `Change`, or None wherever the program's text is not plain enough to
be sure that it does the same afterwards.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from poolwise.doctor.advice.edits import Draft, makers_of
from poolwise.doctor.advice.effects import written_names
from poolwise.doctor.advice.source import (
    called_name,
    imported_names,
    lines_inside_strings,
    locate,
    names_bound_in,
    names_declared_in,
    names_in,
    offset_of_line,
    parents_in,
    read_lines,
    scope_of,
    statement_of,
    text_of,
    uses_of,
    way_up,
)

if TYPE_CHECKING:
    from poolwise.doctor.evidence.features import Place
    from poolwise.doctor.findings import Change

_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_ENDS = {"close", "join", "terminate", "shutdown"}


# -- no pool at all


def use_loop(pool: Place | None, call: Place | None, api: str) -> Change | None:
    """Change to a plain loop; the pool goes if nothing else needs it."""
    found = locate(call, api)
    if found is None or not isinstance(found.node.func, ast.Attribute):
        return None
    file, tree, node = found
    draft = Draft(file)
    plain = _plain_call(file, tree, node, api)
    if plain is None:
        return use_loop_for_futures(pool, call, api)
    text, replaced, imports = plain
    draft.replace(replaced, text)
    made = locate(pool, *_POOLS)
    if made is not None and made.file == file:
        if _has_initializer(made.node):
            return None  # the function may need what it does
        _remove_pool(draft, tree, made.node, node)
    return draft.finish(imports)


_POOLS = ("Pool", "ProcessPoolExecutor", "ThreadPool", "ThreadPoolExecutor")

_AS_LISTS = {"map", "starmap"}


def _plain_call(
    file: str, tree: ast.Module, call: ast.Call, api: str
) -> tuple[str, ast.AST, list[str]] | None:
    """The text, the node that it replaces, and its imports."""
    arguments = [text_of(file, each) for each in call.args]
    if any(isinstance(each, ast.Starred) for each in call.args) or not arguments[1:]:
        return None
    is_executor = any(name.endswith("Executor") for name in makers_of(file, call))
    inputs = arguments[1:] if is_executor else arguments[1:2]
    if api in {"map", "imap", "imap_unordered"}:
        plain, imports = f"map({', '.join([arguments[0], *inputs])})", []
    elif api == "starmap":
        plain, imports = f"itertools.starmap({arguments[0]}, {inputs[0]})", ["import itertools"]
    else:
        return _plain_single(file, tree, call, api)
    if api in _AS_LISTS and not is_executor and not _is_only_read_once(tree, call):
        plain = f"list({plain})"
    return plain, call, imports


def _is_only_read_once(tree: ast.Module, call: ast.Call) -> bool:
    """True if a list that a call gives goes into a loop or into `sum()` and the like at once."""
    parent = parents_in(tree).get(call)
    if isinstance(parent, ast.For | ast.comprehension):
        return parent.iter is call
    return (
        isinstance(parent, ast.Call)
        and isinstance(parent.func, ast.Name)
        and parent.func.id in {"sum", "list", "set", "tuple", "max", "min", "sorted", "dict"}
        and len(parent.args) == 1
    )


def _plain_single(
    file: str, tree: ast.Module, call: ast.Call, api: str
) -> tuple[str, ast.AST, list[str]] | None:
    """`pool.apply(f, (x,))` and `executor.submit(f, x).result()` as `f(x)`."""
    plain = _call_of_task(file, call, "apply_async" if api == "apply" else api)
    waiting = {"apply": None, "apply_async": "get", "submit": "result"}
    if plain is None or api not in waiting:
        return None
    method = waiting[api]
    outer = _result_call(tree, call, method) if method else call
    return (plain, outer, []) if outer else None


def _result_call(tree: ast.Module, call: ast.Call, method: str) -> ast.Call | None:
    """The `.result()` that follows a call at once."""
    attribute = parents_in(tree).get(call)
    outer = parents_in(tree).get(attribute) if attribute else None
    is_it = isinstance(attribute, ast.Attribute) and attribute.attr == method
    return outer if is_it and isinstance(outer, ast.Call) and not outer.args else None


def _has_initializer(made: ast.Call) -> bool:
    return len(made.args) > 1 or any(each.arg in {None, "initializer"} for each in made.keywords)


def _remove_pool(draft: Draft, tree: ast.Module, made: ast.Call, call: ast.Call) -> None:
    """Take the pool out where only this call and its own end use it; else it stays, idle."""
    holder = statement_of(tree, made)
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    if not isinstance(owner, ast.Name) or holder is None:
        return
    uses = _other_uses(scope_of(tree, made), owner)
    if isinstance(holder, ast.With):
        is_alone = len(holder.items) == 1 and holder.items[0].context_expr is made
        if is_alone and uses == [holder.items[0].optional_vars] and _can_move(draft.file, holder):
            draft.remove_lines(holder.lineno, holder.body[0].lineno - 1)
            shift(draft, holder.body, holder.col_offset - holder.body[0].col_offset)
        return
    ends = [_end_of_pool(tree, each) for each in uses if isinstance(each.ctx, ast.Load)]
    is_plain = isinstance(holder, ast.Assign) and holder.value is made
    if is_plain and None not in ends and len(uses) == len(ends) + 1:
        for statement in [holder, *filter(None, ends)]:
            if not _can_be_removed(tree, statement):
                return
        for statement in [holder, *filter(None, ends)]:
            draft.remove_lines(statement.lineno, statement.end_lineno or statement.lineno)


def _end_of_pool(tree: ast.Module, name: ast.Name) -> ast.Expr | None:
    """The statement `pool.close()` or the like that a name stands in."""
    attribute, call, statement, *_ = way_up(tree, name)
    is_end = isinstance(attribute, ast.Attribute) and attribute.attr in _ENDS
    is_all = isinstance(statement, ast.Expr) and statement.value is call
    return statement if is_end and is_all and isinstance(statement, ast.Expr) else None


def _can_be_removed(tree: ast.Module, statement: ast.stmt) -> bool:
    """True if it has its lines for itself, and its block keeps another statement."""
    block = _block_of(tree, statement)
    own = range(statement.lineno, (statement.end_lineno or 0) + 1)
    return len(block) > 1 and not any(
        each is not statement and (each.lineno in own or each.end_lineno in own) for each in block
    )


def _block_of(tree: ast.Module, statement: ast.stmt) -> list[ast.stmt]:
    parent = parents_in(tree)[statement]
    blocks = (getattr(parent, name, []) for name in ("body", "orelse", "finalbody"))
    return next(block for block in blocks if isinstance(block, list) and statement in block)


# -- a list of futures


def use_loop_for_futures(pool: Place | None, call: Place | None, api: str) -> Change | None:
    """`tasks = [executor.submit(f, x) for x in xs]`, then results: in a plain loop."""
    found, made = locate(call, api), locate(pool, *_POOLS)
    listed = _find_futures(found.tree, found.node) if found else None
    if found is None or listed is None or made is None or made.file != found.file:
        return None
    file, tree, node = found
    plain = _call_of_task(file, node, api)
    reads = _reads_of(tree, listed, "result" if api == "submit" else "get")
    if plain is None or reads is None or _has_initializer(made.node):
        return None
    draft = Draft(file)
    draft.replace(node, plain)
    for waited, name in reads:
        draft.replace(waited, name)
    _remove_pool(draft, tree, made.node, node)
    return draft.finish()


def use_map_for_futures(call: Place | None, api: str, chunk: int) -> Change | None:
    """`tasks = [executor.submit(f, x) for x in xs]`, then results: with `map` in chunks."""
    found = locate(call, api)
    listed = _find_futures(found.tree, found.node) if found else None
    if found is None or listed is None:
        return None
    file, tree, node = found
    reads = _reads_of(tree, listed, "result" if api == "submit" else "get")
    comprehension = parents_in(tree)[node]
    source = _only_source(comprehension, node, api)
    if reads is None or source is None or not isinstance(node.func, ast.Attribute):
        return None
    draft = Draft(file)
    owner, function = text_of(file, node.func.value), text_of(file, node.args[0])
    inputs = text_of(file, source)
    draft.replace(comprehension, f"list({owner}.map({function}, {inputs}, chunksize={chunk}))")
    for waited, name in reads:
        draft.replace(waited, name)
    return draft.finish()


def _only_source(listed: ast.AST, call: ast.Call, api: str) -> ast.expr | None:
    """The input of a comprehension, if each element of it is all that a task gets."""
    if not isinstance(listed, ast.ListComp) or len(listed.generators) != 1 or call.keywords:
        return None
    generator, given = listed.generators[0], list(call.args[1:])
    if api == "apply_async" and len(given) == 1 and isinstance(given[0], ast.Tuple):
        given = [*given[0].elts]
    is_it = len(given) == 1 and ast.unparse(given[0]) == ast.unparse(generator.target)
    is_plain = isinstance(generator.target, ast.Name) and not generator.ifs
    return generator.iter if is_it and is_plain and isinstance(call.args[0], ast.Name) else None


def _find_futures(tree: ast.Module, call: ast.Call) -> ast.Name | None:
    """The name of a list comprehension whose elements are such a call."""
    listed = parents_in(tree).get(call)
    statement = parents_in(tree).get(listed) if listed else None
    if not isinstance(listed, ast.ListComp) or listed.elt is not call:
        return None
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return None
    name = statement.targets[0]
    return name if isinstance(name, ast.Name) else None


def _call_of_task(file: str, call: ast.Call, api: str) -> str | None:
    """The call that a task is, as the parent would make it."""
    if not call.args or not isinstance(call.args[0], ast.Name | ast.Attribute):
        return None
    function, given = text_of(file, call.args[0]), [*call.args[1:], *call.keywords]
    if api == "apply_async":
        _, *after = call.args
        if call.keywords or len(after) != 1 or not isinstance(after[0], ast.Tuple | ast.List):
            return None
        given = [*after[0].elts]
    return f"{function}({', '.join(text_of(file, each) for each in given)})"


def _reads_of(tree: ast.Module, listed: ast.Name, method: str) -> list[tuple[ast.AST, str]] | None:
    """Reads of results, and as_completed() around the list; None if it is used otherwise."""
    found: list[tuple[ast.AST, str]] = []
    for use in _other_uses(scope_of(tree, listed), listed):
        source: ast.AST = use
        outer = parents_in(tree)[use]
        if isinstance(outer, ast.Call) and called_name(outer) == "as_completed":
            if len(outer.args) != 1 or outer.keywords:
                return None
            source, outer = outer, parents_in(tree)[outer]
            found.append((source, listed.id))
        is_loop = isinstance(outer, ast.For | ast.comprehension) and outer.iter is source
        target = outer.target if isinstance(outer, ast.For | ast.comprehension) else None
        if not is_loop or not isinstance(target, ast.Name):
            return None
        inside = outer if isinstance(outer, ast.For) else parents_in(tree)[outer]
        for each in _other_uses(inside, target):
            waited = _wait_on(tree, each, method)
            if waited is None:
                return None
            found.append((waited, target.id))
    return found


def _other_uses(scope: ast.AST, name: ast.Name) -> list[ast.Name]:
    return [each for each in uses_of(scope, name.id) if each is not name]


def _wait_on(tree: ast.Module, name: ast.Name, method: str) -> ast.AST | None:
    """The call `name.result()` that a name stands in."""
    attribute, call, *_ = way_up(tree, name)
    is_it = isinstance(attribute, ast.Attribute) and attribute.attr == method
    return call if is_it and isinstance(call, ast.Call) and not call.args else None


# -- one pool for all rounds of a loop


def keep_pool(pool: Place | None) -> Change | None:
    """Make a pool before the loop that made it in each round."""
    found = locate(pool, *_POOLS)
    if found is None:
        return None
    file, tree, made = found
    held = statement_of(tree, made)
    loop = parents_in(tree).get(held) if held else None
    if not isinstance(held, ast.With) or not isinstance(loop, ast.For | ast.While):
        return None
    step = held.body[0].col_offset - held.col_offset
    if held not in loop.body or step <= 0 or not _can_move(file, held):
        return None
    return _move_out(file, loop, held, step) if _is_the_same(tree, held, made, loop) else None


def _is_the_same(
    tree: ast.Module, held: ast.With, made: ast.Call, loop: ast.For | ast.While
) -> bool:
    """True if a pool could serve the next round as well as this one."""
    name = held.items[0].optional_vars
    is_alone = len(held.items) == 1 and held.items[0].context_expr is made
    if not is_alone or not isinstance(name, ast.Name) or loop.orelse:
        return False
    if names_in(made) & names_bound_in(loop):
        return False
    is_ended = any(_ends_pool(each, name.id) for each in ast.walk(loop))
    # Workers of each round saw the newest globals; those of a pool that is kept would not.
    return not is_ended and not _changes_globals(tree, loop, but=name.id)


def _changes_globals(tree: ast.Module, loop: ast.For | ast.While, but: str) -> bool:
    """True if a loop changes something that functions of the module could read."""
    scope, bound = scope_of(tree, loop), names_bound_in(loop) - {but}
    if isinstance(scope, ast.Module):
        functions = (each for each in tree.body if isinstance(each, _FUNCTIONS))
        return bool((bound | written_names(loop)) & names_in(*functions))
    declared = names_declared_in(scope)
    own = names_bound_in(*(each for each in tree.body if not isinstance(each, _FUNCTIONS)))
    return bool(bound & declared or written_names(loop) & (own - names_bound_in(scope)))


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _move_out(file: str, loop: ast.For | ast.While, held: ast.With, step: int) -> Change | None:
    lines = read_lines(file) or ()
    draft = Draft(file)
    head = [line.strip() for line in lines[held.lineno - 1 : held.body[0].lineno - 1]]
    draft.insert_line(loop.lineno, f"{' ' * loop.col_offset}{' '.join(head)}")
    draft.remove_lines(held.lineno, held.body[0].lineno - 1)
    inside = lines_inside_strings(file)
    for number in range(loop.lineno, (loop.end_lineno or 0) + 1):
        is_held = held.lineno <= number <= (held.end_lineno or 0)
        if not is_held and number not in inside and lines[number - 1].strip():
            draft.insert(offset_of_line(file, number), " " * step)
    return draft.finish()


def _ends_pool(node: ast.AST, name: str) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr in _ENDS
        and isinstance(node.value, ast.Name)
        and node.value.id == name
    )


def _can_move(file: str, held: ast.With) -> bool:
    """True if the head of a `with` has its lines for itself, and the body is indented by blanks."""
    lines, first = read_lines(file) or (), held.body[0]
    between = lines[held.lineno - 1 : first.lineno - 1]
    indent = lines[first.lineno - 1][: first.col_offset]
    return bool(between) and not indent.strip(" ") and not any("#" in line for line in between)


def shift(draft: Draft, statements: Iterable[ast.stmt], by: int) -> None:
    """Move statements to the left, comments between them too; strings over lines stay."""
    known = list(statements)
    inside, lines = lines_inside_strings(draft.file), read_lines(draft.file) or ()
    last = known[-1].end_lineno or 0
    while last < len(lines) and _is_comment_in(lines[last], known[0].col_offset):
        last += 1
    for number in range(known[0].lineno, last + 1):
        at = offset_of_line(draft.file, number)
        if number not in inside and not lines[number - 1][:-by].strip(" "):
            blanks = min(-by, len(lines[number - 1]))
            draft.pieces.append((at, at + blanks, ""))


def _is_comment_in(line: str, indent: int) -> bool:
    return line.startswith(f"{' ' * indent}#")


# -- all tasks handed out before the first result is waited for


def hand_out_first(call: Place | None, api: str) -> Change | None:
    """Hand all tasks of a loop out, then go through the loop with their results."""
    found = locate(call, api)
    if found is None:
        return None
    file, tree, node = found
    wait = _find_wait(file, tree, node, api)
    loop = _what_repeats(tree, node)
    if wait is not None and isinstance(loop, ast.AsyncFunctionDef):
        wait = _wait_of_caller(file, tree, loop)
        loop = _what_repeats(tree, wait.node) if wait else None
    if wait is None or {_TASK, f"{_TASK}s"} & names_in(tree):
        return None
    if isinstance(loop, ast.For):
        return _split_for(file, tree, loop, wait)
    if isinstance(loop, _COMPREHENSIONS) and len(loop.generators) == 1:
        return _split_comprehension(file, loop, wait)
    return None


def _what_repeats(tree: ast.Module, node: ast.AST) -> ast.AST | None:
    """The nearest loop or comprehension, or the function where there is none in it."""
    return next((each for each in way_up(tree, node) if isinstance(each, _RUNNING)), None)


@dataclass(frozen=True)
class _Wait:
    """Wait for a task right where it is handed out: `node`, with the call that hands it out.

    `submitted` only hands out, `ending` only waits.
    """

    node: ast.AST
    call: ast.Call
    submitted: str
    ending: str


_RUNNING = (*_LOOPS, *_COMPREHENSIONS, ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)

_TASK = "task"


def _find_wait(file: str, tree: ast.Module, call: ast.Call, api: str) -> _Wait | None:
    text = text_of(file, call)
    if api == "apply":
        function = text_of(file, call.func)
        return _Wait(call, call, f"{function}_async{text[len(function) :]}", f"{_TASK}.get()")
    if api == "run_in_executor":
        parent = parents_in(tree).get(call)
        is_awaited = isinstance(parent, ast.Await)
        return _Wait(parent, call, text, f"await {_TASK}") if parent and is_awaited else None
    method = "get" if api == "apply_async" else "result"
    outer = _result_call(tree, call, method)
    return _Wait(outer, call, text, f"{_TASK}.{method}()") if outer else None


def _wait_of_caller(file: str, tree: ast.Module, function: ast.AsyncFunctionDef) -> _Wait | None:
    """The only place that awaits a coroutine, whose loop is then the one to look at."""
    uses = uses_of(tree, function.name)
    if len(uses) != 1 or "asyncio" not in imported_names(tree):
        return None
    call, awaited, *_ = way_up(tree, uses[0])
    if not isinstance(call, ast.Call) or not isinstance(awaited, ast.Await):
        return None
    return _Wait(awaited, call, f"asyncio.ensure_future({text_of(file, call)})", f"await {_TASK}")


def _split_for(file: str, tree: ast.Module, loop: ast.For, wait: _Wait) -> Change | None:
    """`for x in xs: f(wait(x))` as `tasks = [(x, give(x)) for x in xs]` and a loop over these."""
    holder = statement_of(tree, wait.node)
    if holder not in loop.body or _leaves_early(loop) or loop.orelse:
        return None
    needed, own = names_in(wait.call), names_in(loop.target)
    inside = set(ast.walk(wait.node))
    beside = {
        each.id
        for statement in loop.body
        for each in ast.walk(statement)
        if isinstance(each, ast.Name) and each not in inside
    }
    changed = names_bound_in(*loop.body) | written_names(*loop.body) | (beside - own)
    if needed & changed or own & names_in(*loop.body[: loop.body.index(holder)]):
        return None
    value, target = _as_value(file, loop.target), text_of(file, loop.target)
    listed = f"[({value}, {wait.submitted}) for {target} in {text_of(file, loop.iter)}]"
    draft = Draft(file)
    draft.insert_line(loop.lineno, f"{' ' * loop.col_offset}{_TASK}s = {listed}")
    draft.replace(loop.target, f"{value}, {_TASK}")
    draft.replace(loop.iter, f"{_TASK}s")
    draft.replace(wait.node, wait.ending)
    return draft.finish()


def _as_value(file: str, target: ast.expr) -> str:
    text = text_of(file, target)
    return f"({text})" if isinstance(target, ast.Tuple) and not text.startswith("(") else text


def _leaves_early(loop: ast.For) -> bool:
    leaving = (ast.Break, ast.Return, ast.Yield, ast.YieldFrom)
    return any(isinstance(each, leaving) for each in ast.walk(loop))


def _split_comprehension(
    file: str,
    loop: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp,
    wait: _Wait,
) -> Change | None:
    generator = loop.generators[0]
    if generator.is_async or generator.ifs:
        return None
    target, source = text_of(file, generator.target), text_of(file, generator.iter)
    value = _as_value(file, generator.target)
    draft = Draft(file)
    draft.replace(wait.node, wait.ending)
    draft.replace(generator.target, f"{value}, {_TASK}")
    draft.replace(generator.iter, f"[({value}, {wait.submitted}) for {target} in {source}]")
    return draft.finish()


# -- an input that is read as it is needed


def stream(call: Place | None, api: str, chunk: int) -> Change | None:
    """`map` of a pool as `imap`, which makes no list of its input first."""
    found = locate(call, api) if api == "map" else None
    if found is None or not isinstance(found.node.func, ast.Attribute):
        return None
    file, tree, node = found
    if len(node.args[1:]) != 1 or node.keywords:
        return None
    if any(name.endswith("Executor") for name in makers_of(file, node)):
        return None  # it has no imap, and does not wait for the results
    arguments = ", ".join(text_of(file, each) for each in node.args)
    text = f"{text_of(file, found.node.func.value)}.imap({arguments}, chunksize={chunk})"
    draft = Draft(file)
    draft.replace(node, text if _is_only_read_once(tree, node) else f"list({text})")
    return draft.finish()
