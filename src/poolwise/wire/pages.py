"""Private memory for what is large and comes through a pipe."""

from __future__ import annotations

import mmap

HUGE_BYTES = 32 << 20
"""From here on huge pages are asked for. What is shorter the C library of most Linux systems keeps
for the next who asks: it is touched for the first time once."""


def fresh_memory(length: int) -> memoryview:
    """Memory of this process that is not in use, in huge pages where the system has them.

    To touch such memory for the first time costs a fifth of what it costs page by page, which is
    more than to fill it (``benchmarks/past_the_arena``).
    """
    advice = getattr(mmap, "MADV_HUGEPAGE", None)
    if length < HUGE_BYTES or advice is None:
        return memoryview(bytearray(length))
    try:
        memory = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError:
        return memoryview(bytearray(length))  # says in its own way that there is none
    try:
        memory.madvise(advice)
    except OSError:
        pass  # this kernel has no huge pages
    return memoryview(memory)
