"""Shared memory that leaves nothing behind: :data:`Segment` is the right kind for this system."""

from __future__ import annotations

import sys

if sys.platform == "linux":
    from poolwise.memory.segment_linux import MemfdSegment as Segment
else:
    from poolwise.memory.segment_posix import NamedSegment as Segment

__all__ = ["Segment"]
