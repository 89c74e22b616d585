"""`poolwise info`: the versions, the machine, and what pools run on here."""

from __future__ import annotations

import argparse
import platform
from importlib.util import find_spec
from typing import TYPE_CHECKING

import poolwise
from poolwise.backends.choose import find_backend
from poolwise.backends.platform import lacks_for_processes

if TYPE_CHECKING:
    from collections.abc import Sequence

_ENGINES = ("loky", "distributed", "ray", "mpi4py", "ipyparallel", "executorlib", "submitit")
"""Libraries whose workers a pool can run on."""


def main(argv: Sequence[str]) -> int:
    """Print it; always 0."""
    parser = argparse.ArgumentParser(prog="poolwise info", description=__doc__)
    parser.parse_args(argv)
    for name, what in _facts().items():
        print(f"{name:<12} {what}")
    return 0


def _facts() -> dict[str, str]:
    return {
        "poolwise": poolwise.__version__,
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "system": platform.platform(terse=True),
        "CPUs": f"{poolwise.cpu_count()} that this process may use",
        "back end": _describe_usual(),
        "engines": ", ".join(filter(find_spec, _ENGINES)) or "none installed",
    }


def _describe_usual() -> str:
    """The back end of pools that ask for none, and why it is that one."""
    backend = find_backend({}, 1)[0]["backend"]
    name = backend if isinstance(backend, str) else backend.name
    missing = lacks_for_processes()
    if name != "executor" or missing is None:
        return str(name)
    return f"executor: the standard one, since this system lacks {missing}"
