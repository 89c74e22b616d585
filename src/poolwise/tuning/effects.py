"""Objects that a function seems to change when it runs, by its text: a warning, not a verdict."""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType, ModuleType
from typing import Any

from poolwise.doors.functions import plain_function

_OF_SYSTEM = {"os", "shutil", "sys"}
"""Modules whose functions change something by what their names say (`os.remove`)."""


def list_changed(function: Callable[..., Any]) -> list[str]:
    """Names of arguments, outer objects and the system that it writes to; none if unreadable."""
    from poolwise.doctor.advice.effects import changed_names
    from poolwise.doctor.advice.source import find_function
    from poolwise.doctor.evidence.features import Place

    plain = plain_function(function)
    code = getattr(plain, "__code__", None)
    if not isinstance(code, CodeType):
        return []
    found = find_function(Place(code.co_filename, code.co_firstlineno))
    if found is None:
        return []
    space = getattr(plain, "__globals__", {})
    return sorted(name for name in changed_names(found) if _is_changed(space.get(name)))


def _is_changed(value: Any) -> bool:
    """`np.sort(x)` reads as if it changed `np`, and does not."""
    return not isinstance(value, ModuleType) or value.__name__ in _OF_SYSTEM
