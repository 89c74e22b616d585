"""The command line: one table of commands, each in a file of its own, loaded when it is called."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import poolwise

if TYPE_CHECKING:
    from collections.abc import Sequence

# name -> (module with `main(argv) -> exit code`, what it does)
_COMMANDS = {
    "run": ("poolwise.cli.run", "run a program, unchanged, on poolwise's pools"),
    "report": ("poolwise.cli.report", "show a pool's saved report again: text, page, trace"),
    "whatif": ("poolwise.cli.whatif", "predict a pool's calls with other workers, from its report"),
    "doctor": ("poolwise.cli.doctor", "say why a program's pools are slow, and what to do"),
    "checklist": ("poolwise.cli.checklist", "nine points about a program's pool, from one run"),
    "bench": ("poolwise.cli.bench", "measure in a minute what pools cost on this machine"),
    "tune": ("poolwise.cli.tune", "find how a function is best run: kind, workers, chunk size"),
    "explain": ("poolwise.cli.explain", "explain a finding of the doctor"),
    "info": ("poolwise.cli.info", "say what pools run on here"),
}

_USAGE = """\
usage: poolwise COMMAND [ARGS...]

{commands}

  poolwise COMMAND --help   what a command takes
  poolwise --version        the version
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 2 if the command line makes no sense.

    Args:
        argv: the words after `poolwise`; those of this process if not given.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words:
        sys.stderr.write(_usage())
        return 2
    command, *rest = words
    if command == "help":
        command, rest = (rest[0], ["--help"]) if rest else ("--help", [])
    if command in {"-h", "--help"}:
        sys.stdout.write(_usage())
        return 0
    if command in {"-V", "--version"}:
        sys.stdout.write(f"poolwise {poolwise.__version__}\n")
        return 0
    if command not in _COMMANDS:
        sys.stderr.write(_unknown(command))
        return 2
    return _call(_COMMANDS[command][0], rest)


def _call(home: str, words: Sequence[str]) -> int:
    try:
        code: int = import_module(home).main(words)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read it has seen enough, as `head` does
        _leave_stdout()
        return 141  # as a shell says of a command that SIGPIPE has ended
    except OSError as error:  # a full disk behind standard output, say
        _leave_stdout()
        sys.stderr.write(f"poolwise: the output cannot be written: {error}\n")
        return 2
    return code


def _leave_stdout() -> None:
    """Let nothing more be written there: the interpreter tries once more as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _usage() -> str:
    width = max(map(len, _COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, (_, what) in _COMMANDS.items()]
    return _USAGE.format(commands="\n".join(lines))


def _unknown(command: str) -> str:
    names = ", ".join(_COMMANDS)
    message = f"poolwise: there is no command {command!r}; there is: {names}.\n"
    if command.endswith((".py", ".pyz")):
        message += f"To run a program: poolwise run {command}\n"
    return message
