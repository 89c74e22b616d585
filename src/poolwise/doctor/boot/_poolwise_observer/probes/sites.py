"""Lines of the program that give work: numbered once, then a dictionary look-up a call."""

import os
import sys
from itertools import count

from .. import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType
    from typing import Any

NOT_THE_PROGRAM = frozenset(
    {
        "_poolwise_observer",
        "asyncio",
        "concurrent",
        "joblib",
        "loky",
        "mpire",
        "multiprocess",
        "multiprocessing",
        "pathos",
        "pebble",
        "poolwise",
        "runpy",
        "threading",
        "tqdm",
    }
)
"""Packages between the line that wants something done and the pool that does it."""

POOL, INSTALLED, PROGRAM = range(3)
"""Owners of a frame's code: a pool; another library; the program."""

_LIBRARIES = (os.path.dirname(os.__file__) + os.sep, os.path.dirname(sys.executable) + os.sep)
_PACKAGES = tuple(f"{os.sep}{name}-packages{os.sep}" for name in ("site", "dist"))

_numbers: "dict[Any, int]" = {}
_owners: "dict[str, int]" = {}
_latest: "dict[int, int]" = {}
_next_number = count(1).__next__
_next_pool = count(1).__next__

PARAMETERS = 12


def new_pool() -> int:
    """A number for a pool that no other process of this run gives away (pids fit 22 bits)."""
    return os.getpid() << 20 | _next_pool()


def find(pool: int, api: str, function: "Any", input_type: "str | None" = None) -> int:
    """The number of the line that calls, with this function, for this pool.

    Where no line of the program is on the stack (a library hands out more when a result is there),
    it is the line that gave work to this pool before.
    """
    frame, outer_api = _find_frame()
    if frame is None and pool in _latest:
        return _latest[pool]
    function = inside_of(function)
    # By identity: to hash a code object takes longer than all the rest, and it stays alive.
    code = id(getattr(function, "__code__", type(function)))
    key = (pool, code, id(frame.f_code), frame.f_lasti) if frame is not None else (pool, code)
    number = _numbers.get(key)
    if number is None:
        number = _numbers[key] = _next_number()
        facts = describe_function(function)
        facts.update(site=number, api=outer_api or api, input_type=input_type)
        recorder.event("site", pool=pool, place=frame and _locate(frame), **facts)
    _latest[pool] = number
    return number


def place() -> "tuple[str, int, str] | None":
    """File, line and function of the program's code that is calling."""
    frame, _ = _find_frame()
    return frame and _locate(frame)


def place_of(error: BaseException) -> "tuple[str, int, str] | None":
    """File, line and function of the program's code in which an error came up."""
    found, trace = None, error.__traceback__
    while trace is not None:
        if owner_of(trace.tb_frame) == PROGRAM:
            code = trace.tb_frame.f_code
            found = code.co_filename, trace.tb_lineno, code.co_name
        trace = trace.tb_next
    return found


def place_and_api() -> "tuple[tuple[str, int, str] | None, str]":
    """The place, and the function of the pool's library that was called there."""
    frame, api = _find_frame()
    return frame and _locate(frame), api


def program_frame() -> "FrameType | None":
    """The nearest frame of the program."""
    return _find_frame()[0]


def _find_frame() -> "tuple[FrameType | None, str]":
    """The nearest frame of the program, and which function of the pool's library was called.

    A library that uses a pool stands between them: who wants something changed calls it, and does
    not edit it. Where all is installed (`-m package`), it is the frame that is nearest to the pool.
    """
    frame: FrameType | None = sys._getframe(2)
    # How far up the line of the program is looked for behind those of libraries.
    nearest, api, left = None, "", 100
    while frame is not None and left:
        owner = owner_of(frame)
        if owner == PROGRAM:
            return frame, api
        if nearest is None and owner == INSTALLED:
            nearest = frame
        if nearest is not None:
            left -= 1
        elif not frame.f_globals.get("__name__", "").startswith("_poolwise_observer"):
            api = frame.f_code.co_name
        frame = frame.f_back
    return nearest, api


def owner_of(frame: "FrameType") -> int:
    """Owner of a frame's code; a module has one owner."""
    module = frame.f_globals.get("__name__", "")
    owner = _owners.get(module)
    if owner is None:
        owner = _owners[module] = _find_owner(module, frame.f_code.co_filename)
    return owner


def _find_owner(module: str, file: str) -> int:
    package = module.partition(".")[0]
    if not package or package in NOT_THE_PROGRAM:  # a manager's proxies are made by `exec`
        return POOL
    if file.startswith(_LIBRARIES) or any(each in file for each in _PACKAGES):
        return INSTALLED
    return PROGRAM


def _locate(frame: "FrameType") -> "tuple[str, int, str]":
    return _name_of(frame.f_code.co_filename), frame.f_lineno, frame.f_code.co_name


def _name_of(file: str) -> str:
    """The file, or `cell 5` for the temporary one that a notebook names its cell's code by."""
    find_shell = getattr(sys.modules.get("IPython"), "get_ipython", None)
    compiler = getattr(find_shell(), "compile", None) if find_shell else None
    find_name = getattr(compiler, "format_code_name", None)
    known = find_name(file) if find_name else None
    cell = "".join(filter(str.isdecimal, known[1])) if known else ""  # ("Cell", "In[5]")
    return f"cell {cell}" if cell else file


def inside_of(function: "Any") -> "Any":
    """The function in a batch of calls, as joblib makes them, or in a context, as asyncio does."""
    if getattr(getattr(function, "func", None), "__qualname__", "") == "Context.run":
        return function.args[0] if function.args else function
    items = getattr(function, "items", None)
    return items[0][0] if isinstance(items, list) and items else function


def describe_function(function: "Any") -> "dict[str, Any]":
    """Name, place and parameter names of what the user wants called."""
    inner = unwrap(function)
    plain = getattr(inner, "__func__", inner)
    code = getattr(plain, "__code__", None)
    module = getattr(inner, "__module__", None) or "?"
    name = getattr(inner, "__qualname__", None) or type(inner).__name__
    return {
        "function": f"{module}.{name}",
        "function_place": code and (_name_of(code.co_filename), code.co_firstlineno, code.co_name),
        "parameters": code.co_varnames[: min(code.co_argcount, PARAMETERS)] if code else None,
    }


def unwrap(function: "Any") -> "Any":
    """The function inside of `functools.partial`, however deep."""
    partial = partial_type()
    while isinstance(function, partial):
        function = function.func
    return function


def _attributes(owner: "Any") -> "Iterator[tuple[str, Any]]":
    """The attributes of an object, if few: it can be heavy while the object changes."""
    held = getattr(owner, "__dict__", None)
    if type(held) is dict and len(held) <= PARAMETERS and not isinstance(owner, type):
        for name, value in held.items():
            yield f"self.{name}", value


def partial_type() -> "Any":
    """`functools.partial`, an empty tuple where the program has not loaded it."""
    module = sys.modules.get("functools")
    return module.partial if module else ()


def leaves(function: "Any", item: "Any") -> "Iterator[tuple[str, Any]]":
    """The parts of a message: what partial holds, the method's object, the item's elements."""
    partial = partial_type()
    while isinstance(function, partial):
        for index, value in enumerate(function.args):
            yield f"partial.args[{index}]", value
        for name, value in function.keywords.items():
            yield f"partial.{name}", value
        function = function.func
    owner = getattr(function, "__self__", None)
    if owner is None and not hasattr(function, "__code__") and hasattr(function, "__dict__"):
        owner = function  # an object that is called
    if owner is not None and not isinstance(owner, type(sys)):
        yield "self", owner
        yield from _attributes(owner)
    if isinstance(item, tuple | list) and 0 < len(item) <= PARAMETERS:
        for index, value in enumerate(item):
            yield f"arg[{index}]", value
    else:
        yield "arg", item
