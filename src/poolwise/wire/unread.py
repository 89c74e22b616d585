"""Memory that the unread values of one stream may take."""

from __future__ import annotations

import os
from functools import cache

from poolwise.wire.settings import setting_bytes

_SHARE = 16
"""One sixteenth: several streams, their inputs and the program itself have to fit beside it."""

_FALLBACK_BYTES = 1 << 30


@cache
def unread_limit_bytes() -> int:
    """Bytes of unread values at which a stream stops working ahead.

    A sixteenth of the memory that this process may use: the machine's, or that of the smallest
    control group above it. ``POOLWISE_UNREAD_BYTES`` in the environment stands for it if it is set.

    :raises ValueError: the variable is no whole number above 0.
    """
    return setting_bytes("POOLWISE_UNREAD_BYTES", _memory_bytes() // _SHARE)


def _memory_bytes() -> int:
    from poolwise.wire import cgroups

    try:
        machine_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        machine_bytes = _FALLBACK_BYTES * _SHARE
    return min([machine_bytes, *(limit.limit_bytes for limit in cgroups.memory_limits())])
