"""Runs many programs at once, each in a fresh process with a deadline; a hang is an outcome.

A server process has everything imported and forks a child for each program and side. A child that
does nothing any more (no process of its session has used the CPU for a while) hangs, however slow
the machine is; it costs nothing meanwhile, so others run beside it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import pickle
import selectors
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import poolwise
from tests.parity.differential.programs import EXECUTORS, Program

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = Path(poolwise.__file__).resolve().parents[1]

STANDARD, OURS = "standard", "ours"

LIMIT_S, OTHERS_LIMIT_S = 120.0, 15.0
IDLE_S, OTHERS_IDLE_S = 8.0, 1.5
"""Who does nothing for so long hangs. The standard pool does so often, and must not take long."""

GRACE_S, OTHERS_GRACE_S = 20.0, 1.0
"""What is there after this time is left behind; what the standard pool leaves is not asked for."""

_SERVER_SETTINGS = {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
"""The same order in each server, and no threads in one that forks."""

_PR_SET_CHILD_SUBREAPER = 36
_LOOK_S = 0.2
_LENGTH = struct.Struct("!I")


@dataclass
class Run:
    """What came of one program on one side.

    :param steps: the outcome of making the pools, then that of each step that was done.
    :param end: what :func:`run_program` tells at the end.
    :param ended: "done", "hang", or how the process died.
    """

    steps: list[Any] = field(default_factory=list)
    end: dict[str, Any] | None = None
    ended: str = ""
    stderr: str = ""
    left_processes: int = 0
    seconds: float = 0.0


# --- the client ---------------------------------------------------------------------------------


class Farm:
    """Runs programs on sides, many at once.

    :param jobs: how many run at a time.
    """

    def __init__(self, jobs: int = 8) -> None:
        self._jobs = jobs

    def __enter__(self):
        paths = [str(ROOT), str(PACKAGES), os.environ.get("PYTHONPATH", "")]
        self._server = subprocess.Popen(
            [sys.executable, "-c", f"from {__name__} import serve; serve()"],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), **_SERVER_SETTINGS},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stdin.close()
        self._server.wait()
        self._server.stdout.close()

    def run(self, requests: Iterable[tuple[Program, str]]) -> Iterator[tuple[int, Run]]:
        """The number of each request and what came of it, as they end."""
        waiting, open_now = enumerate(requests), 0
        while True:
            while open_now < self._jobs and (request := next(waiting, None)) is not None:
                self._send(request)
                open_now += 1
            if not open_now:
                return
            yield self._receive()
            open_now -= 1

    def run_all(self, programs: list[Program], side: str) -> list[Run]:
        """What comes of each program on one side."""
        found = dict(self.run((program, side) for program in programs))
        return [found[at] for at in range(len(programs))]

    def _send(self, request: Any) -> None:
        data = pickle.dumps(request)
        self._server.stdin.write(_LENGTH.pack(len(data)) + data)
        self._server.stdin.flush()

    def _receive(self) -> Any:
        stdout = self._server.stdout
        head = stdout.read(_LENGTH.size)
        if len(head) < _LENGTH.size:
            message = f"the server of the differential test ended: {self._server.wait()}"
            raise RuntimeError(message)
        return pickle.loads(stdout.read(_LENGTH.unpack(head)[0]))


# --- the server ---------------------------------------------------------------------------------


@dataclass
class _Child:
    number: int
    side: str
    pid: int
    reader: int
    stderr: int
    run: Run = field(default_factory=Run)
    data: bytes = b""
    began: float = field(default_factory=time.monotonic)
    used: int = -1
    since: float = field(default_factory=time.monotonic)
    exited: float | None = None


class _Server:
    """Forks a child for each request, watches it, and answers when it is over."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._selector.register(0, selectors.EVENT_READ)
        self._children: dict[int, _Child] = {}
        self._input = b""
        self._looked = 0.0

    def serve(self) -> None:
        """Serve until the client closes its end and every child is over."""
        is_open = True
        while is_open or self._children:
            for key, _ in self._selector.select(0.1 if self._children else None):
                if key.fd == 0:
                    is_open = self._take_requests()
                else:
                    self._read(key.data)
            self._reap()
            if time.monotonic() - self._looked > _LOOK_S:
                self._look_at_all()

    def _take_requests(self) -> bool:
        data = os.read(0, 1 << 20)
        self._input += data
        frames, self._input = _cut(self._input)
        for number, (program, side) in frames:
            self._start(number, program, side)
        if not data:
            self._selector.unregister(0)
        return bool(data)

    def _start(self, number: int, program: Program, side: str) -> None:
        if side == STANDARD and _replaces_workers_for_ever(program):
            _write(1, (number, Run(ended="not run")))
            return
        reader, writer = os.pipe()
        stderr = os.memfd_create("stderr")
        pid = os.fork()
        if not pid:
            _be_child(program, side, writer, stderr)
        os.close(writer)
        os.set_blocking(reader, False)
        child = self._children[pid] = _Child(number, side, pid, reader, stderr)
        self._selector.register(reader, selectors.EVENT_READ, child)

    def _read(self, child: _Child) -> None:
        with contextlib.suppress(BlockingIOError):
            while data := os.read(child.reader, 1 << 16):
                child.data += data
            self._forget(child)  # its end was closed by all who had it
        frames, child.data = _cut(child.data)
        for word, news in frames:
            if word == "step":
                child.run.steps.append(news)
            else:
                child.run.end = news

    def _forget(self, child: _Child) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(child.reader)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (got := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = got
                child = self._children.get(pid)  # else an orphan that came to us
                if child is not None and child.exited is None:
                    code = os.waitstatus_to_exitcode(status)
                    child.run.ended = child.run.ended or (f"exit {code}" if code else "done")
                    child.exited = time.monotonic()
                    child.run.seconds = child.exited - child.began
                    if child.run.end is not None or child.run.ended == "hang":
                        self._finish(child)

    def _look_at_all(self) -> None:
        """Find children that hang, and what others have left running."""
        self._looked = now = time.monotonic()
        sessions = _sessions() if any(now - c.began > 1 for c in self._children.values()) else {}
        if not sessions and all(child.exited is None for child in self._children.values()):
            return
        sessions = sessions or _sessions()
        for child in list(self._children.values()):
            members = sessions.get(child.pid, [])
            if child.exited is None:
                self._look_at(child, members, now)
            elif not members or now - child.exited > GRACE_S:
                child.run.left_processes = len(members)
                self._finish(child)

    def _look_at(self, child: _Child, members: list[tuple[int, int]], now: float) -> None:
        used = sum(ticks for _, ticks in members)
        if used != child.used:
            child.used, child.since = used, now
        is_ours = child.side == OURS
        idle_s = IDLE_S if is_ours else OTHERS_IDLE_S
        limit_s = LIMIT_S if is_ours else OTHERS_LIMIT_S
        if now - child.since > idle_s or now - child.began > limit_s:
            child.run.ended = "hang"
            _kill_session(child.pid)

    def _finish(self, child: _Child) -> None:
        self._read(child)
        run = child.run
        if run.ended != "done" or run.left_processes or (run.end and run.end["left"]):
            _kill_session(child.pid)
        size = os.fstat(child.stderr).st_size
        text = os.pread(child.stderr, 20_000, max(0, size - 20_000))
        child.run.stderr = text.decode("utf-8", "replace")
        self._forget(child)
        os.close(child.reader)
        os.close(child.stderr)
        del self._children[child.pid]
        _write(1, (child.number, child.run))


def _replaces_workers_for_ever(program: Program) -> bool:
    """The standard pool never stops to start workers whose initializer raises."""
    return any(one.door not in EXECUTORS and one.initializer == "raises" for one in program.pools)


def _cut(data: bytes) -> tuple[list[Any], bytes]:
    """The whole frames at the start of the data, and what is left."""
    frames = []
    while len(data) >= _LENGTH.size:
        end = _LENGTH.size + _LENGTH.unpack_from(data)[0]
        if len(data) < end:
            break
        frames.append(pickle.loads(data[_LENGTH.size : end]))
        data = data[end:]
    return frames, data


def _write(descriptor: int, news: Any) -> None:
    data = pickle.dumps(news)
    data = _LENGTH.pack(len(data)) + data
    while data:
        data = data[os.write(descriptor, data) :]


def _sessions() -> dict[int, list[tuple[int, int]]]:
    """The live processes of each session, each with a number that changes while it works."""
    found: dict[int, list[tuple[int, int]]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            state, session = fields[0], int(fields[3])
            ticks = int(fields[11]) + int(fields[12])
            if state in {"R", "D"}:
                ticks += time.monotonic_ns()
            if state != "Z":
                found.setdefault(session, []).append((int(folder.name), ticks))
    return found


def _kill_session(session: int) -> None:
    for pid, _ in _sessions().get(session, []):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _be_child(program: Program, side: str, writer: int, stderr: int) -> None:
    """Run the program in a session of its own; ends the process."""
    from tests.parity.differential.interpret import run_program
    from tests.parity.differential.sides import SIDES

    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number, descriptor in enumerate((nothing, nothing, stderr)):
        os.dup2(descriptor, number)
    low, high = sorted((writer, stderr))
    os.closerange(3, low)
    os.closerange(low + 1, high)
    os.closerange(high + 1, 4096)
    try:
        grace_s = GRACE_S if side == OURS else OTHERS_GRACE_S
        run_program(program, SIDES[side], lambda *news: _write(writer, news), grace_s)
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(70)
    if not program.leaves_open:
        os._exit(0)
    sys.exit()


def serve() -> None:
    """Be the server of a :class:`Farm`, on standard input and output."""
    import tests.parity.differential.sides  # noqa: F401 - what each child needs, imported once

    gc.freeze()  # else each child would copy all that was imported when it collects
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _Server().serve()
