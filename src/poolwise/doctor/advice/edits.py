"""Edits of the program at the place of the call, where its text allows to derive them.

Each function answers with a `Change`, or None where the call is not found or not plain enough.
Nothing is written to anybody's file. `rewrites` has those that move whole statements, `patch` puts
edits together and checks that what comes out compiles.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING

from poolwise.doctor.advice.effects import (
    changed_names,
    changes_what_it_gets,
    may_change_what_it_gave,
    written_names,
)
from poolwise.doctor.advice.source import (
    Function,
    called_name,
    find_call,
    find_function,
    imported_name,
    is_imported,
    locate,
    names_bound_in,
    names_in,
    offset_of_line,
    offsets_of,
    origin,
    parse,
    read_lines,
    scope_of,
    statement_of,
    text_of,
    uses_of,
    value_of,
    way_up,
)
from poolwise.doctor.findings import Change

if TYPE_CHECKING:
    from poolwise.doctor.evidence.features import Place

_POSITIONS = {
    "chunksize": 2, "processes": 0, "max_workers": 0, "initializer": 1, "initargs": 2,
    "maxtasksperchild": 3, "n_jobs": 0,
}  # fmt: skip
"""Positions at which the standard pools take these arguments."""

_EXECUTORS_POSITIONS = {"max_workers": 0, "initializer": 2, "initargs": 3, "max_tasks_per_child": 4}

_THREADS_KNOW = {
    "ThreadPool": ("processes", "initializer", "initargs"),
    "ThreadPoolExecutor": ("max_workers", "initializer", "initargs"),
}
_PROCESSES_KNOW = {
    "poolwise.Pool": ("processes", "initializer", "initargs"),
    "poolwise.ProcessPoolExecutor": ("max_workers", "initializer", "initargs"),
}

_OF_THE_STANDARD = ("multiprocessing", "concurrent")
"""Packages whose pools can be exchanged for ours; others pickle or start workers in their way."""


@dataclass
class Draft:
    """Pieces of one file, and what stands there instead; becomes a `Change`."""

    file: str
    pieces: list[tuple[int, int, str]] = field(default_factory=list)

    def replace(self, node: ast.AST, text: str) -> None:
        """Put this text where the node stands."""
        self.pieces.append((*offsets_of(self.file, node), text))

    def insert(self, at: int, text: str) -> None:
        """Put this text before the character at an offset."""
        self.pieces.append((at, at, text))

    def insert_line(self, number: int, text: str) -> None:
        """Put a line (or several) before the one of that number."""
        self.insert(offset_of_line(self.file, number), f"{text}\n")

    def remove_lines(self, first: int, last: int) -> None:
        """Take out these lines, both included."""
        start, stop = offset_of_line(self.file, first), offset_of_line(self.file, last + 1)
        self.pieces.append((start, stop, ""))

    def finish(self, imports: Sequence[str] = ()) -> Change | None:
        """The edit as whole lines; None if it changes nothing, or pieces overlap."""
        lines, tree = read_lines(self.file), parse(self.file)
        if lines is None or tree is None:
            return None
        text = replace_pieces("\n".join(lines), self.pieces)
        if text is None:
            return None
        missing = [line for line in imports if not is_imported(tree, line)]
        return _in_lines(self.file, list(lines), text.split("\n"), missing)


def replace_pieces(text: str, pieces: Iterable[tuple[int, int, str]]) -> str | None:
    """A text with these pieces of it replaced; None if they overlap."""
    done, at = [], 0
    for start, stop, new in sorted(pieces, key=lambda piece: piece[:2]):
        if start < at:
            return None
        done += [text[at:start], new]
        at = stop
    return "".join([*done, text[at:]])


def _in_lines(file: str, old: list[str], new: list[str], imports: list[str]) -> Change | None:
    """The lines that differ, from the first to the last."""
    if old == new:
        return None
    first, most = 0, min(len(old), len(new))
    while first < most and old[first] == new[first]:
        first += 1
    last = 0
    while last < most - first and old[-1 - last] == new[-1 - last]:
        last += 1
    before, after = old[first : len(old) - last], new[first : len(new) - last]
    return Change(file, first + 1, before, after, imports)


# -- one call


def set_argument(place: Place | None, call: str, keyword: str, value: str) -> Change | None:
    """Give a call this argument: in place of the one it has, else as a keyword at its end."""
    found = locate(place, call)
    if found is None:
        return None
    draft = Draft(found.file)
    return draft.finish() if put_argument(draft, found.node, keyword, value) else None


def swap_call(
    place: Place | None, call: str, new: str, imports: Sequence[str], **arguments: str
) -> Change | None:
    """Call `new` in place of `call`, with these arguments set, and import what that needs.

    A context that the old one was made of goes along. Arguments that threads do not know are
    left out.
    """
    found = locate(place, call)
    context = context_of(*found) if found else None
    if found is None or context is None:
        return None
    draft, node = Draft(found.file), found.node
    known = _THREADS_KNOW.get(new)
    if known:
        return _call_anew(draft, node, new, known, arguments).finish(imports)
    draft.replace(node.func, new)
    if context and new == "poolwise.Pool":
        arguments = {**arguments, "context": context}
    if not all(put_argument(draft, node, name, text) for name, text in arguments.items()):
        return None
    return draft.finish(imports)


def make_processes(place: Place | None, call: str, new: str) -> Change | None:
    """Our pool of processes in the place of one of threads."""
    found = locate(place, call)
    if found is None:
        return None
    draft = _call_anew(Draft(found.file), found.node, new, _PROCESSES_KNOW[new], {})
    return draft.finish(["import poolwise"])


def context_of(file: str, tree: ast.Module, call: ast.Call) -> str | None:
    """The context that a standard pool is made of; empty if none, None if it is no standard one."""
    known = origin(tree, call.func)
    if known:
        return "" if known.startswith(_OF_THE_STANDARD) else None
    if isinstance(call.func, ast.Attribute):
        return text_of(file, call.func.value)
    return "" if isinstance(call.func, ast.Name) else None


def _call_anew(
    draft: Draft, node: ast.Call, new: str, known: Sequence[str], arguments: dict[str, str]
) -> Draft:
    """The call with those of its arguments that the new one has, too; nothing if it is unclear."""
    is_executor = _name_of(draft.file, node).endswith("Executor")
    positions = _EXECUTORS_POSITIONS if is_executor else _POSITIONS
    given = {each.arg: each.value for each in node.keywords}
    given.update({
        name: node.args[at]
        for name, at in positions.items()
        if name in known and at < len(node.args)
    })  # fmt: skip
    if None in given or any(isinstance(each, ast.Starred) for each in node.args):
        return draft
    texts = {name: text_of(draft.file, given[name]) for name in known if name in given}
    texts.update(arguments)
    first = known[0]
    parts = [
        text if name == first and node.args[:1] else f"{name}={text}"
        for name, text in texts.items()
    ]
    draft.replace(node, f"{new}({', '.join(parts)})")
    return draft


def put_argument(draft: Draft, call: ast.Call, keyword: str, value: str) -> bool:
    """Give a call an argument in a draft; False where that is not clear."""
    if any(isinstance(each, ast.Starred) for each in call.args):
        return False
    given = next((each.value for each in call.keywords if each.arg == keyword), None)
    position = _position_of(draft.file, call, keyword)
    if position is None:
        return False
    if given is None and position < len(call.args):
        given = call.args[position]
    if given is not None:
        draft.replace(given, value)
        return True
    end = at_the_end(draft.file, call, f"{keyword}={value}")
    if end is not None:
        draft.insert(*end)
    return end is not None


def _position_of(file: str, call: ast.Call, keyword: str) -> int | None:
    """Position of an argument in a call; behind its last one where only by keyword.

    The third argument of `map` is the chunk size of a pool and an input of an executor: None where
    it is not known which of the two it is.
    """
    at, count = _POSITIONS.get(keyword, len(call.args)), len(call.args)
    if _name_of(file, call).endswith("Executor"):
        return _EXECUTORS_POSITIONS.get(keyword, count)
    if keyword != "chunksize" or count <= at:
        return at
    makers = makers_of(file, call)
    if makers and all(name.endswith("Executor") for name in makers):
        return count
    is_number = isinstance(call.args[at], ast.Constant)
    return at if is_number or any(name.endswith("Pool") for name in makers) else None


def makers_of(file: str, call: ast.Call) -> set[str]:
    """Names of the calls that made the object of a method: `Pool` for `with Pool() as p`."""
    tree = parse(file)
    if tree is None or not isinstance(call.func, ast.Attribute):
        return set()
    owner = ast.unparse(call.func.value)
    return {
        imported_name(tree, value)
        for value, target in _bindings(tree)
        if ast.unparse(target) == owner
    }


def _name_of(file: str, call: ast.Call) -> str:
    tree = parse(file)
    return imported_name(tree, call) if tree else ""


def _bindings(tree: ast.Module) -> Iterator[tuple[ast.Call, ast.expr]]:
    """Calls, and what their value is given to by `=` or `with`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.withitem) and node.optional_vars is not None:
            pairs = [(node.context_expr, node.optional_vars)]
        elif isinstance(node, ast.Assign):
            pairs = [(node.value, target) for target in node.targets]
        else:
            continue
        yield from ((value, target) for value, target in pairs if isinstance(value, ast.Call))


def at_the_end(file: str, call: ast.Call, text: str) -> tuple[int, str] | None:
    """Place of a further argument: behind the last one, with the parentheses around that.

    None for a generator that is the only argument: it has the parentheses of the call.
    """
    _, stop = offsets_of(file, call)
    parts = [*call.args, *(each.value for each in call.keywords)]
    if not parts:
        return stop - 1, text
    whole = "\n".join(read_lines(file) or ())
    at = max(offsets_of(file, part)[1] for part in parts)
    if at >= stop:
        return None
    # Between here and the end of the call stand a comma, comments, blanks, and such parentheses.
    depth = whole[at : stop - 1].partition("#")[0].rfind(")") + 1
    return at + depth, f", {text}"


# -- an argument that is the same for all


def share_argument(
    place: Place | None, call: str, path: Sequence[int | str], parameter: str, mode: str = ""
) -> Change | None:
    """Put `poolwise.share(...)` around a part of a call's arguments.

    `path` leads to it: (0, 1) is the second argument of the call that stands as the first argument;
    a string is a keyword; (1, "*", 0) the first element of each tuple in the second argument, a
    list. Where the call or the list is made in a loop, it is shared before that.
    """
    node: ast.expr | None = find_call(place, call)
    tree = parse(place.file) if place else None
    for step in path:
        node = _step_into(tree, node, step)
    if node is None or tree is None or place is None:
        return None
    wrapped = f"poolwise.share({text_of(place.file, node)}{mode})"
    loop = _outermost_loop(tree, node)
    draft = Draft(place.file)
    if loop is None:
        draft.replace(node, wrapped)
    elif names_in(node) & (names_bound_in(*_bound_by(loop)) | written_names(loop)):
        return None  # it is another one in each round
    else:
        name = _free_name(tree, f"shared_{parameter or 'data'}")
        draft.insert_line(loop.lineno, f"{' ' * loop.col_offset}{name} = {wrapped}")
        draft.replace(node, name)
    return draft.finish(["import poolwise"])


def _step_into(tree: ast.Module | None, node: ast.expr | None, step: int | str) -> ast.expr | None:
    if tree is None or node is None:
        return None
    if step == "*":
        return _element_of(tree, node)
    if isinstance(node, ast.Tuple | ast.List) and isinstance(step, int):
        return node.elts[step] if step < len(node.elts) else None
    if not isinstance(node, ast.Call):
        return None
    if isinstance(step, str):
        return next((each.value for each in node.keywords if each.arg == step), None)
    return node.args[step] if step < len(node.args) else None


def _element_of(tree: ast.Module, node: ast.expr) -> ast.expr | None:
    """The expression that makes each element of a list."""
    if isinstance(node, ast.Name):
        value = value_of(scope_of(tree, node), node.id)
        return _element_of(tree, value) if value else None
    if isinstance(node, ast.ListComp | ast.GeneratorExp):
        return node.elt
    if isinstance(node, ast.Call) and called_name(node) == "repeat":
        return node.args[0] if node.args else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        same = node.left
        return same.elts[0] if isinstance(same, ast.List) and len(same.elts) == 1 else None
    return None


def _outermost_loop(tree: ast.Module, node: ast.AST) -> ast.stmt | None:
    """The statement to stand before so that something is done once in its function: else None."""
    found: ast.stmt | None = None
    for each in way_up(tree, node):
        if isinstance(each, Function):
            break
        if isinstance(each, ast.For | ast.AsyncFor | ast.While):
            found = each
        elif isinstance(each, ast.comprehension | ast.ListComp | ast.GeneratorExp | ast.DictComp):
            found = statement_of(tree, each)
    return found


def _bound_by(loop: ast.stmt) -> list[ast.AST]:
    """The nodes that give names another value in each round."""
    if isinstance(loop, ast.For | ast.AsyncFor | ast.While):
        return [loop]
    return [each.target for each in ast.walk(loop) if isinstance(each, ast.comprehension)]


def _free_name(tree: ast.Module, name: str) -> str:
    return f"{name}_" if name in names_in(tree) else name


def open_in_function(function: Place | None, parameter: str) -> Change | None:
    """Let a function ask a handle for its object: `table = table.get()`.

    None where the function changes that object, or is called by anybody but the pool.
    """
    node, tree = find_function(function), parse(function.file) if function else None
    if node is None or tree is None or isinstance(node, ast.Lambda) or function is None:
        return None
    if len(uses_of(tree, node.name)) != 1 or parameter in changed_names(node):
        return None
    return insert_first(function, f"{parameter} = {parameter}.get()", parameter)


def may_reuse_items(place: Place | None, call: str, kind: str | None) -> bool:
    """True if a call's input may change its items later, so that chunks would hold wrong ones."""
    found = locate(place, call)
    if found is None or not found.node.args[1:]:
        return True
    return may_change_what_it_gave(found.file, found.node.args[1], kind)


def mode_for(function: Place | None, parameter: str) -> str:
    """The mode in which an array is shared with a function: one that writes to it has a copy."""
    node = find_function(function)
    writes = node is not None and parameter in changed_names(node)
    return ', "copy-on-write"' if writes else ""


def limit_threads(pool: Place | None, call: str) -> Change | None:
    """Let each worker limit a native library's threads to one, as it starts.

    With threadpoolctl where it is installed, else by the library's variables, before it is loaded.
    """
    found = locate(pool, call)
    if found is None:
        return None
    file, tree, node = found
    has_own = any(each.arg in {None, "initializer", "initargs"} for each in node.keywords)
    if find_spec("threadpoolctl") and not has_own and not node.args[1:]:
        draft = Draft(file)
        limit = "threadpoolctl.threadpool_limits"
        end = at_the_end(file, node, f"initializer={limit}, initargs=(1,)")
        if end is not None:
            draft.insert(*end)
        return draft.finish(["import threadpoolctl"])
    first = next(
        (each for each in tree.body if isinstance(each, ast.Import | ast.ImportFrom)), None
    )
    if first is None or getattr(first, "module", "") == "__future__":
        return None
    names = '("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")'
    set_them = f'os.environ.update(dict.fromkeys({names}, "1"))'
    draft = Draft(file)
    draft.insert_line(first.lineno, f"import os\n\n{set_them}")
    return draft.finish()


def leaves_arguments_alone(function: Place | None) -> bool:
    """True if threads can call it as processes did: what it gets, it does not change."""
    return find_function(function) is None or not changes_what_it_gets(function)


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
