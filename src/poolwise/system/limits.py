"""Limits of this process: the machine's memory, resource limits, what the environment sets."""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import Any


def _load_resource() -> Any:
    """Load the standard library's ``resource`` without taking its name.

    A program may have a module of its own called ``resource``, beside its script. The standard
    pools import none, so it is not ours to find, nor to keep the program from finding it.
    """
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


resource: Any = _load_resource()  # not later: a process without descriptors can import nothing

_UNREAD_SHARE = 16
"""One sixteenth: several streams, their inputs and the program itself have to fit beside it."""


def setting_bytes(name: str, default: int) -> int:
    """The number of bytes that an environment variable names, or the default if it is not set.

    :raises ValueError: it is set to something else than a whole number above zero.
    """
    text = os.environ.get(name)
    if not text:
        return default
    if not text.isdecimal() or not int(text):
        message = f"{name} must be a number of bytes above 0, not {text!r}; unset it for {default}"
        raise ValueError(message)
    return int(text)


def machine_bytes() -> int:
    """The memory of this machine; 16 GiB where the system does not say (Windows)."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 16 << 30


@cache
def unread_limit_bytes() -> int:
    """Bytes of unread values at which a stream stops working ahead.

    A sixteenth of the memory that this process may use: the machine's, or that of the smallest
    control group above it. ``POOLWISE_UNREAD_BYTES`` in the environment stands for it if it is set.

    :raises ValueError: the variable is no whole number above 0.
    """
    from poolwise.system import cgroups

    limits = [machine_bytes(), *(limit.limit_bytes for limit in cgroups.memory_limits())]
    return setting_bytes("POOLWISE_UNREAD_BYTES", min(limits) // _UNREAD_SHARE)


def shared_limit_bytes(share: int) -> int:
    """One ``share``-th of this machine's memory: how far an arena may grow.

    ``POOLWISE_SHARED_BYTES`` in the environment stands for the machine's memory if it is set. Where
    addresses are limited (``ulimit -v``), a part of those that leaves most to the program.
    Control groups are not asked here but each time memory is taken.
    """
    memory_bytes = setting_bytes("POOLWISE_SHARED_BYTES", machine_bytes())
    addresses, _ = resource.getrlimit(resource.RLIMIT_AS)
    if addresses != resource.RLIM_INFINITY:
        memory_bytes = min(memory_bytes, addresses // 4)
    return memory_bytes // share
