"""Random programs over pools and executors, as plain data whose `repr` can be run again.

A program makes one pool or two, then goes through its steps: calls, reads of what earlier calls
returned (named by the number of their step), and ends of pools, in any order that runs.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from hypothesis import strategies as st

from tests.parity.differential.tasks import ERRORS, NOT_EXCEPTIONS, VALUES, Do, np

# --- the data -----------------------------------------------------------------------------------


class _Short:
    """Its `repr` leaves out what is as by default."""

    def __repr__(self):
        words = []
        for one in fields(self):
            value = getattr(self, one.name)
            if one.default is MISSING:
                words.append(repr(value))
            elif value != one.default:
                words.append(f"{one.name}={value!r}")
        return f"{type(self).__name__}({', '.join(words)})"


@dataclass(frozen=True, repr=False)
class Source(_Short):
    """An input.

    :param kind: what iterates: a list, a generator, a class that lies about its length, ...
    :param items: what it yields, before it is changed by ``mutates``.
    :param mutates: each item is an object of this kind made of a number; a generator changes it
        when it is asked for the next, and other inputs are changed when the call has returned.
    :param fails_at: where a generator raises ``error``, if it does.
    :param calls: what a generator calls on its own pool before it yields its second item.
    """

    kind: str
    items: tuple[Any, ...] = ()
    mutates: str | None = None
    fails_at: int | None = None
    error: str | None = None
    calls: str | None = None


@dataclass(frozen=True, repr=False)
class Setup(_Short):
    """A pool: its door, and what it is made with."""

    door: str
    workers: int = 2
    initializer: str | None = None
    per_child: int | None = None


@dataclass(frozen=True, repr=False)
class Call(_Short):
    """A method of a pool is called."""

    pool: int
    way: str
    function: str
    sources: tuple[Source, ...]
    chunksize: int | None = None
    timeout: float | None = None
    callback: str | None = None
    error_callback: str | None = None
    in_thread: bool = False


@dataclass(frozen=True, repr=False)
class Read(_Short):
    """What an earlier step returned is read, waited for, or dropped.

    :param how: a name in `interpret.READS`.
    :param count: how many values, for those that stop.
    """

    of: int
    how: str
    count: int = 1
    in_thread: bool = False


@dataclass(frozen=True, repr=False)
class End(_Short):
    """A pool is closed, joined, left, dropped, ... (a name in `interpret.ENDS`)."""

    pool: int
    how: str


Step = Call | Read | End


@dataclass(frozen=True, repr=False)
class Program(_Short):
    """Pools and steps.

    :param leaves_open: the interpreter is left with everything as it is, else all is dropped first.
    """

    pools: tuple[Setup, ...]
    steps: tuple[Step, ...]
    leaves_open: bool = False


SYNCHRONOUS = ("map", "starmap", "apply")
STREAMS = ("imap", "imap_unordered")
SINGLE = ("apply", "apply_async", "submit")
CALLED_BACK = ("map_async", "starmap_async", "apply_async", "submit")
POOL_WAYS = (*SYNCHRONOUS, "map_async", "starmap_async", "apply_async", *STREAMS)
EXECUTOR_WAYS = ("submit", "map")
EXECUTORS = ("executor",)


def is_iterator(program: Program, call: Call) -> bool:
    """The call returns an iterator, else one result (or its values themselves)."""
    is_executor = program.pools[call.pool].door in EXECUTORS
    return call.way in STREAMS or (is_executor and call.way == "map")


def has_handle(program: Program, call: Call) -> bool:
    """The call returns something that can be read later."""
    return is_iterator(program, call) or call.way not in SYNCHRONOUS


# --- how they are made --------------------------------------------------------------------------

MUTATIONS = ["clear", "list", "bytearray", "dict", "object", "nested"]
if np is not None:
    MUTATIONS += ["array", "large array"]

small = st.integers(-3, 9)
plain = st.one_of(
    small,
    st.sampled_from(["", "a", "word", 1.5, True, b"bytes", (1, "two"), (3, (4,))]),
)
odd = st.one_of(
    st.sampled_from(["ValueError", "OddError"]).map(lambda name: Do("raise", name)),
    st.sampled_from(sorted(ERRORS)).map(lambda name: Do("raise", name)),
    st.sampled_from(sorted(VALUES)).map(lambda name: Do("return", name)),
    st.sampled_from(sorted(VALUES)).map(lambda name: Do("given", name)),
    small.map(lambda number: Do("nap", number)),
    small.map(lambda number: Do("gate", number)),
    small.map(lambda number: Do("gate", number)),
)
deadly = st.just(Do("die"))
lengths = st.sampled_from([0, 1, 1, 2, 2, 3, 3, 4, 5, 7, 12, 30])


def weighted(**weights: int) -> st.SearchStrategy[str]:
    """One of these words, as often as its number says."""
    return st.sampled_from([word for word, weight in weights.items() for _ in range(weight)])


@st.composite
def items(draw: st.DrawFn, length: int) -> tuple[Any, ...]:
    """So many items: mostly plain ones, now and then one or two that are odd."""
    made = draw(st.lists(plain, min_size=length, max_size=length))
    for strategy in draw(st.sampled_from([(), (), (), (odd,), (odd,), (odd, odd), (deadly,)])):
        if made and (strategy is odd or draw(st.integers(0, 3)) == 0):
            made[draw(st.integers(0, length - 1))] = draw(strategy)
    return tuple(made)


SOURCE_KINDS = weighted(
    list=4, tuple=1, range=2, set=1, dict=1, str=1, generator=8, iterator=1, getitem=1,
    long_hint=1, short_hint=1, long_len=1, short_len=1, broken_iter=1,
)  # fmt: skip


@st.composite
def sources(draw: st.DrawFn, kind: str | None = None) -> Source:
    """An input of any kind."""
    kind = kind or draw(SOURCE_KINDS)
    length = draw(lengths)
    if kind == "range":
        return Source(kind, tuple(range(length)))
    if kind == "str":
        return Source(kind, tuple("abcdefghijklmnopqrstuvwxyzabcdef"[:length]))
    if kind == "set":
        return Source(kind, tuple({*draw(st.lists(small, max_size=length))}))
    if kind in {"generator", "list"} and draw(st.integers(0, 2)) == 0:
        return Source(kind, tuple(range(length)), mutates=draw(st.sampled_from(MUTATIONS)))
    made = draw(items(length))
    if kind == "dict":
        keys = [item for item in made if not (isinstance(item, Do) and item.what == "given")]
        return Source(kind, tuple(dict.fromkeys(keys)))
    if kind == "generator":
        return draw(generators(made))
    return Source(kind, made)


@st.composite
def generators(draw: st.DrawFn, made: tuple[Any, ...]) -> Source:
    """A generator; one in four raises, one in eight calls its own pool."""
    what = draw(weighted(plain=10, raises=3, raises_no_exception=1, calls=2))
    if what.startswith("raises"):
        names = ["ValueError", "OddError"] if what == "raises" else NOT_EXCEPTIONS
        at = draw(st.integers(0, len(made)))
        return Source("generator", made, fails_at=at, error=draw(st.sampled_from(names)))
    if what == "calls":
        return Source("generator", made, calls=draw(st.sampled_from(["later", "later", "now"])))
    return Source("generator", made)


@st.composite
def setups(draw: st.DrawFn) -> Setup:
    """A pool or an executor, mostly without anything special."""
    door = draw(weighted(pool=3, executor=2))
    initializer = draw(weighted(none=12, ok=2, raises=1))
    may_replace = door == "pool"  # the standard executor refuses it together with fork
    per_child = draw(st.sampled_from([None] * 6 + [1, 2])) if may_replace else None
    workers = draw(st.sampled_from([1, 2, 2, 2, 3]))
    return Setup(door, workers, None if initializer == "none" else initializer, per_child)


CALLBACKS = weighted(none=4, log=6, nap=1, submit=2, raises=1, terminate=1)
FUNCTION_NAMES = weighted(**{
    "echo": 8, "look": 8, "partial": 1, "instance": 1, "method": 1, "repr": 1, "lambda": 1,
    "not callable": 1, "initialized": 1,
})  # fmt: skip


@st.composite
def calls(draw: st.DrawFn, pool: int, door: str) -> Call:
    """Any method with any input."""
    if door in EXECUTORS:
        way = draw(st.sampled_from(EXECUTOR_WAYS))
    else:
        way = draw(weighted(**dict.fromkeys(POOL_WAYS, 1) | {"imap": 4, "imap_unordered": 2}))
    function = draw(FUNCTION_NAMES)
    if way in SINGLE:
        inputs: tuple[Source, ...] = (draw(single_items()),)
    elif way == "map" and door in EXECUTORS and draw(st.integers(0, 3)) == 0:
        function, inputs = "pair", (draw(sources()), draw(sources()))
    else:
        inputs = (draw(sources()),)
    if way.startswith("starmap"):
        function = "pair"
    back = draw(CALLBACKS) if way in CALLED_BACK else "none"
    error_back = draw(CALLBACKS) if way in CALLED_BACK and door not in EXECUTORS else "none"
    may_wait = way == "map" and door in EXECUTORS
    return Call(
        pool,
        way,
        function,
        inputs,
        chunksize=None if way in SINGLE else draw(st.sampled_from([None, None, None, 1, 1, 2, 3])),
        timeout=draw(st.sampled_from([None, None, 100.0, 0.03])) if may_wait else None,
        callback=None if back == "none" else back,
        error_callback=None if error_back == "none" else error_back,
        in_thread=draw(st.integers(0, 9)) == 0,
    )


@st.composite
def single_items(draw: st.DrawFn) -> Source:
    """The argument of one call."""
    if draw(st.integers(0, 3)) == 0:
        return Source("list", (draw(small),), mutates=draw(st.sampled_from(MUTATIONS)))
    return Source("list", (draw(st.one_of(plain, plain, odd, st.just(Do("gate", 1)))),))


STREAM_READS = weighted(all=6, some=5, patiently=1, briefly=2, drop=2, past_end=1)
RESULT_READS = weighted(get=8, patiently=2, briefly=2, wait=1, drop=1)
FUTURE_READS = weighted(
    get=6, patiently=2, briefly=2, wait=1, drop=1, exception=2, cancel=2, as_completed=1
)


@st.composite
def reads(draw: st.DrawFn, program: Program, of: int) -> Read:
    """Any way to read what a call returned."""
    call = program.steps[of]
    is_future = call.way == "submit"
    kinds = STREAM_READS if is_iterator(program, call) else RESULT_READS
    how = draw(FUTURE_READS if is_future else kinds)
    return Read(of, how, draw(st.integers(0, 5)), in_thread=draw(st.integers(0, 7)) == 0)


POOL_ENDINGS = [
    ("close", "join"), ("close", "join"), ("terminate",), ("terminate", "join"), ("exit",),
    ("exit",), ("close",), ("drop",), ("exit with an error",), ("close", "terminate", "join"),
    ("close", "exit"), ("join", "close", "close", "join"), (),
]  # fmt: skip
EXECUTOR_ENDINGS = [
    ("shutdown",), ("shutdown",), ("exit",), ("exit",), ("exit with an error",), ("shutdown now",),
    ("cancel",), ("cancel now",), ("drop",), ("shutdown now", "shutdown"), (),
]  # fmt: skip


@dataclass
class _Draft:
    pools: tuple[Setup, ...]
    steps: list[Step] = field(default_factory=list)

    def program(self) -> Program:
        return Program(self.pools, tuple(self.steps))

    def handles(self) -> list[int]:
        """The steps whose results can be read still."""
        program = self.program()
        dropped = {step.of for step in self.steps if isinstance(step, Read) and step.how == "drop"}
        return [
            at
            for at, step in enumerate(self.steps)
            if isinstance(step, Call) and has_handle(program, step) and at not in dropped
        ]


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """A program: some calls and reads, the ends of its pools, and what is read or called later."""
    pools = tuple(draw(setups()) for _ in range(draw(st.sampled_from([1, 1, 1, 1, 2]))))
    draft = _Draft(pools)
    for _ in range(draw(st.integers(1, 5))):
        draw(_middle(draft))
    for pool in draw(st.permutations(range(len(pools)))):
        endings = EXECUTOR_ENDINGS if pools[pool].door in EXECUTORS else POOL_ENDINGS
        draft.steps += [End(pool, how) for how in draw(st.sampled_from(endings))]
    for _ in range(draw(st.integers(0, 3))):
        draw(_middle(draft, calls_too=draw(st.integers(0, 4)) == 0))
    return Program(pools, tuple(draft.steps), leaves_open=draw(st.integers(0, 7)) == 0)


@st.composite
def _middle(draw: st.DrawFn, draft: _Draft, *, calls_too: bool = True) -> None:
    """A call, or a read of something that was called."""
    handles = draft.handles()
    if handles and (not calls_too or draw(st.integers(0, 2)) > 0):
        draft.steps.append(draw(reads(draft.program(), draw(st.sampled_from(handles)))))
    elif calls_too:
        dropped = {step.pool for step in draft.steps if step == End(step_pool(step), "drop")}
        left = [pool for pool in range(len(draft.pools)) if pool not in dropped]
        if left:
            pool = draw(st.sampled_from(left))
            draft.steps.append(draw(calls(pool, draft.pools[pool].door)))


def step_pool(step: Step) -> int:
    """The pool that a call or an end is of."""
    return -1 if isinstance(step, Read) else step.pool
