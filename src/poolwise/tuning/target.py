"""Function and items as they are named on a command line."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from poolwise.tuning.effort import EFFORT


def load_function(name: str) -> Callable[..., Any]:
    """The function that ``module:function`` names.

    :raises ValueError: there is none; the sentence says what is missing.
    """
    found = _load(name)
    if not callable(found):
        message = f"{name} is a {type(found).__name__}, which cannot be called"
        raise ValueError(message)  # noqa: TRY004 - said as all other wrong words are
    return found  # type: ignore[no-any-return]


def _load(name: str) -> Any:
    """The object behind ``module:name``, or ``path/file.py:name``."""
    module, _, path = name.rpartition(":")
    if not module or not path:
        near = ":".join(name.rsplit(".", 1)) if "." in name.strip(".:") and ":" not in name else ""
        hint = f"; perhaps {near}" if near else ""
        message = f"{name!r} names no function: write module:function, or file.py:function{hint}"
        raise ValueError(message)
    found: Any = _import(module)
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            message = f"there is no {path!r} in {module}{_suggest(found, part)}"
            raise ValueError(message) from None
    return found


def _suggest(owner: Any, name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, dir(owner), 1)
    return f"; there is {near[0]!r}" if near else ""


def _import(module: str) -> Any:
    """Import by name, from the current folder as well, or by the path of a file."""
    folder, name = os.curdir, module
    if module.endswith(".py"):
        if not os.path.isfile(module):
            message = f"there is no file {module}"
            raise ValueError(message)
        folder, file = os.path.split(os.path.abspath(module))
        name = file[: -len(".py")]
    folder = os.path.abspath(folder)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _broken(module, error) from error
        message = f"there is no module {module!r}, here or where Python looks for modules"
        raise ValueError(message) from None
    except Exception as error:
        raise _broken(module, error) from error


def _broken(module: str, error: Exception) -> ValueError:
    return ValueError(f"{module} cannot be imported ({type(error).__name__}: {error})")


def load_items(name: str) -> Iterable[Any]:
    """The iterable that ``module:name`` names; a function (a generator's, say) is called.

    :raises ValueError: there is none, or it is no iterable.
    """
    found = _load(name)
    if not isinstance(found, Iterable) and callable(found):
        try:
            found = found()
        except Exception as error:
            message = f"{name}() gives no items ({type(error).__name__}: {error})"
            raise ValueError(message) from error
    if not isinstance(found, Iterable):
        message = f"{name} is a {type(found).__name__}, which holds no items"
        raise ValueError(message)  # noqa: TRY004 - as above
    return found


def read_lines(path: str) -> list[Any]:
    """Items of a file of JSON lines; ``-`` is standard input. Empty lines are left out.

    :raises ValueError: the file cannot be read, or a line is no JSON; the sentence says which.
    """
    try:
        if path == "-":
            return list(_parse(sys.stdin, "standard input"))
        with open(path, encoding="utf-8") as file:
            return list(_parse(file, path))
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror})"
        raise ValueError(message) from error


def _parse(lines: Iterable[str], path: str) -> Iterator[Any]:
    numbered = ((at, line) for at, line in enumerate(lines, 1) if line.strip())
    for at, line in islice(numbered, EFFORT.most_items):
        try:
            yield json.loads(line)
        except ValueError as error:
            message = f"{path}, line {at}: {line.strip()[:40]!r} is no JSON ({error})"
            raise ValueError(message) from error


def list_files(pattern: str) -> list[str]:
    """Paths that match a pattern (``**`` goes into folders), in order."""
    from glob import glob

    return sorted(path for path in glob(pattern, recursive=True) if os.path.isfile(path))
