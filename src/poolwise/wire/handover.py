"""What a process is given at its start, on its way into it.

A forked process has it already. Into any other it is pickled while that is being started, for locks
and queues travel only then; and large data in it through the arena, not through the pipe that the
new interpreter reads its orders from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from poolwise.wire import packing
from poolwise.wire.mail import Sealed
from poolwise.wire.parcel import NOWHERE, Parcel, seal

if TYPE_CHECKING:
    from poolwise.wire.arena import PoolMemory
    from poolwise.wire.mail import Mail


class Handover:
    """A value for one process; ``blocks`` are lent to it when it has been started.

    :param memory: where large data goes; None: with the rest.
    """

    def __init__(self, value: Any, memory: PoolMemory | None) -> None:
        self._value = value
        self._memory = memory
        self.blocks: list[int] = []

    def open(self, _: Mail) -> Any:
        """The value, in the process that it is for."""
        value, self._value = self._value, None
        return value

    def __reduce__(self) -> tuple[Any, ...]:
        parcel = packing.pack_to_spawn(self._value)
        places = [NOWHERE] * len(parcel.parts)
        if self._memory is not None:
            parcel, places = self._put_down(self._memory, parcel)
        return Sealed, (b"".join(seal(b"", parcel, places, all_repeated=True)),)

    def _put_down(self, memory: PoolMemory, parcel: Parcel) -> tuple[Parcel, list[int]]:
        deposit = memory.deposit(parcel)
        self.blocks = [place for place in deposit.places if place != NOWHERE]
        memory.hold(self.blocks)
        return deposit.parcel, deposit.places
