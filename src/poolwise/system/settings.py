"""Numbers that the environment may set, for a program and all its workers."""

from __future__ import annotations

import os
from functools import cache


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


_UNREAD_SHARE = 16
"""One sixteenth: several streams, their inputs and the program itself have to fit beside it."""

_FALLBACK_BYTES = 16 << 30
"""Memory of a machine that does not tell (Windows)."""


@cache
def unread_limit_bytes() -> int:
    """Bytes of unread values at which a stream stops working ahead.

    A sixteenth of the memory that this process may use: the machine's, or that of the smallest
    control group above it. ``POOLWISE_UNREAD_BYTES`` in the environment stands for it if it is set.

    :raises ValueError: the variable is no whole number above 0.
    """
    return setting_bytes("POOLWISE_UNREAD_BYTES", _memory_bytes() // _UNREAD_SHARE)


def _memory_bytes() -> int:
    from poolwise.system import cgroups

    try:
        machine_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        machine_bytes = _FALLBACK_BYTES
    return min([machine_bytes, *(limit.limit_bytes for limit in cgroups.memory_limits())])
