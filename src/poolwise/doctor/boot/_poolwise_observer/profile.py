"""`--profile` where no profiler can look from outside: cProfile in each worker, around its tasks.

Only loaded when asked for: it slows functions down that call many others, and knows functions, not
lines. What was counted is written now and then, since workers are often killed: whenever a
twentieth more has been counted than was written.
"""

from . import recorder
from .clocks import process_cpu
from .probes import workers
from .seams import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Method = Callable[..., Any]

_profiler: "Any" = None
_owner = 0
_spent = _written = 0.0


def attach() -> None:
    """Profile what worker processes do between the reading of a message and its answer."""
    replace(workers.MessageWorker, "begin", _make_begin)
    replace(workers.MessageWorker, "end", _make_end)


def _make_begin(original: "Method") -> "Method":
    def begin(self: "Any", *args: "Any") -> None:
        original(self, *args)
        _start()

    return begin


def _make_end(original: "Method") -> "Method":
    def end(self: "Any", ended: int) -> "Any":
        if self.opened is not None:
            _stop()
        return original(self, ended)

    return end


def _start() -> None:
    global _profiler, _owner, _spent, _written, _began  # noqa: PLW0603 - one a process
    import os

    if _owner != os.getpid():
        from cProfile import Profile

        _owner, _profiler, _spent, _written = os.getpid(), Profile(), 0.0, 0.0
    if _profiler is None:
        return
    _began = process_cpu()
    try:
        _profiler.enable()
    except ValueError:  # the program profiles itself
        _profiler = None


_began = 0


def _stop() -> None:
    global _spent, _written  # noqa: PLW0603 - one a process
    if _profiler is None:
        return
    _profiler.disable()
    _spent += process_cpu() - _began
    if _spent > 1.05 * _written:
        _written = _spent
        _write(_profiler.getstats())


def _write(stats: "list[Any]") -> None:
    """Own time by function; what builtins took is their caller's."""
    entries = []
    for each in stats:
        if isinstance(each.code, str):
            continue
        own = each.inlinetime + sum(
            call.inlinetime for call in each.calls or () if isinstance(call.code, str)
        )
        code = each.code
        entries.append((code.co_filename, code.co_firstlineno, code.co_name, own))
    entries.sort(key=lambda entry: -entry[3])
    recorder.event("profile", entries=entries[:60])
