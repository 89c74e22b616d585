"""The program on the command line of `poolwise run`, `poolwise doctor` and their like.

It follows Python's own command line: a script, a folder or zip file with a __main__.py, -m MODULE,
-c CODE, or - for a program on standard input; everything behind it is the program's.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

_NOTHING_TO_RUN = """\
usage: {usage}
poolwise {command}: no program was given. Name a script: poolwise {command} script.py
"""

_NOT_OURS = """\
usage: {usage}
poolwise {command}: there is no option {word!r}. An option of Python itself stands before -m:
  python {word} -m poolwise {command} ...
an option of the program after the program's name.
"""

# The first line is Python's own.
_NO_SUCH_FILE = """\
{python}: can't open file {path!r}: [Errno 2] No such file or directory
{advice}
"""

_SHUT_OUT = """\
poolwise {command}: with -I, -E or -S of Python nothing from outside reaches the program, \
poolwise included.
Leave the option out. A program that needs it can still call poolwise.install() for our pools.
"""


def split_options(argv: list[str], with_value: Collection[str]) -> tuple[list[str], list[str]]:
    """Part our options from the program, which begins at the first word that is none of ours.

    :param with_value: our options that take the next word as their value.
    """
    at = 0
    while at < len(argv) and argv[at].startswith(("--", "-h")):
        if argv[at] == "--":
            return argv[:at], argv[at + 1 :]
        at += 2 if argv[at] in with_value else 1
    return argv[:at], argv[at:]


def interpreter_flags() -> list[str]:
    """Return the options Python was given before `-m poolwise`; the program gets them too.

    Those in the first line of an installed `poolwise` command are not the user's: none then.
    """
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is None or spec.name != "poolwise.__main__":
        return []
    *flags, module = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv) + 1]
    # `-m` may have other letters before it or the module behind it: `-um poolwise`, `-mpoolwise`
    last = module.removesuffix(".__main__").removesuffix("poolwise") or flags.pop()
    last = last.removesuffix("m")
    return flags if last == "-" else [*flags, last]


def find_complaint(command: str, usage: str, program: list[str]) -> str | None:
    """Reason why a program cannot be run, and what to do; None if it can."""
    shuts_out = bool(program) and program[0] in {"-I", "-E", "-S"}
    if shuts_out or sys.flags.ignore_environment or sys.flags.no_site:
        return _SHUT_OUT.format(command=command)
    if not program:
        return _NOTHING_TO_RUN.format(command=command, usage=usage)
    script = program[0]
    if script == "-" or script.startswith(("-m", "-c")):
        return None
    if script.startswith("-"):
        return _NOT_OURS.format(command=command, usage=usage, word=script)
    if not os.path.exists(script):
        path, advice = os.path.abspath(script), _advise(command, script)
        return _NO_SUCH_FILE.format(python=sys.executable, path=path, advice=advice)
    return None


def _advise(command: str, script: str) -> str:
    from shutil import which

    if not which(script):
        return "Give the path of a script, or -m and the name of a module."
    if os.path.basename(script).startswith("python"):
        return f"Leave {script!r} out, poolwise starts Python itself: poolwise {command} SCRIPT"
    return f"If the command {script!r} is a Python module: poolwise {command} -m {script}"
