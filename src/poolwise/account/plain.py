"""Frozen dataclasses as dicts, lists, numbers and strings, and back: what goes into JSON files."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, TypeVar

Plain = TypeVar("Plain")


def to_plain(value: Any) -> dict[str, Any]:
    """A dataclass, and those inside of it, as dicts and lists."""
    plain: dict[str, Any] = dataclasses.asdict(value)
    return plain


def from_plain(cls: type[Plain], plain: dict[str, Any]) -> Plain:
    """The dataclass that :func:`to_plain` was given, also when it went through JSON meanwhile.

    Keys that the class does not know are ignored: a later version wrote them.

    :raises TypeError: a field without a default is missing.
    """
    hints = typing.get_type_hints(cls)
    names = [each.name for each in dataclasses.fields(cls) if each.name in plain]  # type: ignore[arg-type]
    return cls(**{name: _restore(hints[name], plain[name]) for name in names})


def _restore(hint: Any, value: Any) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if value is None:
        return None
    if origin in {types.UnionType, typing.Union}:
        return _restore(next(each for each in inner if each is not type(None)), value)
    if origin in {list, tuple}:
        return origin(_restore(inner[0], each) for each in value)
    if dataclasses.is_dataclass(hint):
        return from_plain(typing.cast("type[Any]", hint), value)
    return value
