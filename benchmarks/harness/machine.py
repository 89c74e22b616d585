"""On what the figures were measured."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

import poolwise

_PEERS = ("joblib", "loky", "mpire", "Pebble", "ray", "numpy")
_BUSY = 0.5  # load per core above which a reader should be told; a convention, not measured


def machine_facts() -> dict[str, str]:
    load = os.getloadavg()[0]
    busy = " (something else is running)" if load > _BUSY * (os.cpu_count() or 1) else ""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores, {_usable_cores()} usable",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "poolwise": poolwise.__version__,
        "peers": ", ".join(f"{name} {_version(name)}" for name in _PEERS),
        "load": f"{load:.2f} over the last minute{busy}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
