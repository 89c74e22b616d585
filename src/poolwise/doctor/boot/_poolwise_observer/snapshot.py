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

from . import recorder
from .clocks import now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .verify import Batch

GRACE_S = 20.0
"""Beyond its budget, until a snapshot that hangs is ended: to choose takes an interpreter's start,
and an experiment that has begun is let end."""


def run(
    pool: "Any", batch: "Batch", options: "dict[str, Any]"
) -> "tuple[dict[str, Any], float, list[int]]":
    """Fork, wait; return what the snapshot told, its CPU seconds, its processes."""
    reader, writer = os.pipe()
    child = _fork()
    if not child:
        _live(pool, batch, options, writer)
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
    """What the snapshot writes until it closes its end; why there is nothing, if so."""
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


def _live(pool: "Any", batch: "Batch", options: "dict[str, Any]", writer: int) -> None:
    """All of the snapshot's life."""
    try:
        os.setsid()
        options["is_off"] = True
        _silence()
        for name in ("SIGTERM", "SIGHUP", "SIGINT"):
            signal.signal(signal.Signals[name], signal.SIG_DFL)
        directory = os.environ["POOLWISE_DOCTOR"]
        apart = os.path.join(directory, f"snapshot-{os.getpid()}")
        os.mkdir(apart)
        recorder.use(apart)
        os.environ["POOLWISE_DOCTOR"] = apart
        from . import experiments

        try:
            told = experiments.run(pool, batch, options, directory)
        except Exception as error:
            told = {"failure": repr(error)[:500]}
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


def _remove(apart: str) -> "list[int]":
    """Remove what probes recorded of the experiments; the processes that did."""
    names = os.listdir(apart)
    for name in names:
        os.unlink(os.path.join(apart, name))
    os.rmdir(apart)
    return sorted({int(name.partition("-")[0]) for name in names})
