"""Processes of multiprocessing: who started whom, when, and how each one ended."""

import os

from .. import recorder
from ..clocks import now
from ..seams import hide, replace
from . import sites, workers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def attach(module: "Any") -> None:
    """Probe `multiprocessing.process`, or one of the modules that make the processes."""
    if hasattr(module, "get_preparation_data"):
        replace(module, "get_preparation_data", _make_preparation)
    elif hasattr(module, "BaseProcess"):
        replace(module.BaseProcess, "start", _make_start)
        replace(module.BaseProcess, "_bootstrap", _make_bootstrap)
    else:
        for name, make in (("poll", _make_poll), ("_send_signal", _make_signal)):
            if name in vars(module.Popen):
                replace(module.Popen, name, make)


class Stowaway:
    """Travels in what a fresh child is told first, and attaches the observer when unpickled.

    For children that the environment does not bring it to: a program may have cleaned that. It is
    unpickled before the child's path is set, so it is no class that would have to be found.
    """

    def __reduce__(self) -> "tuple[Any, tuple[str, dict[str, Any]]]":
        # boot/, three folders up
        home = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        facts = {"home": home, "directory": recorder.directory()}
        return exec, (_ATTACH, facts)


_ATTACH = """
import sys
if "_poolwise_observer" not in sys.modules:
    loaded = set(sys.modules)
    sys.path.insert(0, home)
    try:
        import _poolwise_observer
        _poolwise_observer.attach(directory, loaded)
    except Exception:
        pass
    finally:
        sys.path.remove(home)
"""


def _make_preparation(original: "Callable[..., Any]") -> "Callable[..., Any]":
    def get_preparation_data(*args: "Any", **options: "Any") -> "Any":
        data = original(*args, **options)
        data["poolwise"] = Stowaway()
        return data

    return get_preparation_data


MOST_FAILURES = 200
"""Limit of failed children that are recorded for this process: an initializer that
raises makes a pool start some hundred workers a second, until somebody ends it."""

_failures = 0


def _make_start(original: "Callable[..., Any]") -> "Callable[..., Any]":
    def start(self: "Any") -> None:
        if _failures > MOST_FAILURES:
            with recorder.silence():
                original(self)
            return
        began = now()
        pool, target = _pool_of(self), _target_of(self)
        try:
            original(self)
        except BaseException as error:
            hide(error)
            raise
        facts: dict[str, Any] = {}
        if not pool:
            method = getattr(self._popen, "method", None)
            facts = {"place": sites.place(), "target": target, "method": method}
        recorder.event("start", pool=pool, child=self.pid, began=began, ended=now(), **facts)

    return start


def _pool_of(process: "Any") -> int:
    """The pool whose queue this process shall read from, 0 if it is not a pool's."""
    arguments = getattr(process, "_args", None) or ()
    return getattr(arguments[0], "_poolwise_pool", 0) if arguments else 0


def _target_of(process: "Any") -> str:
    """The target of the process; the class of one that has a `run` of its own."""
    target = getattr(process, "_target", None) or type(process)
    return str(sites.describe_function(target)["function"])


def _make_bootstrap(original: "Callable[..., Any]") -> "Callable[..., Any]":
    def _bootstrap(self: "Any", *args: "Any", **options: "Any") -> "Any":
        workers.live()
        return original(self, *args, **options)

    return _bootstrap


def _make_poll(original: "Callable[..., Any]") -> "Callable[..., Any]":
    def poll(self: "Any", *args: "Any", **options: "Any") -> "Any":
        known = self.returncode
        code = original(self, *args, **options)
        if known is None and code is not None and _count_failure(code):
            recorder.event("exit", child=self.pid, code=code)
        return code

    return poll


def _count_failure(code: int) -> bool:
    """True if the end of a child is still to be recorded."""
    global _failures  # noqa: PLW0603 - counted for this process
    _failures += code > 0
    return _failures <= MOST_FAILURES


def _make_signal(original: "Callable[..., Any]") -> "Callable[..., Any]":
    def _send_signal(self: "Any", number: int) -> None:
        if self.returncode is None:
            recorder.event("signal", child=self.pid, number=int(number))
        original(self, number)

    return _send_signal
