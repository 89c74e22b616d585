"""Door 3: pools for asyncio programs."""

from __future__ import annotations

from poolwise.aio.pool import Pool as Pool

__all__ = ["Pool"]
