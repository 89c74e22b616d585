"""A seat: the child process in which one entrant sits, and the host's hold on it."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_CODE = "from benchmarks.harness.child import main; main()"
_GRACE_S = 3.0
_LOOK_S = 0.2  # between two looks at whether the child still lives; not part of any timing


class SeatError(Exception):
    """The entrant cannot go on; the message is what the table says of it."""


class NotInstalledError(SeatError):
    """The peer is not there."""


class Seat:
    """Starts the child in a session of its own, so that all it starts can be frozen and killed.

    A frozen seat takes no processor time, whatever its pool does when idle.
    """

    def __init__(
        self, claim: str, number: int, environment: Mapping[str, str], limit_s: float
    ) -> None:
        self._limit_s = limit_s
        # Short, because unix sockets are made in it and their paths may have 107 characters.
        self._folder = tempfile.mkdtemp(prefix="pwb")
        self._log = Path(self._folder, "log")
        ours, theirs = socket.socketpair()
        with theirs, self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _CODE, claim, str(number), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **environment, "TMPDIR": self._folder},
            )
        self._socket = ours
        self._unread = b""

    def wait_ready(self) -> None:
        self._answer()

    def turn(self, case: str) -> float:
        """The value of one turn.

        Raises:
            NotInstalledError, SeatError
        """
        self._socket.sendall(json.dumps(case).encode() + b"\n")
        return float(self._answer()["value"])

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """Ask the child to close its pool and go; then see that nothing of it stays."""
        self.thaw()
        self._socket.close()
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            # Resource trackers outlive a SIGTERM and clean up after the others.
            self._signal(signal.SIGTERM)
            time.sleep(_GRACE_S)
        self._signal(signal.SIGKILL)
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):
            return  # all of them have gone already

    def _answer(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._line())
        if "missing" in answer:
            message = f"not installed ({answer['missing']})"
            raise NotInstalledError(message)
        if "error" in answer:
            raise SeatError(answer["error"])
        return answer

    def _line(self) -> bytes:
        deadline = time.monotonic() + self._limit_s
        while b"\n" not in self._unread:
            if select.select([self._socket], [], [], _LOOK_S)[0]:
                data = self._socket.recv(65536)
                if not data:
                    raise SeatError(self._epitaph())
                self._unread += data
            elif self._process.poll() is not None:
                raise SeatError(self._epitaph())
            elif time.monotonic() > deadline:
                message = f"no answer in {self._limit_s:.0f} s"
                raise SeatError(message)
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _epitaph(self) -> str:
        lines = self._log.read_text(errors="replace").strip().split("\n")
        return f"exited with {self._process.wait()}: {lines[-1][:160]}"
