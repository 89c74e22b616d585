"""Notes of a report on what followed from limits of workers' memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poolwise.quantities import say_bytes

if TYPE_CHECKING:
    from poolwise.core.footprints import Footprints


def say_memory(footprints: Footprints, wanted: int, recycled: int) -> list[str]:
    """Sentences about ``max_memory`` and ``recycle_above``.

    :param wanted: number of workers that were asked for.
    :param recycled: workers that were replaced.
    """
    said = []
    if footprints.total_bytes is not None and footprints.has_learned:
        said.append(
            f"max_memory of {say_bytes(footprints.total_bytes)} has room for "
            f"{footprints.room(wanted)} of {wanted} workers: the largest took "
            f"{say_bytes(footprints.largest_bytes)} of its own"
        )
    if recycled and footprints.growth_bytes is not None:
        were = "worker was" if recycled == 1 else "workers were"
        said.append(
            f"{recycled} {were} replaced: own memory had grown by more than recycle_above, "
            f"{say_bytes(footprints.growth_bytes)}"
        )
    return said
