"""Edits that hand what `partial` binds to every task to each worker once, as it starts.

By an initializer, which keeps it in a global, or as our pool's state. The function loses that
parameter, and takes the object from there. As in `edits`: no edit wherever the text is not plain.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from poolwise.doctor.advice.edits import Draft, at_the_end, insert_first, swap_call
from poolwise.doctor.advice.effects import changed_names, written_names
from poolwise.doctor.advice.source import (
    called_name,
    find_function,
    locate,
    names_bound_in,
    names_in,
    offsets_of,
    scope_of,
    text_of,
    uses_of,
)

if TYPE_CHECKING:
    from poolwise.doctor.evidence.features import Place, Pool, Site
    from poolwise.doctor.findings import Change


def initialise(pool: Pool, maker: str, site: Site, parameter: str) -> list[Change]:
    """Give it to each worker by `initializer`, which keeps it in a global of the function's."""
    found = _find(pool, maker, site, parameter)
    kept, keep = f"kept_{parameter}", f"keep_{parameter}"
    if found is None or len(found.made.args) > 1 or {kept, keep} & names_in(found.tree):
        return []
    known = {each.arg for each in found.made.keywords}
    end = at_the_end(found.file, found.made, f"initializer={keep}, initargs=({found.bound.id},)")
    if end is None or known & {None, "initializer", "initargs"}:
        return []
    made, keeper = Draft(found.file), Draft(found.file)
    made.insert(*end)
    body = f"def {keep}({parameter}):\n    global {kept}\n    {kept} = {parameter}\n\n"
    keeper.insert_line(found.function.lineno, body)
    return _all(keeper.finish(), *found.take_from(kept), made.finish())


def keep_as_state(pool: Pool, maker: str, new: str, site: Site, parameter: str) -> list[Change]:
    """Give it to our pool as its state, where the function finds it by name."""
    found = _find(pool, maker, site, parameter)
    if found is None:
        return []
    state = f'{{"{parameter}": {found.bound.id}}}'
    made = swap_call(pool.place, maker, new, ["import poolwise"], state=state)
    return _all(*found.take_from(f'poolwise.state["{parameter}"]'), made)


def _all(*changes: Change | None) -> list[Change]:
    known = [each for each in changes if each is not None]
    return known if len(known) == len(changes) else []


@dataclass(frozen=True)
class _Bound:
    """A variable that `partial` binds to a parameter: in which pool's call, of which function."""

    place: Place
    tree: ast.Module
    made: ast.Call
    call: ast.Call
    function: ast.FunctionDef
    parameter: str
    bound: ast.Name

    @property
    def file(self) -> str:
        return self.place.file

    def is_plain(self) -> bool:
        """True if the pool alone calls the function, which leaves the object as it is."""
        uses = uses_of(self.tree, self.function.name)
        is_ours = self.function in self.tree.body and not self.function.decorator_list
        is_changed = self.parameter in changed_names(self.function)
        return is_ours and len(uses) == 1 and not is_changed and self._is_known_before()

    def _is_known_before(self) -> bool:
        """True if the variable has its value before the pool is made, and keeps it."""
        scope, name = scope_of(self.tree, self.made), self.bound.id
        if scope is not scope_of(self.tree, self.call) or name in written_names(scope):
            return False
        late = [each for each in uses_of(scope, name) if each.lineno >= self.made.lineno]
        return not names_bound_in(*late)

    def take_from(self, source: str) -> tuple[Change | None, Change | None, Change | None]:
        """The function without the parameter, which it takes from there; the call without it."""
        first = insert_first(self.place, f"{self.parameter} = {source}", self.parameter)
        return self._shorten(), first, self._unbind()

    def _shorten(self) -> Change | None:
        known, names = self.function.args.args, [each.arg for each in self.function.args.args]
        at = names.index(self.parameter)
        (start, stop), is_last = offsets_of(self.file, known[at]), at + 1 == len(known)
        if is_last:
            start = offsets_of(self.file, known[at - 1])[1]
        else:
            stop = offsets_of(self.file, known[at + 1])[0]
        return Draft(self.file, [(start, stop, "")]).finish()

    def _unbind(self) -> Change | None:
        partial = self.call.args[0]
        parts = [*partial.args, *partial.keywords]  # type: ignore[attr-defined]
        rest = [each for each in parts if getattr(each, "value", each) is not self.bound]
        texts = [text_of(self.file, each) for each in rest]
        maker = text_of(self.file, partial.func)  # type: ignore[attr-defined]
        draft = Draft(self.file)
        draft.replace(partial, f"{maker}({', '.join(texts)})" if texts[1:] else texts[0])
        return draft.finish()


def _find(pool: Pool, maker: str, site: Site, parameter: str) -> _Bound | None:
    place, function = site.function_place, find_function(site.function_place)
    made, call = locate(pool.place, maker), locate(site.place, site.api)
    if made is None or call is None or place is None or {made.file, call.file} != {place.file}:
        return None
    if not isinstance(function, ast.FunctionDef):
        return None
    bound = _bound_in(call.node, function, parameter)
    if bound is None:
        return None
    found = _Bound(place, made.tree, made.node, call.node, function, parameter, bound)
    return found if found.is_plain() else None


def _bound_in(call: ast.Call, function: ast.FunctionDef, parameter: str) -> ast.Name | None:
    """The variable that `partial` binds to a parameter, in the first argument of a call."""
    partial = call.args[0] if call.args else None
    if not isinstance(partial, ast.Call) or called_name(partial) != "partial":
        return None
    if any(isinstance(each, ast.Starred) for each in partial.args):
        return None
    arguments = function.args
    if (
        arguments.defaults
        or arguments.posonlyargs
        or parameter not in {a.arg for a in arguments.args}
    ):
        return None
    positions = zip((each.arg for each in arguments.args), partial.args[1:], strict=False)
    named = {**dict(positions), **{each.arg: each.value for each in partial.keywords if each.arg}}
    bound = named.get(parameter)
    return bound if isinstance(bound, ast.Name) and len(arguments.args) > 1 else None
