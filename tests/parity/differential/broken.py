"""Our pool with a fault put in on purpose: the differential test must find each."""

from __future__ import annotations

from typing import Any

BROKEN: dict[str, Any] = {}
