"""The standard library's ``resource``, without the name.

A program may have a module of its own called ``resource``, beside its script. The standard pools
import none, so it is not ours to find, nor to keep the program from finding it.
"""

from __future__ import annotations

import os
import sys
from typing import Any


def _load() -> Any:
    known = sys.modules.get("resource")
    if hasattr(known, "getrlimit"):
        return known
    from _frozen_importlib_external import PathFinder

    version = f"python{sys.version_info[0]}.{sys.version_info[1]}{sys.abiflags}"
    extensions = (sys.base_exec_prefix, sys.platlibdir, version, "lib-dynload")
    spec = PathFinder.find_spec("resource", [os.path.join(*extensions)])
    if spec is None or spec.loader is None:
        import resource  # built into the interpreter: no file can take its place

        return resource
    module = spec.loader.create_module(spec)
    spec.loader.exec_module(module)  # type: ignore[arg-type] # its loader makes one
    return module


resource: Any = _load()  # not later: a process without descriptors can import nothing
