"""A state on a desk: events are told by hand, time is set by hand, commands are read as lists."""

from __future__ import annotations

from poolwise.core import contract as c
from poolwise.core.job import CALLS, MAP, Function, Job, Listed, Submitted
from poolwise.core.state import State
from poolwise.errors import Death
from poolwise.options import TaskRules

MS = 1_000_000
KILLED = Death(4711, -9)


def work(item):
    """The function of every job here; nobody calls it."""


class AnyRoom:
    """A sink that takes whatever comes; the state never speaks to it but for this question."""

    def room(self, job):
        return None


class Call:
    """What was submitted, as far as the state knows it."""

    call = (work, (), {})
    is_cancelled = False

    def begin(self):
        return not self.is_cancelled


def make_job(items, *, lanes=2, unit=None, **rules):
    """A map over ``items``; ``rules`` are those of TaskRules."""
    return Job(
        Function(work), MAP, Listed(items), AnyRoom(), TaskRules(**rules),
        lanes=lanes, prompt_ns=0, unit=unit,
    )  # fmt: skip


def make_calls(calls, **rules):
    """The endless job of submitted calls."""
    source = Submitted()
    source.items.extend(calls)
    return Job(
        Function(work), CALLS, source, AnyRoom(), TaskRules(**rules),
        lanes=2, prompt_ns=0, unit=1,
    )  # fmt: skip


class Desk:
    """A state with lanes that are ready, unless ``is_cold``."""

    def __init__(self, lanes=2, *, is_cold=False, **options):
        self.state = State(lanes, **options)
        self.now_ns = 0
        if not is_cold:
            for command in self.state.start_all():
                self.state.apply(c.LaneReady(command.lane), 0)

    def tell(self, *events):
        """What follows from the events, as one step of the engine finds it."""
        commands = []
        for event in events:
            commands += self.state.apply(event, self.now_ns)
        return commands + self.state.assign(self.now_ns)

    def post(self, *jobs):
        """The chunks that go out when the jobs are posted."""
        return sent(self.tell(*map(c.JobPosted, jobs)))

    def look(self, now_ns):
        """Nothing has happened, but time has passed."""
        self.now_ns = now_ns
        return self.state.assign(now_ns)

    def holder_of(self, chunk):
        """The lane that holds the chunk."""
        return next(lane.id for lane in self.state.lanes.values() if chunk in lane.chunks)

    def answer(self, chunk, values=None, *, first=0, run_ns=MS, **outcome):
        """The chunk comes back, all of it with its items as values unless said otherwise."""
        values = list(chunk.items[first:]) if values is None else values
        told = c.Outcome(first, values, **{"errors": {}, "run_ns": run_ns, **outcome})
        return self.tell(c.ChunkDone(self.holder_of(chunk), chunk.id, told))

    def kill(self, chunk, death=KILLED):
        """The lane that holds the chunk dies."""
        return self.tell(c.LaneDied(self.holder_of(chunk), death))


def sent(commands):
    """The chunks among the commands that are sent."""
    return [command.chunk for command in commands if isinstance(command, c.SendChunk)]


def items_of(chunks):
    """The items of chunks, in the order of their positions."""
    return [item for chunk in sorted(chunks, key=lambda one: one.start) for item in chunk.items]


def only(kind, commands):
    """The commands of one kind."""
    return [command for command in commands if isinstance(command, kind)]


def errors_of(commands):
    """Position of an item in its job -> what it failed with."""
    return {
        told.chunk.start + told.first + at: error
        for told in only(c.Deliver, commands)
        for at, error in told.errors.items()
    }
