"""The parent's side of process pools: a message on its way out, and a result on its way in."""

from .. import recorder
from ..clocks import now, thread_cpu
from ..gate import Gate
from ..seams import Reads, Writes
from . import tasks
from .calls import UNKNOWN_ORIGIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .calls import Origin


class Sends:
    """The thread that hands out work: when it took, pickled and wrote each message.

    `skip`: so many messages more go unrecorded; who hands out work counts them down.
    """

    __slots__ = (
        "_beat",
        "_cpu",
        "_ended",
        "_pool",
        "_sampler",
        "_taken",
        "_writes",
        "gate",
        "skip",
    )

    def __init__(self, pool: int, writer: "Any") -> None:
        self._pool = pool
        self._writes = Writes(writer)
        self._taken = self._ended = self._cpu = self.skip = 0
        self._sampler = tasks.Sampler()
        self._beat = recorder.reserve(recorder.BEAT, 0, 0, pool, recorder.SEND)
        self.gate = Gate()

    def take(self) -> bool:
        """Note that a message is taken, to be pickled next; tell if `sent` shall be called."""
        at, gate = now(), self.gate
        if gate.stays_dark(at):
            self.skip = gate.skip
            recorder.pack_2(self._beat[0], self._beat[1] + 8, gate.seen - gate.skip, at)
            return False
        is_open = gate.opens(at)
        self._writes.switch(on=is_open)
        if is_open:
            self._taken, self._cpu = at, thread_cpu()
        else:
            self._ended = 0
        return is_open

    @property
    def count(self) -> int:
        """Messages so far."""
        return self.gate.seen - self.skip

    def sent(self, task: "Any", origin: "Origin" = UNKNOWN_ORIGIN) -> None:
        """The message has been written."""
        sent = now()
        cpu = thread_cpu() - self._cpu
        try:
            self._record(sent, cpu, task, origin)
        except Exception as error:  # this message goes unseen
            recorder.trouble("sends", error)
        self._ended = now()

    def _record(self, sent: int, cpu: int, task: "Any", origin: "Origin") -> None:
        job, index, items = tasks.describe(task)
        site, call, submitted, _ = origin
        count = 1 if items is None else len(items)
        writes = self._writes
        times = (self._ended, self._taken, max(self._taken, writes.begun), sent)
        facts = (writes.size, cpu, submitted, site, call)
        head = (self._pool, job, index, count, self.gate.seen)
        recorder.put(recorder.SEND, *head, *times, *facts, *[0] * 9)
        self.gate.spend(now() - sent + _AROUND_NS)
        if self._sampler.look(task, pool=self._pool, job=job, index=index, site=site, call=call):
            recorder.reserve(recorder.COST, self._pool, now() - sent)


class Results:
    """The thread that reads results: when each was there, read, unpickled and dealt with.

    `skip`: so many results more go unrecorded; who reads them counts them down.
    """

    __slots__ = ("_beat", "_cpu", "_open", "_reads", "_since", "gate", "pool", "skip")

    def __init__(self, pool: int, reader: "Any") -> None:
        self.pool = pool
        self._reads = Reads(reader)
        self._since = self._cpu = self.skip = 0
        self._open: tuple[int, ...] | None = None
        self._beat = recorder.reserve(recorder.BEAT, 0, 0, pool, recorder.RESULT)
        self.gate = Gate()

    def begin(self) -> None:
        """The thread is through with the last result, and waits for the next from now on."""
        at = now()
        if self._open is not None:
            head, self._open = self._open, None
            recorder.put(recorder.RESULT, *head, at, *[0] * 10)
            self.gate.spend(now() - at + _AROUND_NS)
            at = now()
        self._since = at
        self._reads.header = 0
        if at >= self.gate.until:
            self._reads.switch(on=True)
            self._cpu = thread_cpu()

    def came(self, job: int, index: int) -> None:
        """A result has been read and unpickled."""
        at, gate = self._since, self.gate
        if gate.stays_dark(at):
            self.skip = gate.skip
            recorder.pack_2(self._beat[0], self._beat[1] + 8, gate.seen - gate.skip, at)
        elif gate.opens(at):
            loaded, reads = now(), self._reads
            times = (at, reads.header or at, reads.payload or at, loaded)
            facts = (reads.size, thread_cpu() - self._cpu, reads.begun)
            self._open = (self.pool, job, index, 0, gate.seen, *times, *facts)
        else:
            self._reads.switch(on=False)

    @property
    def count(self) -> int:
        """Results so far."""
        return self.gate.seen - self.skip


_AROUND_NS = 2_000
"""Cost of a record beside the part that is timed."""
