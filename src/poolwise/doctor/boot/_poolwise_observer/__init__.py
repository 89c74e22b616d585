"""The observer: what it attaches to, and when.

A module of the standard library is touched only after the program has imported it, by a finder
that stands first on `sys.meta_path`; so the program's set of modules stays its own.
"""

import os
import sys

from . import recorder, stacks
from .clocks import own_bytes
from .seams import attempt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

TARGETS = {
    "multiprocessing.process": "probes.processes",
    "multiprocessing.spawn": "probes.processes",
    "multiprocessing.popen_fork": "probes.processes",
    "multiprocessing.popen_forkserver": "probes.processes",
    "multiprocessing.pool": "probes.pools",
    "multiprocessing.queues": "probes.channels",
    "multiprocessing.connection": "probes.channels",
    "multiprocessing.managers": "probes.channels",
    "concurrent.futures.process": "probes.executors",
    "concurrent.futures.thread": "probes.threads",
    "loky.backend.spawn": "probes.processes",
    "loky.process_executor": "probes.executors",
    "poolwise.core.engine": "probes.ours",
    "poolwise.pool": "probes.our_calls",
    "poolwise.executor": "probes.our_calls",
    "joblib.externals.loky.backend.spawn": "probes.processes",
    "joblib.externals.loky.process_executor": "probes.executors",
}
"""Module of the program -> ours that attaches to it (its function `attach`)."""

for name in [name for name in TARGETS if name.startswith("multiprocessing.")]:
    # The same library with another pickler, of which pathos and others make their pools.
    TARGETS[name.replace("multiprocessing", "multiprocess")] = TARGETS[name]
del name

IS_PROFILING = "POOLWISE_DOCTOR_PROFILE" in os.environ
"""True if workers shall count where their tasks spend their time."""

IS_VERIFYING = "POOLWISE_DOCTOR_VERIFY" in os.environ
"""True if experiments shall follow the program's calls."""


ONLY_VERIFIED = {"joblib.parallel"}
"""Modules that are only touched for experiments: what they do is seen elsewhere."""


def attach(directory: str, loaded: "set[str]") -> None:
    """Record what this interpreter does to `directory`. Called before the program's first line.

    `loaded`: the modules that were there before us. What we loaded for ourselves goes out of
    `sys.modules` again; a program that wants it loads it again.
    """
    started_ns = recorder.now()
    recorder.use(directory)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=recorder.forget_parent)
    sys.meta_path.insert(0, Finder)
    from . import serial

    attempt("serial", serial.attach)
    attempt("stacks", lambda: stacks.attach(directory))
    if IS_PROFILING:
        from . import profile

        attempt("profile", profile.attach)
    for name in TARGETS:
        if name in sys.modules:
            _probe(sys.modules[name])
    version = ".".join(map(str, sys.version_info[:3]))
    recorder.event("interpreter", started=started_ns, parent=os.getppid(), python=version)
    recorder.fresh = os.getpid(), own_bytes()
    for name in set(sys.modules) - loaded:
        if name.partition(".")[0] != __name__:
            del sys.modules[name]


def _probe(module: "ModuleType") -> None:
    def attach_to() -> None:
        ours = __import__(TARGETS[module.__name__], globals(), fromlist=["attach"], level=1)
        ours.attach(module)

    if module.__name__ in TARGETS:
        attempt(module.__name__, attach_to)
    if IS_VERIFYING:
        from .verify import calls as verify

        attempt("verify", lambda: verify.attach(module))


class Finder:
    """Finds nothing by itself: lets the others find our targets, and probes them once loaded."""

    @staticmethod
    def find_spec(name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        """The spec that the other finders give, with a loader that tells us."""
        if name not in TARGETS and not (IS_VERIFYING and name in ONLY_VERIFIED):
            return None
        # Only the finders behind us: one before us may be asking on its own behalf already.
        for finder in sys.meta_path[sys.meta_path.index(Finder) + 1 :]:
            find = getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find else None
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = Loader(spec.loader)
                return spec
        return None


class Loader:
    """The module's own loader, which afterwards is put back in its place."""

    def __init__(self, loader: "Any") -> None:
        self._loader = loader

    def create_module(self, spec: "Any") -> "Any":
        """Create the module as its own loader does."""
        return self._loader.create_module(spec)

    def exec_module(self, module: "ModuleType") -> None:
        """Load the module, then probe it."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        _probe(module)
