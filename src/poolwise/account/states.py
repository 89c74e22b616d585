"""States of a worker's and of the parent's time: the one table of names, colours and meanings.

The account of our own pools, what the doctor derives from records, reports and rules use these
names alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from poolwise.account.book import CAUSES, PARENT_STATES

if TYPE_CHECKING:
    from collections.abc import Mapping

Meaning = Literal[
    "work", "blocked", "cpu_wait", "move_out", "move_in", "pickle", "unpickle",
    "starved", "hand_over", "input", "consumer", "start", "load", "init", "tail", "absent", "other",
]  # fmt: skip
"""Key of a colour (``report.palette``)."""


class State(NamedTuple):
    """One state.

    :param title: its name in charts.
    :param factor: of :data:`FACTORS`, the one that loses its time; "" where none is lost.
    :param phrase: in a sentence on worker time that was lost: "2.1 s (30 %) <phrase>.".
    """

    title: str
    colour: Meaning
    meaning: str
    factor: str = ""
    phrase: str = ""


FACTORS: dict[str, Meaning] = {
    "start-up": "start",
    "supply": "input",
    "load balance": "tail",
    "transfer": "move_out",
    "serialisation": "pickle",
    "CPU availability": "cpu_wait",
    "unexplained": "other",
}
"""Factors of the efficiency, in the order in which their losses are taken off, and their colours.

The names follow the POP centre of excellence (co-design.pop-coe.eu/metrics), except that
serialisation means waiting for dependencies there, and pickling here."""

CHAIN: dict[str, Meaning] = {**FACTORS, "blocking": "blocked"}
"""Factors of the doctor, who counts down to time on a CPU."""

STATES: dict[str, State] = {
    "run": State("running", "work", "the user's function, not split"),
    "run_cpu": State("computing", "work", "the user's function, on a CPU"),
    "run_blocked": State(
        "blocked inside the function", "blocked",
        "the user's function, off CPU because it waits: I/O, sleep, a lock",
        "blocking", "waited inside the function (I/O, sleep, locks)",
    ),
    "run_queued": State(
        "in the function, no CPU", "cpu_wait",
        "the user's function, off CPU because none was granted: run queue, CPU quota",
        "CPU availability", "were inside the function but got no CPU",
    ),
    "cpu_not_granted": State(
        "message there, no CPU", "cpu_wait",
        "a message had come, no CPU was free: run queue, CPU quota",
        "CPU availability", "had a message but got no CPU to read it",
    ),
    "receive": State(
        "receiving", "move_out", "a message is being read from the pipe",
        "transfer", "read messages",
    ),
    "unpickle": State(
        "unpickling", "unpickle",
        "arguments (and a function it meets first) are rebuilt, and cleared away again",
        "serialisation", "unpickled",
    ),
    "pickle": State(
        "pickling", "pickle", "results are pickled", "serialisation", "pickled results"
    ),
    "lock": State(
        "waiting for the result pipe", "move_in",
        "another worker writes to the pipe that all of them share", "transfer",
    ),
    "send": State(
        "sending", "move_in", "results are written to the pipe", "transfer", "wrote results"
    ),
    "loop": State(
        "the pool's own loop", "hand_over", "the pool's own code, between two messages",
        "serialisation",
    ),
    "parent": State(
        "waiting for the parent", "starved", "items wait, but the parent is busy"
    ),
    "parent_pickle": State(
        "parent pickling", "pickle", "items wait, the parent pickles (for this worker or another)",
        "serialisation", "waited while the parent pickled arguments",
    ),
    "parent_send": State(
        "parent sending", "move_out", "items wait, the parent writes to pipes",
        "transfer", "waited while the parent wrote messages",
    ),
    "parent_decide": State(
        "parent handing out", "starved",
        "items wait, the parent is in its bookkeeping or starts workers",
        "transfer", "waited while the parent was in the pool's own bookkeeping",
    ),
    "parent_receive": State(
        "parent receiving", "move_in", "items wait, the parent reads from pipes",
        "transfer", "waited while the parent read results",
    ),
    "parent_unpickle": State(
        "parent unpickling", "unpickle", "items wait, the parent rebuilds results",
        "serialisation", "waited while the parent unpickled results",
    ),
    "parent_user_code": State(
        "parent in the program's code", "consumer",
        "items wait, but the program's own code keeps the parent from its workers",
        "supply", "waited while the program's own code held up the parent",
    ),
    "hand_over": State(
        "hand-over", "hand_over",
        "work is on its way: the pipe, the wake-up of a sleeping process",
        "transfer", "passed between a message's sending and a worker's waking up",
    ),
    "input_slow": State(
        "waiting for the input", "input",
        "all items that exist were handed out; the input gives the next ones too slowly",
        "supply", "waited for the input, which gives items more slowly than workers take them",
    ),
    "consumer_slow": State(
        "waiting for the reader", "consumer",
        "as many results wait to be read as may; the program reads too slowly",
        "supply", "waited because results are read more slowly than they are made",
    ),
    "tail": State(
        "nothing left to do", "tail",
        "nothing is left to hand out while other workers still work",
        "load balance", "were idle at the end, with nothing left to hand out",
    ),
    "drain": State(
        "last results under way", "consumer", "all is done, the parent still reads results",
        "load balance",
    ),
    "no_job": State(
        "no call open", "absent", "no call was open: the program did something else", "supply"
    ),
    "start": State(
        "starting", "start", "the process is made: fork or exec, until it runs",
        "start-up", "went into making worker processes",
    ),
    "import": State(
        "importing", "load",
        "a fresh interpreter boots and imports the main module (0 where workers are forked)",
        "start-up", "went into booting workers and importing the main module in them",
    ),
    "init": State(
        "initializer", "init", "the user's initializer runs", "start-up", "ran the initializer"
    ),
    "not_started": State(
        "not started yet", "absent", "a place stands empty while a call is open",
        "start-up", "were lost because workers were not started yet",
    ),
    "respawn": State("replacing workers", "load", "a worker is being replaced", "start-up"),
    "exit": State(
        "ending", "absent", "told to end, until the process is gone",
        "start-up", "went into ending workers",
    ),
    "in_flight": State(
        "with a worker that has not answered", "other",
        "the chunk that it has not answered for yet", "unexplained",
    ),
    "produce": State("reading the input", "input", "the user's iterable gives items"),
    "decide": State("bookkeeping", "starved", "the pool's own bookkeeping, and starting workers"),
    "user_code": State(
        "the program's own code", "consumer",
        "a call is open and the program's own code runs: between results, in callbacks",
    ),
    "wait": State("waiting", "tail", "nothing to do but to wait for the other side"),
    "observer": State(
        "the doctor's clocks", "other", "clocks are read around a task", "unexplained"
    ),
    "unknown": State(
        "idle, cause unknown", "other", "the clocks of the processes cannot be compared",
        "unexplained", "were idle for a reason that cannot be told on this system",
    ),
    "unexplained": State(
        "unexplained", "other", "what none of the above explains (negative: counted twice)",
        "unexplained", "have no name",
    ),
}  # fmt: skip
"""Every state by its name, in the order of the bars."""

WORKER_ENTRIES = (
    "start", "import", "init", "wait", "receive", "unpickle", "run_cpu", "run_blocked",
    "run_queued", "pickle", "send", "in_flight", "tail", "no_job", "exit", "unexplained",
)  # fmt: skip
"""Entries of a worker's account; together they are the worker's life."""

PARENT_ENTRIES = tuple(dict.fromkeys((*PARENT_STATES, "unexplained")))
"""Entries of the parent's account; together they are the pool's wall time."""

IDLE_CAUSES = CAUSES
"""Causes of a worker's idleness; they sum to its entries "wait", "tail" and "no_job"."""


def merge(account: Mapping[str, float], idle: Mapping[str, float]) -> dict[str, float]:
    """The worker's states: its entries and, in place of waiting, the causes of it."""
    waiting = {"wait", "tail", "no_job"}
    return {**{name: value for name, value in account.items() if name not in waiting}, **idle}
