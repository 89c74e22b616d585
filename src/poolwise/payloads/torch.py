"""Entry of torch: what a tensor in the memory of the CPU shows travels beside the pickle.

Torch's own pickling writes the memory of a tensor into a file of its own, which is copied three
times. All else of a tensor (shape, strides, gradients wanted) stays as torch does it.

For multiprocessing torch registers another way: memory that is sent is moved into shared memory,
where both sides see what either writes, and takes a descriptor. Memory that the program has shared
itself goes that way, and so does that of other devices.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Mapping
from typing import Any

from poolwise.payloads.registry import Library


class _Torch(Library):
    whole_has = "nn"

    def reducers(self, *, beside: bool) -> Mapping[type, Any]:
        kind = getattr(sys.modules["torch"].storage, "TypedStorage", None)
        if kind is None:  # before torch 2, which has other storages
            return {}
        return {kind: _reduce_beside if beside else _reduce}


def _reduce(storage: Any) -> Any:
    untyped = storage._untyped_storage  # noqa: SLF001 - the public way to it warns of itself
    if untyped.device.type != "cpu" or untyped.is_shared():
        return sys.modules["torch"].multiprocessing.reductions.reduce_typed_storage(storage)
    return storage.__reduce__()


def _reduce_beside(storage: Any) -> Any:
    torch, untyped = sys.modules["torch"], storage._untyped_storage  # noqa: SLF001
    if untyped.device.type != "cpu" or untyped.is_shared() or not untyped.nbytes():
        return _reduce(storage)
    shown = torch.empty(0, dtype=torch.uint8).set_(untyped).numpy()
    return _rebuild, (pickle.PickleBuffer(shown), storage.dtype)


def _rebuild(buffer: Any, dtype: Any) -> Any:
    import torch  # type: ignore[import-not-found, unused-ignore]

    untyped = torch.frombuffer(buffer, dtype=torch.uint8).untyped_storage()
    return torch.storage.TypedStorage(wrap_storage=untyped, dtype=dtype, _internal=True)


LIBRARY = _Torch()
