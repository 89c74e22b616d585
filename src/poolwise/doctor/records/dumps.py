"""Stacks as `faulthandler` writes them, and what a thread was doing by its stack. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

_THREAD = re.compile(r"^(?:Current thread|Thread) 0x[0-9a-f]+")
_FRAME = re.compile(r'^  File "(.*)", line (\d+) in (.*)$')

_LIBRARY = re.compile(
    r"[/\\](?:lib[/\\]python\d|site-packages|dist-packages|_poolwise_observer)|^<"
    r"|[/\\]poolwise[/\\](?:core|wire|memory|payloads|system|worker|backends|standard|shared|cli|\w+\.py)"
)
"""A file that is not the program's own."""

WAITING = {
    ("pool.py", "get"), ("pool.py", "wait"), ("pool.py", "next"), ("pool.py", "join"),
    ("_base.py", "result"), ("_base.py", "exception"), ("_base.py", "wait"),
    ("_base.py", "as_completed"), ("process.py", "shutdown"), ("thread.py", "shutdown"),
    ("results.py", "get"), ("results.py", "wait"), ("results.py", "next"),
}  # fmt: skip
"""Functions of pools that wait for tasks."""

LOCKS = {("synchronize.py", "__enter__"), ("synchronize.py", "acquire")}
QUEUES = {("queues.py", "get"), ("queues.py", "put"), ("queue.py", "get"), ("queue.py", "put"),
          ("connection.py", "recv"), ("connection.py", "send")}  # fmt: skip
CHILDREN = {("process.py", "join"), ("popen_fork.py", "wait"), ("popen_fork.py", "poll")}
EXITS = {("util.py", "_exit_function"), ("threading.py", "_shutdown"),
         ("process.py", "_python_exit"), ("thread.py", "_python_exit"),
         ("util.py", "_run_finalizers")}  # fmt: skip
FEEDERS = {("queues.py", "_finalize_join"), ("queues.py", "join_thread")}
INSIDE_TASK = {("thread.py", "run"), ("pool.py", "worker"), ("process.py", "_process_worker"),
               ("process_executor.py", "_process_worker")}  # fmt: skip
_BOOT = {("process.py", "_bootstrap"), ("threading.py", "_bootstrap")}


class Frame(NamedTuple):
    """A line of a stack."""

    file: str
    line: int
    function: str

    @property
    def key(self) -> tuple[str, str]:
        """Name of the file and of the function."""
        return self.file.replace("\\", "/").rpartition("/")[2], self.function

    @property
    def is_program(self) -> bool:
        """True if it is of the program's own code."""
        return not _LIBRARY.search(self.file)


@dataclass(frozen=True)
class Stack:
    """The frames of one thread, the innermost first, without those it was forked from."""

    frames: list[Frame]

    @property
    def program(self) -> Frame | None:
        """The innermost frame of the program's own code."""
        return next((frame for frame in self.frames if frame.is_program), None)

    def calls(self, *known: set[tuple[str, str]]) -> bool:
        """True if one of these functions is on it."""
        return any(frame.key in each for frame in self.frames for each in known)

    def below_program(self, *known: set[tuple[str, str]]) -> bool:
        """True if the program's innermost line has called one of these functions."""
        for frame in self.frames:
            if frame.is_program:
                return False
            if any(frame.key in each for each in known):
                return True
        return False

    @property
    def is_task(self) -> bool:
        """True if it runs a task of a pool: code of the program that a worker's loop has called."""
        if self.program is None:
            return False
        at = self.frames.index(self.program)
        return any(frame.key in INSIDE_TASK for frame in self.frames[at:])


def parse(text: str) -> list[Stack]:
    """The stacks of a process, its main thread last."""
    stacks: list[list[Frame]] = []
    for line in text.splitlines():
        if _THREAD.match(line):
            stacks.append([])
        elif stacks and (found := _FRAME.match(line)):
            stacks[-1].append(Frame(found[1], int(found[2]), found[3]))
    return [Stack(_own(frames)) for frames in stacks]


def _own(frames: list[Frame]) -> list[Frame]:
    """Without what lies below the beginning of a thread or forked process."""
    ends = [at for at, frame in enumerate(frames) if frame.key in _BOOT]
    return frames[: ends[0] + 1] if ends else frames
