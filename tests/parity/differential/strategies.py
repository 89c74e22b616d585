"""Random programs: hypothesis chooses the pools, the calls, their inputs, and how they are read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

from tests.parity.differential.programs import (
    CALLED_BACK,
    EXECUTOR_WAYS,
    EXECUTORS,
    POOL_WAYS,
    SINGLE,
    STREAMS,
    Call,
    End,
    Program,
    Read,
    Setup,
    Source,
    Step,
    has_handle,
    is_iterator,
    is_of_threads,
)
from tests.parity.differential.tasks import ERRORS, NOT_EXCEPTIONS, VALUES, Do, np

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
    st.just(Do("start")),
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
def sources(draw: st.DrawFn) -> Source:
    """An input of any kind."""
    kind, length = draw(SOURCE_KINDS), draw(lengths)
    if kind in _WITHOUT_ODD_ITEMS:
        return Source(kind, draw(_WITHOUT_ODD_ITEMS[kind](length)))
    if kind in {"generator", "list"} and draw(st.integers(0, 2)) == 0:
        return Source(kind, tuple(range(length)), mutates=draw(st.sampled_from(MUTATIONS)))
    made = draw(items(length))
    if kind == "dict":
        keys = [item for item in made if not (isinstance(item, Do) and item.what == "given")]
        return Source(kind, tuple(dict.fromkeys(keys)))
    return draw(generators(made)) if kind == "generator" else Source(kind, made)


_WITHOUT_ODD_ITEMS = {
    "range": lambda length: st.just(tuple(range(length))),
    "str": lambda length: st.just(tuple("abcdefghijklmnopqrstuvwxyzabcdef"[:length])),
    "set": lambda length: st.lists(small, max_size=length).map(lambda made: tuple({*made})),
}


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
    door = draw(weighted(pool=6, executor=4, threads=1))
    initializer = draw(weighted(none=12, ok=2, raises=1))
    may_replace = door == "pool"  # the standard executor refuses it together with fork
    per_child = draw(st.sampled_from([None] * 6 + [1, 2])) if may_replace else None
    workers = draw(st.sampled_from([1, 2, 2, 2, 3]))
    return Setup(door, workers, None if initializer == "none" else initializer, per_child)


CALLBACKS = weighted(none=8, log=12, nap=2, submit=4, waits=1, raises=2, terminate=2)
FUNCTION_NAMES = weighted(**{
    "echo": 8, "look": 8, "partial": 1, "instance": 1, "method": 1, "repr": 1, "lambda": 1,
    "not callable": 1, "initialized": 1, "is daemon": 1,
})  # fmt: skip


@st.composite
def calls(draw: st.DrawFn, draft: _Draft, pool: int) -> Call:
    """Any method with any input."""
    is_executor = draft.pools[pool].door in EXECUTORS
    if is_executor:
        way = draw(st.sampled_from(EXECUTOR_WAYS))
    else:
        way = draw(weighted(**dict.fromkeys(POOL_WAYS, 1) | {"imap": 4, "imap_unordered": 2}))
    function, inputs = draw(_works(draft, way, is_executor=is_executor))
    back = draw(CALLBACKS) if way in CALLED_BACK else "none"
    error_back = draw(CALLBACKS) if way in CALLED_BACK and not is_executor else "none"
    may_wait = way == "map" and is_executor
    call = Call(
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
    return _for_threads(call) if is_of_threads(draft.program(), call) else call


@st.composite
def _works(
    draw: st.DrawFn, draft: _Draft, way: str, *, is_executor: bool
) -> tuple[str, tuple[Source, ...]]:
    """A function, and the inputs of its tasks."""
    if way.startswith("starmap"):
        return "pair", (draw(sources()),)
    if way in SINGLE:
        return draw(FUNCTION_NAMES), (draw(single_items()),)
    if way == "map" and is_executor and draw(st.integers(0, 3)) == 0:
        return "pair", (draw(sources()), draw(sources()))
    feeds = draft.feeds()
    if feeds and draw(st.integers(0, 1)) == 0:
        of = draw(st.sampled_from(feeds))
        return "echo", (Source("results", draft.steps[of].sources[0].items, of=of),)
    if way in STREAMS and draw(st.integers(0, 15)) == 0:
        return "echo", (Source("endless"),)
    return draw(FUNCTION_NAMES), (draw(sources()),)


_NOT_IN_THREADS = ("die", "start")


def _for_threads(call: Call) -> Call:
    """The same without what ends this process, or shows that nothing is pickled."""
    inputs = []
    for source in call.sources:
        kept = [
            item
            for item in source.items
            if not (isinstance(item, Do) and item.what in _NOT_IN_THREADS)
        ]
        is_single = call.way in SINGLE
        items = (0,) if is_single and not kept else tuple(kept)
        inputs.append(replace(source, items=items, mutates=None))
    is_told = call.function in {"initialized", "is daemon"}
    return replace(call, sources=tuple(inputs), function="echo" if is_told else call.function)


@st.composite
def single_items(draw: st.DrawFn) -> Source:
    """The argument of one call."""
    if draw(st.integers(0, 3)) == 0:
        return Source("list", (draw(small),), mutates=draw(st.sampled_from(MUTATIONS)))
    return Source("list", (draw(st.one_of(plain, plain, odd, st.just(Do("gate", 1)))),))


STREAM_READS = weighted(all=7, some=5, patiently=1, briefly=2, drop=2)
RESULT_READS = weighted(get=8, patiently=2, briefly=2, wait=1, drop=1)
FUTURE_READS = weighted(
    get=7, patiently=2, briefly=2, drop=1, exception=2, cancel=2, as_completed=1
)


@st.composite
def reads(draw: st.DrawFn, program: Program, of: int) -> Read:
    """Any way to read what a call returned."""
    call = program.steps[of]
    is_future = call.way == "submit"
    kinds = STREAM_READS if is_iterator(program, call) else RESULT_READS
    how = draw(FUTURE_READS if is_future else kinds)
    if how == "all" and call.sources[0].kind == "endless":
        how = "some"
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


ENDLESS_ENDINGS = [("terminate",), ("terminate", "join"), ("exit",), ("close", "exit")]


@dataclass
class _Draft:
    pools: tuple[Setup, ...]
    steps: list[Step] = field(default_factory=list)

    def program(self) -> Program:
        return Program(self.pools, tuple(self.steps))

    def handles(self) -> list[int]:
        """The steps whose results can be read still."""
        program = self.program()
        gone = {step.of for step in self.steps if isinstance(step, Read) and step.how == "drop"}
        gone |= {source.of for call in self.calls() for source in call.sources}
        return [
            at
            for at, step in enumerate(self.steps)
            if isinstance(step, Call) and has_handle(program, step) and at not in gone
        ]

    def calls(self) -> list[Call]:
        """All calls so far."""
        return [step for step in self.steps if isinstance(step, Call)]

    def feeds(self) -> list[int]:
        """The steps whose results nobody has read, and which are their plain items, in order."""
        read = {step.of for step in self.steps if isinstance(step, Read)}
        return [at for at in self.handles() if at not in read and self._is_plain(self.steps[at])]

    def _is_plain(self, call: Call) -> bool:
        is_listed = [source.kind for source in call.sources] == ["list"]
        return (
            is_listed
            and is_iterator(self.program(), call)
            and (call.way, call.function, call.timeout)
            in {("imap", "echo", None), ("map", "echo", None)}
            and not call.sources[0].mutates
            and not any(isinstance(item, Do) for item in call.sources[0].items)
        )

    def endings(self, pool: int) -> list[tuple[str, ...]]:
        """How the pool may be ended."""
        if self.pools[pool].door in EXECUTORS:
            return EXECUTOR_ENDINGS
        mine = [call for call in self.calls() if call.pool == pool]
        is_endless = any(source.kind == "endless" for call in mine for source in call.sources)
        return ENDLESS_ENDINGS if is_endless else POOL_ENDINGS

    def left(self) -> list[int]:
        """The pools that are not dropped."""
        dropped = {step.pool for step in self.steps if isinstance(step, End) and step.how == "drop"}
        return [pool for pool in range(len(self.pools)) if pool not in dropped]


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """A program: some calls and reads, the ends of its pools, and what is read or called later."""
    pools = tuple(draw(setups()) for _ in range(draw(st.sampled_from([1, 1, 1, 1, 2]))))
    draft = _Draft(pools)
    for _ in range(draw(st.integers(1, 5))):
        draw(_middle(draft))
    for pool in draw(st.permutations(range(len(pools)))):
        draft.steps += [End(pool, how) for how in draw(st.sampled_from(draft.endings(pool)))]
    for _ in range(draw(st.integers(0, 3))):
        draw(_middle(draft, calls_too=draw(st.integers(0, 4)) == 0))
    steps = draw(_beside_each_other(draft.steps))
    return Program(pools, steps, leaves_open=draw(st.integers(0, 7)) == 0)


@st.composite
def _middle(draw: st.DrawFn, draft: _Draft, *, calls_too: bool = True) -> None:
    """A call, or a read of something that was called."""
    handles, left = draft.handles(), draft.left()
    if handles and (not calls_too or draw(st.integers(0, 2)) > 0):
        draft.steps.append(draw(reads(draft.program(), draw(st.sampled_from(handles)))))
    elif calls_too and left:
        draft.steps.append(draw(calls(draft, draw(st.sampled_from(left)))))


@st.composite
def _beside_each_other(draw: st.DrawFn, steps: list[Step]) -> tuple[Step, ...]:
    """The steps, some of which run at the same time as the next."""
    made, at = list(steps), 0
    while at < len(made) - 1:
        if _are_apart(at, made[at], made[at + 1]) and draw(st.integers(0, 5)) == 0:
            made[at] = replace(made[at], beside=True)
            at += 1
        at += 1
    return tuple(made)


def _are_apart(at: int, first: Step, second: Step) -> bool:
    """Neither of two steps changes what is right for the other."""
    if isinstance(first, End) or isinstance(second, End):
        return False
    handles = {at} if isinstance(first, Call) else {first.of}
    if isinstance(second, Read):
        return second.of not in handles and not {"drop", "cancel"} & {second.how}
    used = {source.of for source in second.sources}
    return not handles & used and "terminate" not in {second.callback, second.error_callback}
