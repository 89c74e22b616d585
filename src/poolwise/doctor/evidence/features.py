"""Evidence: the facts of one observed run that rules read, typed, in plain data.

Evidence is made from records by `gather.gather` and knows nothing of live pools, so a rule can be
tried on a file from last year. Everything is a frozen dataclass of numbers, strings, lists and
dicts; `account.plain` carries it through JSON.

Units are in the names: `_s` seconds, `_bytes`, `_share` between 0 and 1. What was not visible is
None, never zero: a rule that meets None answers "cannot tell".
"""

from __future__ import annotations

from dataclasses import dataclass, field

from poolwise.account.ledger import Factor, Laws

SCHEMA = 2
"""Version of it in JSON. It grows when a field changes its meaning or goes away."""


@dataclass(frozen=True)
class Place:
    """A line of somebody's code."""

    file: str
    line: int
    function: str = ""

    def __str__(self) -> str:
        return f"{self.file.rpartition('/')[2]}:{self.line}"

    def is_line_of(self, other: Place | None) -> bool:
        """True if both are the same line. Our own pools know no more of a file than its name."""
        if other is None or self.line != other.line:
            return False
        short, long = sorted((self.file, other.file), key=len)
        return short == long or ("/" not in short and long.endswith(f"/{short}"))


@dataclass(frozen=True)
class Distribution:
    """A sample of durations. `index_of_max` is the position in the user's input, if known."""

    count: int
    p50_s: float
    max_s: float
    index_of_max: int | None = None


@dataclass(frozen=True)
class Leaf:
    """One part of the arguments, as far as sampled messages showed it: an argument's weight.

    `name` says where it sits: "partial.args[0]", "partial.table", "self", "arg[1]", "arg" (the
    item itself); `parameter` is the function's own name for it, where it could be read.
    `distinct` contents were counted by value among `sampled` messages.
    """

    name: str
    parameter: str | None
    type: str
    size_bytes: float
    sampled: int
    distinct: int
    share_of_bytes_out: float

    @property
    def is_the_item(self) -> bool:
        """True if this is the item itself: equal items are no repeated configuration."""
        return self.name == "arg"

    @property
    def is_repeated(self) -> bool:
        """True if nearly every sampled message carried the same content."""
        return self.sampled > 1 and self.distinct <= max(1, self.sampled // 4)


@dataclass(frozen=True)
class StepCosts:
    """The cost of one message at each step, as fixed seconds plus seconds per item.

    The lower quartile of what was seen: what the step costs when nothing disturbs it. A message
    that does not fit the pipe at once keeps both its ends busy while it passes. That is not in the
    steps: it is at `send_bytes_per_s` and `reply_bytes_per_s` on average, and in the calm quarter
    at the rates of that name; None if there were none.
    """

    dispatch_s: tuple[float, float]
    fetch_s: tuple[float, float]
    reply_s: tuple[float, float]
    collect_s: tuple[float, float]
    item_bytes_out: float
    item_bytes_in: float
    message_bytes: float
    send_bytes_per_s: float | None
    reply_bytes_per_s: float | None
    calm_send_bytes_per_s: float | None = None
    calm_reply_bytes_per_s: float | None = None


@dataclass(frozen=True)
class Site:
    """A line of the program that gives work to a pool, with all it gave from there.

    `account` holds the states that belong to a message (waiting for it, moving it, running it),
    in worker-seconds; start-up and tail belong to the pool. `chunksize_asked` None: the program
    left it to the library. `series_s` are item times in input order, neighbours averaged so that
    at most 4096 are kept: each value stands for `series_step` items.
    """

    place: Place | None
    api: str
    function: str
    function_place: Place | None
    calls: int
    messages: int
    items: int
    chunksize_asked: int | None
    chunksize: float
    input_type: str | None
    input_has_length: bool | None
    listing_s: float | None
    result_type: str | None
    bytes_out: float
    bytes_in: float
    first_s: float
    last_s: float
    account: dict[str, float]
    item_times: Distribution | None
    queue_wait: Distribution | None
    leaves: list[Leaf]
    series_s: list[float]
    series_step: float

    @property
    def work_s(self) -> float:
        """Worker-seconds inside the user's function, on CPU or blocked: a plain loop's time."""
        return self.account.get("run_cpu", 0.0) + self.account.get("run_blocked", 0.0)


@dataclass(frozen=True)
class Startup:
    """The start of workers, mean seconds per worker unless the name says otherwise.

    launch: the parent's own time in `Process.start`. interpreter: from there until a new
    interpreter runs (0 with fork). imports: until the worker function could begin (mostly the
    main module again), and the memory that a fresh interpreter took for them. initializer: the
    user's.
    """

    starts: int
    launch_s: float
    interpreter_s: float | None
    imports_s: float | None
    initializer_s: float | None
    ready_max_s: float
    imports_bytes: float | None = None


@dataclass(frozen=True)
class Worker:
    """One worker process (or thread): its account in seconds, what it used."""

    pid: int
    began_s: float
    ended_s: float
    messages: int
    account: dict[str, float]
    cpu_s: float | None
    threads: int | None
    exit_code: int | None


@dataclass(frozen=True)
class Death:
    """A worker that ended without being asked to. `exit_code` negative: the signal's number.

    `was_ready` False: it ended while it was still starting, before it could take any work.
    `error`: type and place of the error that ended it, if one of Python did.
    """

    pid: int
    exit_code: int | None
    at_s: float
    running_s: float | None
    was_ready: bool = True
    error: str | None = None


@dataclass(frozen=True)
class ParentTimeline:
    """The two threads of the parent that serve a pool, partitioned; seconds.

    dispatcher: `dispatch_idle_s` + `generator_s` + `pickle_s` + `write_s`.
    collector: `collect_wait_s` + `read_s` + `unpickle_s` + `handle_s` (callbacks, bookkeeping).
    `caller_wait_s`: threads of the program blocked in results of this process's pools.
    """

    dispatch_idle_s: float
    generator_s: float
    pickle_s: float
    write_s: float
    collect_wait_s: float
    read_s: float
    unpickle_s: float
    handle_s: float
    caller_wait_s: float


@dataclass(frozen=True)
class RandomStream:
    """A global random generator, seen when workers began and again after their first task.

    `distinct_starts` < `workers` and `used`: workers draw the same numbers.
    """

    name: str
    workers: int
    distinct_starts: int
    used: bool


@dataclass(frozen=True)
class Pool:
    """One pool of the program.

    `kind`: "multiprocessing.Pool", "ProcessPoolExecutor", "loky", "ThreadPool",
    "ThreadPoolExecutor", "hand-made". `slots` is P, `region_s` is W: the states of the account sum
    to P x W x `identity`; what is missing or too much stands in the state "unexplained".
    `demand_cpus` counts CPUs wanted (running or runnable) while tasks ran.
    `laws`: its speed-up and ceiling; None if no task was timed.
    """

    id: int
    kind: str
    place: Place | None
    pid: int
    method: str | None
    slots: int
    max_tasks_per_child: int | None
    initializer: str | None
    created_s: float
    region_s: float
    active_s: float
    creation_s: float
    teardown_s: float
    account: dict[str, float]
    identity: float
    chain: tuple[Factor, ...]
    messages: int
    items: int
    recorded: int
    bytes_out: float
    bytes_in: float
    sites: list[Site]
    workers: list[Worker]
    startup: Startup
    deaths: list[Death]
    parent: ParentTimeline | None
    costs: StepCosts | None
    item_times: Distribution | None
    queue_wait: Distribution | None
    blocked_by: dict[str, float]
    samples: int
    helper_cpu_s: float
    cores_used: float
    demand_cpus: float
    mean_running: float
    max_outstanding: int
    mean_outstanding: float
    leaves: list[Leaf]
    random_streams: list[RandomStream]
    switches_forced: int
    parent_threads: int | None
    laws: Laws | None = None

    @property
    def is_threads(self) -> bool:
        """True if its workers share one interpreter."""
        return self.kind.startswith("Thread")

    @property
    def is_ours(self) -> bool:
        """True if it is one of poolwise."""
        return self.kind.endswith("poolwise")

    @property
    def work_s(self) -> float:
        """Worker-seconds inside the user's function, on CPU or blocked: a plain loop's time."""
        return self.account.get("run_cpu", 0.0) + self.account.get("run_blocked", 0.0)

    @property
    def worker_seconds(self) -> float:
        """P x W."""
        return self.slots * self.region_s


@dataclass(frozen=True)
class Channel:
    """A queue or pipe end that the program handles itself, as one process used it."""

    pid: int
    kind: str
    operation: str
    calls: int
    size_bytes: float
    place: Place | None


@dataclass(frozen=True)
class Proxy:
    """Calls of one method through `multiprocessing.Manager` proxies, over all processes."""

    type: str
    method: str
    calls: int
    processes: int
    place: Place | None
    inside_tasks_s: float


@dataclass(frozen=True)
class Program:
    """The run as a whole. `serial_s`: wall time in which no pool had work outstanding.

    `exit_status`: negative: the signal that ended it; None: it was not seen to end.
    `serial_idle_s`: the part of `serial_s`, but for making and ending pools, in which the program
    neither computed nor read nor slept: its threads waited for each other, or an event loop to be
    called. `unseen_s`: the part
    of it in which a Python of the program ran that could not be looked into. `lost_pools`: pools
    of ours that did not come to their end, which is when their ledger is read. `stopped_s`: when
    somebody first told it to end, by a signal.
    """

    command: list[str]
    exit_status: int | None
    wall_s: float
    boot_s: float | None
    parallel_s: float
    serial_s: float
    cpu_s: float
    python: str | None
    cpus: float
    cpus_machine: int
    other_cpus: float | None
    steal_cpus: float | None
    throttled_s: float | None
    throttled_periods: int | None
    quota_cpus: float | None
    native_threads: dict[str, int]
    processes: int
    unseen_processes: int
    is_interrupted: bool
    can_see_causes: bool
    serial_idle_s: float | None = None
    unseen_s: float = 0.0
    lost_pools: int = 0
    stopped_s: float | None = None


@dataclass(frozen=True)
class ObserverCost:
    """The doctor's own cost: CPU-seconds inside the program, beside it, and as a share."""

    records: int
    inside_s: float
    start_s: float
    beside_s: float
    share_of_cpu: float


@dataclass(frozen=True)
class Experiment:
    """A call's own function, tried in another way; `kind` and `value` are those of remedies.

    `seconds` is the least of `rounds` tries on the trial's sample, `ratio` that by the least that
    the call as it was ("as-is") took on the same sample in turns with it.
    """

    kind: str
    value: int | None
    seconds: float
    ratio: float
    rounds: int


@dataclass(frozen=True)
class Trial:
    """The experiments of `--verify` on one call, in a snapshot of the program right after it.

    `items` of `of_items` were the sample; `skipped` names what there was no time for, or what
    failed, and why; `failure` why there is nothing at all.
    """

    place: Place | None
    pool: int
    api: str
    items: int
    of_items: int
    spent_s: float
    experiments: list[Experiment]
    skipped: list[str]
    failure: str | None = None


@dataclass(frozen=True)
class Untried:
    """A call that `--verify` made no experiments on, and why not."""

    place: Place | None
    pool: int
    api: str
    why: str


@dataclass(frozen=True)
class HotLine:
    """A line of the program and its share of the time inside tasks.

    Where only functions are known it is the line of the definition. `through`: what it called most
    of code that is not the program's own, whose time is counted here.
    """

    file: str
    line: int
    function: str
    share: float
    through: str | None


@dataclass(frozen=True)
class Profile:
    """Lines that tasks spent time in, hottest first: `seconds` in all, as far as `tool` saw."""

    tool: str
    seconds: float
    lines: list[HotLine]


@dataclass(frozen=True)
class Standstill:
    """A call that did not come to its end, when the program was ended or gave up.

    `cause` is one of `standstill.CAUSES`. No task ended from `since_s` on, for `lasted_s`;
    `done` of `sent` messages had been answered (None: not counted). `told` says, a sentence each,
    what workers and the parent's threads were doing. `stopped_by` names the signal that ended it;
    None: the program ended by itself.
    """

    cause: str
    place: Place | None
    api: str
    pool: int | None
    since_s: float
    lasted_s: float
    sent: int | None
    done: int | None
    stopped_by: str | None
    told: list[str]


@dataclass(frozen=True)
class Evidence:
    """Evidence of one run. `is_attached` False: no process of the program was reached.

    `serial`: lines of the program's first thread outside its pools, where it was asked for them.
    """

    is_attached: bool
    program: Program
    pools: list[Pool]
    channels: list[Channel]
    proxies: list[Proxy]
    observer: ObserverCost
    troubles: list[str] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    untried: list[Untried] = field(default_factory=list)
    profile: Profile | None = None
    serial: Profile | None = None
    standstill: Standstill | None = None
    schema: int = SCHEMA
