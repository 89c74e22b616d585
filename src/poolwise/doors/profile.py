"""Profile of a function: the setting that a tuning run has found, as a small JSON file.

It is a prior for later calls, not an order: :func:`poolwise.map` begins with it and goes on
measuring. So it also holds what an item cost, and where that was measured.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from types import CodeType
from typing import Any

from poolwise.doors.functions import plain_function
from poolwise.record import record
from poolwise.system.cpus import cpu_count, is_free_threaded

VARIABLE = "POOLWISE_PROFILE"
"""The environment variable that names profiles for calls which name none, as PATH names folders."""

_FORMAT = "poolwise profile 1"

_FIELDS: dict[str, tuple[type, ...]] = {
    "function": (str,),
    "code": (str,),
    "kind": (str,),
    "workers": (int,),
    "chunksize": (int, type(None)),
    "costs": (dict,),
    "items": (int,),
    "gain": (list,),
    "machine": (dict,),
}
_KINDS = ("serial", "threads", "processes", "asyncio")
COSTS = ("wall_s", "cpu_s", "process_cpu_s", "send_s", "gil")


@record
class Profile:
    """Setting for one function, with the evidence for it.

    :param function: ``module:name``.
    :param code: hash of its bytecode; it says that the function has changed since.
    :param kind: ``"serial"``, ``"threads"``, ``"processes"`` or ``"asyncio"``.
    :param chunksize: None lets the pool choose.
    :param costs: seconds of one item, as ``poolwise.choose.model.Measured`` names them.
    :param items: length of the input that it was tuned for.
    :param gain: times as fast as a plain loop: the estimate, and both ends of its interval.
    :param machine: where it was measured.
    :param path: the file it was read from.
    """

    function: str
    code: str
    kind: str
    workers: int
    chunksize: int | None
    costs: dict[str, Any]
    items: int
    gain: list[Any]
    machine: dict[str, Any]
    path: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The content of its file."""
        return {"format": _FORMAT, **{name: getattr(self, name) for name in _FIELDS}}

    def as_text(self) -> str:
        """The text of its file."""
        import json

        return json.dumps(self.as_dict(), indent=1) + "\n"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file, whole or not at all.

        :raises OSError: it cannot be written.
        """
        from poolwise.report.files import put_whole

        put_whole(os.fspath(path), self.as_text().encode())

    def is_about(self, function: Callable[..., Any]) -> bool:
        """True if it is for a function of this name."""
        return self.function == name_of(function)

    def why_not_for(self, function: Callable[..., Any]) -> str | None:
        """Reason why it does not hold for this function, by name or code; None: it does."""
        if not self.is_about(function):
            return f"the profile {self.path} is for {self.function}, not for {name_of(function)}"
        is_comparable = self.machine.get("python") == describe_machine()["python"]
        if is_comparable and self.code != digest_code(function):
            return f"the profile {self.path} is for an earlier version of {self.function}"
        return None

    def why_not_here(self) -> str | None:
        """Reason why it does not hold on this machine; None: it does."""
        here, there = describe_machine(), self.machine
        named = {"cpus": "CPUs", "system": "system", "free_threaded": "free-threaded Python"}
        for key, name in named.items():
            if there.get(key) != here[key]:
                return (
                    f"the profile {self.path} is of another machine "
                    f"({name}: {there.get(key)} there, {here[key]} here); tune again here"
                )
        return None

    def chunksize_for(self, function: Callable[..., Any]) -> int | None:
        """Chunk size for a call of this function; None: the pool chooses."""
        return self.chunksize if self.is_about(function) else None


def describe_machine() -> dict[str, Any]:
    """Facts about this machine that costs depend on."""
    system = f"{sys.platform} {os.uname().machine if hasattr(os, 'uname') else ''}".strip()
    return {
        "cpus": cpu_count(),
        "system": system,
        "free_threaded": is_free_threaded(),
        "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
    }


def name_of(function: Callable[..., Any]) -> str:
    """``module:name``, the same whether its module is imported or run as a program."""
    plain = plain_function(function)
    module = getattr(plain, "__module__", None) or "?"
    if module == "__main__":
        main = sys.modules["__main__"]
        spec = getattr(main, "__spec__", None)
        file = getattr(main, "__file__", None) or "__main__"
        module = spec.name if spec is not None else os.path.splitext(os.path.basename(file))[0]
    return f"{module}:{getattr(plain, '__qualname__', type(plain).__qualname__)}"


def digest_code(function: Callable[..., Any]) -> str:
    """Hash of a function's bytecode, names and constants; "" for one that has none."""
    from hashlib import sha256

    code = getattr(plain_function(function), "__code__", None)
    if not isinstance(code, CodeType):
        return ""
    return sha256(repr(list(_parts_of(code))).encode()).hexdigest()[:16]


def _parts_of(code: CodeType) -> Iterator[Any]:
    yield code.co_code
    yield code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _parts_of(constant)
        elif isinstance(constant, frozenset):
            yield sorted(map(repr, constant))
        else:
            yield constant


def read_profile(path: str | os.PathLike[str]) -> Profile:
    """The profile in a file.

    :raises ValueError: the file cannot be read, or holds no profile; the sentence says why.
    """
    name = os.fspath(path)
    try:
        facts = os.stat(name)
        plain = _parse(name, (facts.st_mtime_ns, facts.st_size))
    except OSError as error:
        message = f"the profile {name} cannot be read ({error.strerror})"
        raise ValueError(message) from error
    return Profile(**plain, path=name)


@lru_cache(maxsize=32)
def _parse(path: str, _: tuple[int, int]) -> dict[str, Any]:
    """Content of a file, by its time and size: a call in a loop reads it once."""
    import json

    try:
        with open(path, encoding="utf-8") as file:
            plain = json.load(file)
    except ValueError as error:
        message = f"{path} holds no profile: it is no JSON ({error})"
        raise ValueError(message) from error
    flaw = _find_flaw(plain)
    if flaw is not None:
        message = f"{path} holds no profile: {flaw}; `poolwise tune --save FILE` makes one"
        raise ValueError(message)
    return {name: plain[name] for name in _FIELDS}


def _find_flaw(plain: Any) -> str | None:
    if not isinstance(plain, dict) or plain.get("format") != _FORMAT:
        return f'it has no "format": "{_FORMAT}"'
    for name, types in _FIELDS.items():
        value = plain.get(name)
        if name not in plain or not isinstance(value, types) or isinstance(value, bool):
            return f"its {name!r} is {value!r}" if name in plain else f"it has no {name!r}"
    if plain["kind"] not in _KINDS:
        return f"its 'kind' is {plain['kind']!r}, which is none of {', '.join(_KINDS)}"
    chunksize = plain["chunksize"]
    if plain["workers"] < 1 or (chunksize is not None and chunksize < 1):
        return "its 'workers' and 'chunksize' must be 1 or more"
    return _find_flaw_of_costs(plain["costs"])


def _find_flaw_of_costs(costs: dict[str, Any]) -> str | None:
    for name in COSTS:
        cost = costs.get(name, "missing")
        is_unknown = cost is None and name in {"send_s", "gil"}
        if not is_unknown and (not isinstance(cost, (int, float)) or cost < 0):
            return f"its 'costs' have {name!r} {cost!r}"
    return None


def profiles_of_environment() -> list[Profile]:
    """The profiles that the environment names, first to last.

    :raises ValueError: one of them cannot be read; the sentence names the variable.
    """
    named = os.environ.get(VARIABLE, "").split(os.pathsep)
    try:
        return [read_profile(path) for path in named if path]
    except ValueError as error:
        message = f"{VARIABLE}: {error}"
        raise ValueError(message) from error


def pool_options(path: str | os.PathLike[str] | None) -> tuple[Profile | None, dict[str, Any]]:
    """Options of a pool by a profile, and the profile if it holds on this machine.

    :raises ValueError: as :meth:`poolwise.Pool.from_profile`.
    """
    named = profiles_of_environment()[:1] if path is None else [read_profile(path)]
    if not named:
        message = f"there is no profile: name one, or set {VARIABLE}"
        raise ValueError(message)
    profile = named[0]
    if profile.kind == "asyncio":
        message = (
            f"the profile {profile.path} is for coroutines, which no pool of threads or processes "
            "runs: use poolwise.map(..., profile=...)"
        )
        raise ValueError(message)
    options: dict[str, Any] = {"backend": profile.kind}
    why_not = profile.why_not_here()
    if why_not is not None:
        import warnings

        warnings.warn(why_not, RuntimeWarning, stacklevel=3)
        return None, options
    return profile, {**options, "processes": profile.workers}
