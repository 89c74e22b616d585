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

from poolwise.cli.program import find_complaint, interpreter_flags, split_options

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


def main(argv: list[str]) -> int:
    """Become the program; return an exit code only if that cannot be (or on Windows)."""
    words, program = split_options(argv, {"--workers"})
    options = _parse(words)
    flags = interpreter_flags()
    complaint = find_complaint("run", _USAGE, program)
    if complaint:
        sys.stderr.write(complaint)
        return 2
    command, environment = [sys.executable, *flags, *program], _environment(options.workers)
    if os.name == "posix":
        os.execve(command[0], command, environment)  # noqa: S606 - the user's own command
    # On Windows, exec() would return to the shell before the program has ended.
    return _run_and_wait(command, environment)


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
