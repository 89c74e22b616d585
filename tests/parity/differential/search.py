"""Draws programs, runs each on both sides, and makes a small program of one that differs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.parity.differential.compare import Comparison
from tests.parity.differential.programs import Call, Program, Read, Source, Step
from tests.parity.differential.run import OURS, STANDARD, Farm, Run
from tests.parity.differential.strategies import programs

_AT_ONCE = 8
"""Programs of one run of hypothesis, which soon makes new ones of the same pieces."""

_MOST_SMALLER = 200
_SHRINKING_TRIES = 3
"""A difference may need a race: a smaller program is one in which it shows in so many runs."""


def draw(count: int, number: int) -> Iterator[Program]:
    """So many programs, all different, the same for the same number."""
    seen: set[str] = set()
    turn = 0
    while len(seen) < count:
        turn += 1
        for program in _draw_some(number * 1_000_003 + turn):
            if repr(program) not in seen and len(seen) < count:
                seen.add(repr(program))
                yield program


def _draw_some(number: int) -> list[Program]:
    drawn: list[Program] = []

    @seed(number)
    @settings(
        max_examples=_AT_ONCE,
        database=None,
        phases=[Phase.generate],
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(programs())
    def collect(program: Program) -> None:
        drawn.append(program)

    collect()
    return drawn


def compare_all(farm: Farm, cases: Iterable[tuple[Program, str]]) -> Iterator[Comparison]:
    """Run each program on the standard side and on the one that is named beside it."""
    kept: list[tuple[Program, str]] = []

    def requests() -> Iterator[tuple[Program, str]]:
        for case in cases:
            kept.append(case)
            yield case[0], STANDARD
            yield case

    halves: dict[int, Run] = {}
    for number, run in farm.run(requests()):
        at, is_other = divmod(number, 2)
        if at not in halves:
            halves[at] = run
            continue
        both = (halves.pop(at), run) if is_other else (run, halves.pop(at))
        program, side = kept[at]
        yield Comparison(program, *both, side)


def shrink(farm: Farm, comparison: Comparison, side: str = OURS) -> Comparison:
    """The same kind of difference in a smaller program, as small as cutting pieces off makes it."""
    tried = {repr(comparison.program)}
    is_smaller = True
    while is_smaller:
        is_smaller = False
        for smaller in _list_smaller(comparison.program):
            if repr(smaller) in tried or len(tried) > _MOST_SMALLER:
                continue
            tried.add(repr(smaller))
            found = compare_all(farm, [(smaller, side)] * _SHRINKING_TRIES)
            hits = [one for one in found if comparison.kinds & one.kinds]
            if hits:
                comparison, is_smaller = hits[0], True
                break
    return comparison


def _list_smaller(program: Program) -> Iterator[Program]:
    """Programs with a step less, or with simpler ones."""
    for at in range(len(program.steps)):
        steps = _without(program.steps, at)
        if steps is not None:
            yield replace(program, steps=steps)
    for at, step in enumerate(program.steps):
        for simpler in _list_simpler(step):
            yield replace(program, steps=(*program.steps[:at], simpler, *program.steps[at + 1 :]))
    for at, setup in enumerate(program.pools):
        for change in ({"workers": 1}, {"initializer": None}, {"per_child": None}):
            pools = (*program.pools[:at], replace(setup, **change), *program.pools[at + 1 :])
            yield replace(program, pools=pools)
    last = len(program.pools) - 1
    if last and all(isinstance(step, Read) or step.pool != last for step in program.steps):
        yield replace(program, pools=program.pools[:last])


def _without(steps: tuple[Step, ...], at: int) -> tuple[Step, ...] | None:
    """All steps but this; None if another reads from it."""
    left = []
    for number, step in enumerate(steps):
        if number == at:
            continue
        if isinstance(step, Read):
            if step.of == at:
                return None
            if step.of > at:
                step = replace(step, of=step.of - 1)  # noqa: PLW2901
        left.append(step)
    return tuple(left)


def _list_simpler(step: Step) -> Iterator[Step]:
    if isinstance(step, Read):
        yield replace(step, in_thread=False)
    if not isinstance(step, Call):
        return
    plain: dict[str, Any] = {"callback": None, "error_callback": None, "chunksize": None}
    plain |= {"timeout": None, "in_thread": False}
    for name, value in plain.items():
        yield replace(step, **{name: value})
    for at, source in enumerate(step.sources):
        for simpler in _list_simpler_sources(source):
            sources = (*step.sources[:at], simpler, *step.sources[at + 1 :])
            yield replace(step, sources=sources)


def _list_simpler_sources(source: Source) -> Iterator[Source]:
    if len(source.items) > 1:
        yield replace(source, items=source.items[: len(source.items) // 2])
        yield replace(source, items=source.items[len(source.items) // 2 :])
        yield replace(source, items=source.items[1:])
    if source.calls is not None:
        yield replace(source, calls=None)
    if source.error is not None:
        yield replace(source, error=None, fails_at=None)
