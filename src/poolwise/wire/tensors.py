"""Tensors of torch in the memory of the CPU: what they show travels beside the pickle.

Torch's own pickling writes the memory of a tensor into a file of its own, which is copied three
times. All else of a tensor (shape, strides, gradients wanted) stays as torch does it.
"""

from __future__ import annotations

import pickle
import sys
from functools import cache
from typing import Any


@cache
def reducers() -> dict[type, Any]:
    """Reducers for a pickler of ours."""
    return {sys.modules["torch"].storage.TypedStorage: _reduce_storage}


def _reduce_storage(storage: Any) -> Any:
    torch = sys.modules["torch"]
    untyped = storage._untyped_storage  # noqa: SLF001 - the public way to it warns of itself
    if untyped.device.type != "cpu" or not untyped.nbytes():
        return storage.__reduce__()
    shown = torch.empty(0, dtype=torch.uint8).set_(untyped).numpy()
    return _rebuild, (pickle.PickleBuffer(shown), storage.dtype)


def _rebuild(buffer: Any, dtype: Any) -> Any:
    import torch  # type: ignore[import-not-found, unused-ignore]

    untyped = torch.frombuffer(buffer, dtype=torch.uint8).untyped_storage()
    return torch.storage.TypedStorage(wrap_storage=untyped, dtype=dtype, _internal=True)
