"""poolwise: process pools that need no tuning, and a doctor for scripts that use the old ones.

Names are loaded on first use, so that ``import poolwise`` is cheap and a fresh worker pays only
for what it runs.
"""

from __future__ import annotations

# Every program under `poolwise run` and every spawned worker comes through here, and `typing` would
# be most of what they pay. Type checkers take this name for true.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from poolwise.ambient import current as current
    from poolwise.ambient import using as using
    from poolwise.choose.door import imap as imap
    from poolwise.choose.door import map as map  # noqa: A004 - as users call it
    from poolwise.choose.door import plan as plan
    from poolwise.choose.door import starmap as starmap
    from poolwise.choose.pools import workers as workers
    from poolwise.choose.seeds import rng as rng
    from poolwise.dropin import install as install
    from poolwise.dropin import uninstall as uninstall
    from poolwise.errors import ArgumentNotLoadable as ArgumentNotLoadable
    from poolwise.errors import EngineFailed as EngineFailed
    from poolwise.errors import ExtraMissing as ExtraMissing
    from poolwise.errors import InitializerFailed as InitializerFailed
    from poolwise.errors import NameNotFound as NameNotFound
    from poolwise.errors import OutOfSharedMemory as OutOfSharedMemory
    from poolwise.errors import PoolInterrupted as PoolInterrupted
    from poolwise.errors import PoolTerminated as PoolTerminated
    from poolwise.errors import PoolwiseError as PoolwiseError
    from poolwise.errors import RemoteTraceback as RemoteTraceback
    from poolwise.errors import ResultNotLoadable as ResultNotLoadable
    from poolwise.errors import ResultNotPicklable as ResultNotPicklable
    from poolwise.errors import SampleFailed as SampleFailed
    from poolwise.errors import SharedMemoryGone as SharedMemoryGone
    from poolwise.errors import TaskCancelled as TaskCancelled
    from poolwise.errors import TaskTimeout as TaskTimeout
    from poolwise.errors import UsedAfterFork as UsedAfterFork
    from poolwise.errors import WorkerDied as WorkerDied
    from poolwise.executor import ProcessPoolExecutor as ProcessPoolExecutor
    from poolwise.pipeline.pipe import pipe as pipe
    from poolwise.pool import Pool as Pool
    from poolwise.shared.arrays import SharedArray as SharedArray
    from poolwise.shared.arrays import empty as empty
    from poolwise.shared.arrays import zeros as zeros
    from poolwise.shared.objects import Shared as Shared
    from poolwise.shared.objects import share as share
    from poolwise.shared.preload import state as state
    from poolwise.system.cpus import cpu_count as cpu_count
    from poolwise.tuning.door import tune as tune

__version__ = "0.1.0"

__all__ = [
    "ArgumentNotLoadable",
    "EngineFailed",
    "ExtraMissing",
    "InitializerFailed",
    "NameNotFound",
    "OutOfSharedMemory",
    "Pool",
    "PoolInterrupted",
    "PoolTerminated",
    "PoolwiseError",
    "ProcessPoolExecutor",
    "RemoteTraceback",
    "ResultNotLoadable",
    "ResultNotPicklable",
    "SampleFailed",
    "Shared",
    "SharedArray",
    "SharedMemoryGone",
    "TaskCancelled",
    "TaskTimeout",
    "UsedAfterFork",
    "WorkerDied",
    "__version__",
    "cpu_count",
    "current",
    "empty",
    "imap",
    "install",
    "map",
    "pipe",
    "plan",
    "rng",
    "share",
    "starmap",
    "state",
    "tune",
    "uninstall",
    "using",
    "workers",
    "zeros",
]

_HOME = {
    **dict.fromkeys({*__all__} - {"__version__"}, "poolwise.errors"),
    "Pool": "poolwise.pool",
    "ProcessPoolExecutor": "poolwise.executor",
    "Shared": "poolwise.shared.objects",
    "SharedArray": "poolwise.shared.arrays",
    "cpu_count": "poolwise.system.cpus",
    "current": "poolwise.ambient",
    "empty": "poolwise.shared.arrays",
    "imap": "poolwise.choose.door",
    "install": "poolwise.dropin",
    "map": "poolwise.choose.door",
    "pipe": "poolwise.pipeline.pipe",
    "plan": "poolwise.choose.door",
    "rng": "poolwise.choose.seeds",
    "share": "poolwise.shared.objects",
    "starmap": "poolwise.choose.door",
    "state": "poolwise.shared.preload",
    "tune": "poolwise.tuning.door",
    "uninstall": "poolwise.dropin",
    "using": "poolwise.ambient",
    "workers": "poolwise.choose.pools",
    "zeros": "poolwise.shared.arrays",
}
"""Public name -> the module that has it."""


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "aio":
        return import_module("poolwise.aio")
    home = _HOME.get(name)
    if home is None:
        message = f"module 'poolwise' has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
