"""Every number that the choice goes by, with its reason."""

from __future__ import annotations

from poolwise.record import record


@record
class Limits:
    """Thresholds and weights; where no benchmark is named, none has found the number."""

    recent_weight: float = 0.7
    """Weight that earlier blocks keep at the next one, so that drift is seen; found by no
    benchmark."""

    slow_first: int = 3
    """A first item that took so many times as long as the next ones paid for imports and caches."""

    gil_is_held: float = 0.5
    """Share of knocks at which a thread held the GIL: above it, it computes and does not wait.
    """

    grace_s: float = 0.01
    """Calls that are over by then are not looked at."""

    look_beside_s: float = 0.01
    """Between two looks at an item that takes long."""

    thread_item_s: float = 5e-6
    """Cost of an item in a thread beside its function: its share of a chunk, waits for the GIL.
    """

    process_item_s: float = 1e-6
    """Cost of an item to the parent beside pickling (`imap` of a generator: 0.5 us of CPU, and as
    much to hand its value on)."""

    thread_start_s: float = 1e-4
    """A thread and its lane."""

    most_threads: int = 64
    """More connections at once than this are a burden for whoever answers them."""

    first_threads: int = 8
    """Threads of a call whose items wait, before their number grows."""

    most_processes_per_cpu: int = 4
    """Workers for items that compute and wait in turn; each costs memory."""

    mixed_share: float = 0.4
    """Items that wait for less than this part of their time need no more workers than CPUs. A busy
    machine makes items that compute look as if they waited for up to a third."""

    lock_share: float = 0.6
    """Threads that wait for more of their time, though items alone did not, wait for the GIL. On a
    busy machine one that has it may be off its CPU, and the others wait for up to half."""

    least_wait_s: float = 5e-5
    """No device and no other machine answers sooner; what is shorter waited for the GIL, or a
    page."""

    waiting_share: float = 0.5
    """Items that wait for at least this part of their time can be said to wait."""

    threaded_factor: float = 1.3
    """A process that uses so many times the CPU of the thread that runs an item has more at work.
    """

    most_gil: float = 0.5
    """Share of time with the lock above which threads gain nothing that a look of 30 ms,
    with errors of a fifth, could promise."""

    gain: float = 0.9
    """A change must promise at least a tenth: measurements and costs drift by that much."""

    change_gain: float = 0.75
    """And one of what runs already must promise a quarter: what is under way has to be waited for.
    """

    growth: float = 1.05
    """A doubling that brings less throughput than this was one too many."""

    least_window_s: float = 0.01
    """Rates over a shorter time are chance."""

    first_look_s: float = 0.002
    """Time before which no decision can be worth its cost."""

    look_factor: float = 1.3
    """And later decisions come when the call has lasted so much longer: they cost 50 us each."""

    block_s: float = 0.001
    block_share: float = 1 / 16
    """A block of items is timed as one: of this length, or this part of the call if it is more."""

    longest_block_s: float = 0.05
    """And no longer than this, so that decisions are not put off."""

    most_in_block: int = 1000
    """Items of a block that cannot be ended before its time: they may become slow all at once."""

    spare_share: float = 0.01
    """Part of the time that may be spent on trying what it costs to send items."""

    doubts: int = 2
    """A review that speaks against what runs may be chance; two in a row are not."""

    dwell_s: float = 0.1
    """Serial for so long after a stretch, before anything else is begun: each change costs a
    drain."""

    review_mask: int = 7
    """One in eight values of a pool is followed by a look at how it goes, which costs as much."""

    asked_threads: int = 32
    """Threads where they were asked for and nothing is known of what they do."""

    long_item_s: float = 0.02
    """An item that takes longer is worth looking at before it ends."""

    review_s: float = 0.005
    """Between two looks at how it goes."""

    window_s: float = 0.2
    """Throughput over a shorter time says little of a pool that hands out chunks of 40 ms."""

    few_refused: int = 3
    """So many items that cannot be pickled may be run in between; more say that they are the rule.
    """

    least_work_s: float = 0.1
    """Seconds of work that say something; where a busy machine grants little CPU, they take
    longer."""

    many_items: int = 1000
    """Items that say something, however short they are."""

    certain_waiting: float = 0.8
    """On a busy machine a worker's function also waits for the thread that looks out for messages;
    less than this is no sign of items that wait."""

    first_coroutines: int = 16
    """Coroutines at once, before their number grows."""

    most_coroutines: int = 1024
    """Each may hold a connection: this is the usual limit of open files."""

    coroutines_ahead: int = 4
    """A lazy call works ahead by so many values for each coroutine."""

    most_outside_bytes: int = 1 << 20
    """More than this is not sent with each call: workers have it from their start, or do not."""

    most_functions: int = 100
    """Functions that are looked into, from the first one on."""


LIMITS = Limits()
