"""A benchmark of a machine as text: sections of figures with their spread, and what has changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from poolwise.bench.history import Change, Entry, differing_facts
from poolwise.bench.machine import SECTIONS, find_sharing
from poolwise.bench.sharing import find_threshold
from poolwise.quantities import say_bytes, say_digits, say_seconds
from poolwise.report import blocks as b
from poolwise.wire.payload import LEAST_BLOCK_BYTES

if TYPE_CHECKING:
    from poolwise.bench.readings import Reading, Unit

_SECTION_OF = {
    "start": "Until it works", "call": "Calls and chunks", "chunk": "Calls and chunks",
    "item": "Calls and chunks", "standard": "multiprocessing.Pool", "pickle": "Pickles",
    "unpickle": "Pickles", "pipe": "A call with an argument", "arena": "A call with an argument",
    "memcpy": "A call with an argument", "loop": "CPUs that scale", "cores": "CPUs that scale",
}  # fmt: skip


def say(value: float, unit: Unit) -> str:
    """A value in its unit, in three digits."""
    if unit == "s":
        return say_seconds(value, 3)
    return f"{say_bytes(value, 3)}/s" if unit == "bytes/s" else say_digits(value, 3)


def make_document(
    facts: Mapping[str, str], readings: Sequence[Reading], changes: Sequence[Change], before: str
) -> b.Document:
    """The whole benchmark: facts, a table for each section, and the changes."""
    rows: list[list[b.Cell]] = [[name, what] for name, what in facts.items()]
    shown: list[b.Block] = [b.Table([b.Column(""), b.Column("")], rows, "This machine")]
    for title in SECTIONS:
        found = [each for each in readings if _section_of(each) == title]
        if title == "A call with an argument":
            shown += [_lay_sizes(found, title), b.Text(say_threshold(readings))]
        elif found:
            shown.append(_lay_readings(found, title))
    return b.Document("", [*shown, *_lay_changes(changes, before)])


def _section_of(reading: Reading) -> str:
    return _SECTION_OF[reading.name.key.partition(".")[0]]


def _lay_readings(readings: Sequence[Reading], title: str) -> b.Table:
    rows: list[list[b.Cell]] = [
        [each.name.words, say(each.value, each.name.unit), _say_band(each)] for each in readings
    ]
    return b.Table([b.Column(""), b.Column("median"), b.Column("spread")], rows, title)


def _say_band(reading: Reading) -> str:
    unit = reading.name.unit
    return f"{say(reading.low, unit)} to {say(reading.high, unit)}"


def _lay_sizes(readings: Sequence[Reading], title: str) -> b.Table:
    """A row a size: three ways to move so many bytes, each with half of its spread."""
    by_key = {each.name.key: each for each in readings}
    sizes = [int(key.partition(".")[2]) for key in by_key if key.startswith("pipe.")]
    ways = {"pipe": "in the pipe", "arena": "in shared memory", "memcpy": "a bare copy"}
    rows: list[list[b.Cell]] = [
        [f"{size >> 10} KiB", *(_say_short(by_key[f"{way}.{size}"]) for way in ways)]
        for size in sizes
    ]
    return b.Table([b.Column(""), *map(b.Column, ways.values())], rows, title)


def _say_short(reading: Reading) -> str:
    half = (reading.high - reading.low) / 2 / max(reading.value, 1e-12)
    return f"{say(reading.value, 's')} ±{half:.0%}"


def say_threshold(readings: Sequence[Reading]) -> str:
    """The size from which on shared memory pays, and how to have that used."""
    threshold = find_threshold(find_sharing(list(readings)))
    if threshold is None:
        return "Shared memory was faster at no size (is the machine busy?)."
    said = (
        f"Shared memory pays from {threshold >> 10} KiB on; poolwise uses it from "
        f"{LEAST_BLOCK_BYTES >> 10} KiB on."
    )
    if threshold == LEAST_BLOCK_BYTES:
        return said
    return f"{said} To change that: export POOLWISE_SHARE_FROM_BYTES={threshold}"


def _lay_changes(changes: Sequence[Change], before: str) -> Iterator[b.Block]:
    if not changes:
        return
    real = [each for each in changes if not each.is_noise]
    if not real:
        yield b.Text(f"Since {before}: nothing has changed by more than noise.")
        return
    columns = [b.Column(""), b.Column("then"), b.Column("now"), b.Column("")]
    rows: list[list[b.Cell]] = [
        [each.name.words, say(each.before, each.name.unit), say(each.now, each.name.unit),
         f"{each.ratio - 1:+.0%}, {'better' if each.is_better else 'worse'}"]
        for each in sorted(real, key=lambda each: (each.is_better, -abs(each.ratio - 1)))
    ]  # fmt: skip
    yield b.Table(columns, rows, f"Changed by more than noise since {before}")
    yield b.Text(f"The other {len(changes) - len(real)} figures differ by no more than noise.")


def say_facts(facts: Mapping[str, str], last: Entry | None) -> list[str]:
    """Sentences on what else is different from last time."""
    return list(differing_facts(facts, last.facts)) if last else []


def make_record(
    entry: Entry, readings: Sequence[Reading], changes: Sequence[Change]
) -> dict[str, Any]:
    """The benchmark as plain data."""
    return {
        "schema": entry.schema,
        "at": entry.at,
        "facts": dict(entry.facts),
        "share_from_bytes": find_threshold(find_sharing(list(readings))),
        "figures": [
            {**asdict(each.name), "value": each.value, "low": each.low, "high": each.high,
             "rounds": len(each.values)}
            for each in readings
        ],
        "changes": [
            {"key": each.name.key, "before": each.before, "now": each.now,
             "is_noise": each.is_noise, "is_better": each.is_better}
            for each in changes
        ],
    }  # fmt: skip
