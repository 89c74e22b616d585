"""Addresses of buffers in this process's memory."""

from __future__ import annotations

from functools import cache
from typing import Any


def address_of(view: memoryview) -> int:
    """The address of a contiguous buffer's first byte, of read-only ones too."""
    ctypes, buffer_type, pythonapi = _machinery()
    buffer = buffer_type()
    pythonapi.PyObject_GetBuffer(ctypes.py_object(view), ctypes.byref(buffer), 0)
    try:
        return buffer.buf or 0
    finally:
        pythonapi.PyBuffer_Release(ctypes.byref(buffer))


@cache
def _machinery() -> Any:
    """``ctypes`` takes milliseconds to load, so it is loaded when something large is met twice."""
    import ctypes

    class PyBuffer(ctypes.Structure):
        """``Py_buffer`` of ``Include/pybuffer.h``; the same since Python 3.0."""

        _fields_ = (
            ("buf", ctypes.c_void_p),
            ("obj", ctypes.py_object),
            ("len", ctypes.c_ssize_t),
            ("itemsize", ctypes.c_ssize_t),
            ("readonly", ctypes.c_int),
            ("ndim", ctypes.c_int),
            ("format", ctypes.c_char_p),
            ("shape", ctypes.c_void_p),
            ("strides", ctypes.c_void_p),
            ("suboffsets", ctypes.c_void_p),
            ("internal", ctypes.c_void_p),
        )

    return ctypes, PyBuffer, ctypes.pythonapi
