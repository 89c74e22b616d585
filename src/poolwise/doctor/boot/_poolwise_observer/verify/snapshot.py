"""A fork of the program in which experiments run, while the program itself waits.

The snapshot has everything that the call had: open files, shared memory, what modules hold. It
prints nothing, lives in a session of its own, so that it can be ended with all its children, and
leaves without running anybody's cleanup.
"""

import json
import os
import select
import signal
import sys

from .. import recorder
from ..clocks import now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from .calls import Call

GRACE_S = 20.0
"""Time beyond its budget until a snapshot that hangs is ended: to choose takes the start of an
interpreter, and an experiment that has begun is let end."""


def run(call: "Call", options: "dict[str, Any]") -> "tuple[dict[str, Any], float, list[int]]":
    """Fork, wait; return what the snapshot told, its CPU seconds, its processes."""
    reader, writer = os.pipe()
    try:
        child = _fork()
    except (OSError, RuntimeError) as error:  # too many processes; too late, for Python 3.12
        os.close(reader)
        os.close(writer)
        return {"failure": f"the program could not be forked ({error})"}, 0.0, []
    if not child:
        _live(call, options, writer)
    os.close(writer)
    try:
        told = _listen(reader, options["seconds"] + GRACE_S)
    finally:
        os.close(reader)
        _end_all(child)
    _, _, usage = os.wait4(child, 0)
    pids = [child, *told.pop("pids", [])]
    return told, usage.ru_utime + usage.ru_stime, pids


def _fork() -> int:
    """Fork without the warning of 3.12 that threads do not come along: ours needs none."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return os.fork()


def _listen(reader: int, seconds: float) -> "dict[str, Any]":
    """Reads what the snapshot writes until it closes its end; why there is nothing, if so."""
    end, parts = now() + int(seconds * 1e9), []
    while True:
        left_s = (end - now()) / 1e9
        if left_s <= 0 or not select.select([reader], [], [], left_s)[0]:
            return {"failure": f"the experiments did not end within {seconds:.0f} s"}
        part = os.read(reader, 65536)
        if not part:
            break
        parts.append(part)
    try:
        told: dict[str, Any] = json.loads(b"".join(parts))
    except ValueError:
        told = {"failure": "the snapshot of the program ended before it could tell"}
    return told


def _end_all(child: int) -> None:
    """End what is left of the snapshot's session."""
    try:
        os.killpg(child, signal.SIGKILL)
    except OSError:  # it is gone, as it should be
        pass


def _live(call: "Call", options: "dict[str, Any]", writer: int) -> None:
    """All of the snapshot's life."""
    try:
        os.setsid()
        _silence()
        for name in ("SIGTERM", "SIGHUP", "SIGINT"):
            signal.signal(signal.Signals[name], signal.SIG_DFL)
        directory = recorder.directory()
        apart = os.path.join(directory, f"snapshot-{os.getpid()}")
        os.mkdir(apart)
        recorder.use(apart)
        os.environ["POOLWISE_DOCTOR"] = apart
        from . import experiments

        endings = _catch_endings()
        try:
            _forget_helpers()
            _name_script()
            told = experiments.run(call, options, directory)
        except Exception as error:
            told = {"failure": (str(error) or repr(error))[:500]}
        try:
            _clean_up(endings)
        except Exception as error:
            told.setdefault("skipped", []).append(f"giving back: {error!r}"[:200])
        told["pids"] = [*told.get("pids", []), *_remove(apart)]
        os.write(writer, json.dumps(told).encode())  # a few KiB fit the pipe
    finally:
        os._exit(0)


def _silence() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for the rest of our life
    sys.stderr = sys.stdout


_MULTIPROCESSING = ("multiprocessing", "multiprocess")

_keep: "list[Any]" = []
"""References to the program's helper objects, so that to forget them here ends nothing there."""


def _forget_helpers() -> None:
    """Let pools be made here as in a fresh program, without servers and threads of the real one."""
    for package in _MULTIPROCESSING:
        forkserver: Any = sys.modules.get(f"{package}.forkserver")
        if forkserver is not None:
            server = forkserver._forkserver
            preload = server._preload_modules
            server.__init__()  # the functions of its module are bound to this one
            server._preload_modules = preload
    for holder, name in _reusable_executors():
        _keep.append(getattr(holder, name))
        setattr(holder, name, None)
    executors: Any = sys.modules.get("joblib.executor")
    if executors is not None:
        executors._executor_args = None
    for name, flag in _ENDINGS:
        module = sys.modules.get(name)
        if module is not None and hasattr(module, flag):
            setattr(module, flag, False)


def _name_script() -> None:
    """Let new workers import the script: CPython takes its name away when its last line is done."""
    main: Any = sys.modules["__main__"]
    path = getattr(getattr(main, "__loader__", None), "path", None)
    if path is not None and main.__spec__ is None and not hasattr(main, "__file__"):
        main.__file__ = path


def _reusable_executors() -> "Iterator[tuple[Any, str]]":
    """Object and attribute in which each loky keeps the executor that its next user gets."""
    for package in ("loky", "joblib.externals.loky"):
        module: Any = sys.modules.get(f"{package}.reusable_executor")
        holder = getattr(module, "_executor_storage", module)
        for name in ("executor", "_executor"):
            if hasattr(holder, name):
                yield holder, name


_ENDINGS = (
    ("threading", "_SHUTTING_DOWN"),
    ("concurrent.futures.thread", "_shutdown"),
    ("concurrent.futures.process", "_global_shutdown"),
    ("loky.process_executor", "_global_shutdown"),
    ("joblib.externals.loky.process_executor", "_global_shutdown"),
)
"""Flags that refuse new work at the end of the program: here it goes on for a while."""


def _catch_endings() -> "list[Callable[[], object]]":
    """Takes what is registered from now on for the end of this process, which ends without it."""
    import atexit

    module: Any = atexit
    endings: list[Callable[[], object]] = []

    def register(function: "Any", *args: "Any", **keywords: "Any") -> "Any":
        endings.append(lambda: function(*args, **keywords))
        return function

    module.register = register
    return endings


def _clean_up(endings: "list[Callable[[], object]]") -> None:
    """Give back what the experiments' pools hold by name."""
    for holder, name in _reusable_executors():
        executor = getattr(holder, name)
        if executor is not None:
            getattr(executor, "terminate", executor.shutdown)(kill_workers=True)
    for end in reversed(endings):
        end()
    for package in _MULTIPROCESSING:
        util = sys.modules.get(f"{package}.util")
        if util is not None:
            util._run_finalizers()  # those of the program's own process are not run in this one


def _remove(apart: str) -> "list[int]":
    """Remove what probes recorded of the experiments; the processes that did."""
    names = os.listdir(apart)
    for name in names:
        os.unlink(os.path.join(apart, name))
    os.rmdir(apart)
    heads = {name.partition("-")[0] for name in names}
    return sorted(int(head) for head in heads if head.isdecimal())
