"""`poolwise run`: an unchanged program on our pools.

The program runs in an interpreter of its own, which replaces ours: `__main__`, `sys.argv`, signals,
the terminal, the exit code and what spawn imports again in children are what they are without us.
All that is added is one folder at the front of PYTHONPATH, whose `sitecustomize` calls
`poolwise.install()` and then takes the folder out again.
"""

from __future__ import annotations

import argparse
import os
import sys

_BOOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "boot")

_USAGE = "poolwise run [--workers N] (SCRIPT | -m MODULE | -c CODE | -) [ARGS...]"

_EPILOG = """\
The program and its words follow Python's own command line: a script, a folder or zip file with
a __main__.py, -m MODULE, -c CODE, or - for a program on standard input. Options of Python itself
stand before -m: python -X dev -m poolwise run SCRIPT.

In the program, multiprocessing.Pool, multiprocessing.pool.Pool, the Pool of each context and
concurrent.futures.ProcessPoolExecutor are poolwise's, also in processes that it starts with
multiprocessing. Subclasses of these, ThreadPool, and programs that it starts with subprocess stay
as they are.
"""

_NOTHING_TO_RUN = """\
usage: {usage}
poolwise run: no program was given. Name a script: poolwise run script.py
"""

_NOT_OURS = """\
usage: {usage}
poolwise run: there is no option {word!r}. An option of Python itself stands before -m:
  python {word} -m poolwise run ...
an option of the program after the program's name.
"""

# The first line is Python's own.
_NO_SUCH_FILE = """\
{python}: can't open file {path!r}: [Errno 2] No such file or directory
{advice}
"""

_SHUT_OUT = """\
poolwise run: Python was started with -I, -E or -S, so that nothing from outside reaches the \
program, poolwise included.
Leave the option out, or call poolwise.install() in the program itself.
"""


def main(argv: list[str]) -> int:
    """Become the program; return an exit code only if that cannot be (or on Windows)."""
    words, program = split_options(argv)
    options = _parse(words)
    flags = interpreter_flags()
    complaint = _find_complaint(program)
    if complaint:
        sys.stderr.write(complaint)
        return 2
    command, environment = [sys.executable, *flags, *program], _environment(options.workers)
    if os.name == "posix":
        os.execve(command[0], command, environment)  # noqa: S606 - the user's own command
    # On Windows, exec() would return to the shell before the program has ended.
    return _run_and_wait(command, environment)


def split_options(argv: list[str]) -> tuple[list[str], list[str]]:
    """Part our options from the program, which begins at the first word that is none of ours."""
    at = 0
    while at < len(argv) and argv[at].startswith(("--", "-h")):
        if argv[at] == "--":
            return argv[:at], argv[at + 1 :]
        at += 2 if argv[at] == "--workers" else 1
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


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="poolwise run",
        usage=_USAGE,
        description="Run a program, unchanged, on poolwise's pools.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--workers",
        type=_count,
        metavar="N",
        help="workers of a pool that the program gives no number (sets POOLWISE_WORKERS)",
    )
    return parser.parse_args(words)


def _count(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        message = f"the number of workers is 1 or more, not {word!r}"
        raise argparse.ArgumentTypeError(message)
    return int(word)


def _find_complaint(program: list[str]) -> str | None:
    if sys.flags.ignore_environment or sys.flags.no_site:
        return _SHUT_OUT
    if not program:
        return _NOTHING_TO_RUN.format(usage=_USAGE)
    script = program[0]
    if script == "-" or script.startswith(("-m", "-c")):
        return None
    if script.startswith("-"):
        return _NOT_OURS.format(usage=_USAGE, word=script)
    if not os.path.exists(script):
        path, advice = os.path.abspath(script), _advise(script)
        return _NO_SUCH_FILE.format(python=sys.executable, path=path, advice=advice)
    return None


def _advise(script: str) -> str:
    from shutil import which

    if not which(script):
        return "Give the path of a script, or -m and the name of a module."
    if os.path.basename(script).startswith("python"):
        return f"Leave {script!r} out, poolwise starts Python itself: poolwise run SCRIPT"
    return f"If the command {script!r} is a Python module: poolwise run -m {script}"


def _environment(workers: int | None) -> dict[str, str]:
    environment = dict(os.environ)
    users = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = os.pathsep.join([_BOOT, users] if users else [_BOOT])
    if workers is not None:
        environment["POOLWISE_WORKERS"] = str(workers)
    return environment


def _run_and_wait(command: list[str], environment: dict[str, str]) -> int:
    import subprocess

    process = subprocess.Popen(command, env=environment)  # noqa: S603 - the user's own command
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # the program got it too, and decides
