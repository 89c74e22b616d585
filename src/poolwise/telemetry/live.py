"""Progress events of a pool: plain data for displays and other listeners.

A listener is ``on_event(event)``. It is called in some thread of the parent, never in two at once,
while the pool's own work goes on; what it raises is logged. Nothing is made where nobody listens.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LaneNow:
    """Activity of one worker at this moment.

    :param function: None while it has nothing to do.
    :param item: position in the input of the item that runs, as far as the parent knows.
    :param running_s: since it last gave a sign of life (an answer, or the begin of its chunk).
    """

    lane: int
    pid: int | None
    function: str | None
    item: int | None
    running_s: float


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of one call.

    Told when it begins, now and then (10 times a second at most for each call), and when it is
    over.

    :param job: the call's number.
    :param items: how many there are; None while nobody knows.
    :param done: how many have been answered for, those of chunks that still run included;
        ``failed`` of them raised.
    :param item_s: what an item costs a worker, by recent answers; None before the first.
    :param error: what ended the call as a whole.
    """

    job: int
    function: str
    site: str | None
    items: int | None
    done: int
    failed: int
    elapsed_s: float
    item_s: float | None
    lanes: tuple[LaneNow, ...]
    is_over: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True)
class LaneBegan:
    """A worker is ready for its first task."""

    lane: int
    pid: int | None


@dataclass(frozen=True, slots=True)
class LaneEnded:
    """A worker is no more. ``how``: as in "was killed by SIGKILL"."""

    lane: int
    pid: int | None
    how: str
    was_told_to: bool


@dataclass(frozen=True, slots=True)
class TaskStuck:
    """A task runs far longer than all the others of its call did. Told once for each task.

    :param typical_s: what the others took at most.
    """

    lane: int
    pid: int | None
    function: str
    item: int
    running_s: float
    typical_s: float


@dataclass(frozen=True, slots=True)
class TaskOutput:
    """A line that a task printed, where output is captured.

    :param stream: "stdout" or "stderr".
    :param item: position in the input of the item that ran; None outside of tasks, and where what
        is written past Python's streams may be of several.
    """

    lane: int
    pid: int | None
    function: str | None
    item: int | None
    stream: str
    text: str


LiveEvent = Progress | LaneBegan | LaneEnded | TaskStuck | TaskOutput
