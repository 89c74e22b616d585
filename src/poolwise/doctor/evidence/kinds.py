"""Kinds of arguments by the names that records give them: `numpy.ndarray`, `dict`.

A name is the type's own with its module, without "builtins.", as the probe wrote it; a numpy array
of Python objects is a "numpy.ndarray of objects".
"""

from __future__ import annotations

_ARRAYS = {("numpy", "ndarray"), ("numpy", "memmap")}
"""Types that `poolwise.share` gives as an array again; of others it makes a handle."""

_ON_BUFFERS = {
    ("array", "array"), ("builtins", "bytearray"), ("builtins", "bytes"),
    ("builtins", "memoryview"), ("numpy", "matrix"), ("numpy", "recarray"),
    ("pandas", "DataFrame"), ("pandas", "Series"), ("pyarrow", "Table"), ("pyarrow", "RecordBatch"),
    ("polars", "DataFrame"), ("polars", "Series"), ("scipy", "csc_matrix"), ("scipy", "csr_matrix"),
    ("scipy", "csc_array"), ("scipy", "csr_array"), ("torch", "Tensor"),
}  # fmt: skip
"""Package and name of other types that mostly are large buffers."""


def is_array(name: str) -> bool:
    """True if a type is one of numpy's arrays, which stays one when it is shared."""
    return _split(name) in _ARRAYS


def is_big_data(name: str) -> bool:
    """True if a type is an array, a frame, or something else on buffers, which sharing suits."""
    return _split(name) in _ARRAYS | _ON_BUFFERS


def _split(name: str) -> tuple[str, str]:
    """The package that a type is of, and its own name: where in the package does not matter."""
    module, _, own = name.rpartition(".")
    return module.partition(".")[0] or "builtins", own
