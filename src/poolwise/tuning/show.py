"""Outcome of a tuning run as blocks of a report, and as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from poolwise.doors import profile
from poolwise.quantities import say_seconds
from poolwise.report import blocks as b
from poolwise.tuning.search import OURS, STANDARD

if TYPE_CHECKING:
    from poolwise.tuning.door import Tuned
    from poolwise.tuning.race import Ratio, Setting


def make_document(tuned: Tuned) -> b.Document:
    """Verdict, table of all trials and the curve of chunk sizes; for a page also as a chart."""
    summary: list[b.Block] = [_say_verdict(tuned)]
    if any(tuned.race.times.values()):
        summary.append(_list_trials(tuned))
    curve = _measured(tuned, tuned.found.curve)
    details: list[b.Block] = []
    if curve and tuned.found.base is not None:
        summary.append(_draw_bars(tuned, curve))
        details.append(_draw_curve(tuned, curve))
    return b.Document(f"How to run {tuned.call.name}", summary, details, as_dict(tuned))


def as_dict(tuned: Tuned) -> dict[str, Any]:
    """All of it as plain data."""
    return {
        "profile": tuned.profile.as_dict(),
        "sample": len(tuned.drawn.items),
        "length": tuned.length,
        "runs": tuned.runs,
        "spent_s": tuned.spent_s,
        "notes": list(tuned.notes),
        "trials": [_plain(tuned, setting) for setting in _by_time(tuned)],
    }


def _plain(tuned: Tuned, setting: Setting) -> dict[str, Any]:
    race = tuned.race
    return {
        "kind": setting.kind,
        "workers": setting.workers,
        "chunksize": setting.chunksize,
        "sample_s": list(race.times[setting].values()),
        "whole_s": race.whole_s(setting),
        "stopped": race.stopped.get(setting),
    }


# -- words


def _say_verdict(tuned: Tuned) -> b.Verdict:
    place, more = profile.name_of(tuned.call.function), _say_more(tuned)
    if tuned.is_undecided:
        headline = f"Nothing is known of {tuned.call.name}: no two settings could be tried"
        return b.Verdict(headline, "bad", "TUNED", place, more)
    headline = f"{tuned.call.name} runs best in a plain loop"
    if tuned.kind != "serial":
        headline = f"{tuned.call.name} runs best with {_describe(tuned.setting)}"
        if tuned.gain is not None:
            headline += f": {say_ratio(tuned.gain)} as fast as a plain loop"
    return b.Verdict(headline, "good", "TUNED", place, more)


def _describe(setting: Setting) -> str:
    if setting.workers == 1:
        named = {"asyncio": "coroutine at once", "processes": "process", "threads": "thread"}
    else:
        named = {"asyncio": "coroutines at once", "processes": "processes", "threads": "threads"}
    chunk = "" if setting.chunksize is None else f", chunksize={setting.chunksize:,}"
    return f"{setting.workers} {named[setting.kind]}{chunk}"


def say_ratio(ratio: Ratio) -> str:
    """``1.9x (1.8 to 2.0)``, or how often it was seen where that is all there is to say."""
    if ratio.low is None or ratio.high is None:
        seen = "once" if ratio.rounds == 1 else f"{ratio.rounds} times"
        return f"{ratio.value:.2f}x (seen {seen})"
    return f"{ratio.value:.2f}x ({ratio.low:.2f} to {ratio.high:.2f})"


def _say_more(tuned: Tuned) -> list[str]:
    found = [_say_doubt(tuned), _say_default(tuned), _say_map(tuned), _say_prior(tuned)]
    found.append(_say_sample(tuned))
    return [*filter(None, found), *tuned.notes, *_say_left_out(tuned)]


def _say_left_out(tuned: Tuned) -> Iterator[str]:
    """Settings that failed, and those that there was no time for."""
    race = tuned.race
    for setting, why in race.stopped.items():
        if why.startswith("failed"):
            yield f"{setting} {why}"
    left_out = [str(each) for each in race.running if not race.times[each]]
    if race.is_out_of_time and left_out:
        yield (
            f"the budget left no time for {len(left_out)} settings ({left_out[0]}, ...); --budget "
            "(budget=) gives more"
        )


def _say_doubt(tuned: Tuned) -> str:
    gain = tuned.gain
    is_certain = gain is not None and gain.low is not None and gain.low > 1
    if tuned.kind == "serial" or gain is None or is_certain:
        return ""
    return "That it gains anything is not certain: a larger budget, or a quieter machine, says more"


def _say_default(tuned: Tuned) -> str:
    """Place of self-sized chunks on the curve."""
    base, race = tuned.found.base, tuned.race
    curve = _measured(tuned, tuned.found.curve)
    best = race.best(curve) if curve else None
    if base is None or best is None or not race.times[base]:
        return ""
    ratio = race.ratio(base, best)
    if ratio is None:
        return ""
    verb = "take" if ratio.rounds > 1 else "took"
    return (
        f"On the curve of chunk sizes, chunks that the pool sizes itself {verb} {say_ratio(ratio)} "
        f"the time of the best fixed size, {best.chunksize:,}"
    )


def _say_map(tuned: Tuned) -> str:
    gain = tuned.gain_over_map
    return "" if gain is None else f"{say_ratio(gain)} as fast as {OURS}, which chooses by itself"


def _say_prior(tuned: Tuned) -> str:
    prior, race = tuned.prior, tuned.race
    if prior is None or not race.times.get(prior):
        return ""
    if prior == tuned.setting:
        return f"The saved setting, {prior}, still holds"
    ratio = race.ratio(prior, tuned.setting)
    return (
        ""
        if ratio is None
        else (f"The saved setting, {prior}, takes {say_ratio(ratio)} the time of this one")
    )


def _say_sample(tuned: Tuned) -> str:
    count, length = len(tuned.drawn.items), tuned.length
    whole = "all of them" if count == length else f"a sample for {length:,}"
    return (
        f"{tuned.runs:,} calls in {say_seconds(tuned.spent_s)}, on {count:,} items ({whole}); an "
        f"item takes {say_seconds(tuned.drawn.measured.wall_s)}"
    )


# -- tables and charts


def _by_time(tuned: Tuned) -> list[Setting]:
    """All settings, the fastest first, and last those that never came through."""
    race = tuned.race
    return sorted(
        race.times, key=lambda each: (race.whole_s(each) is None, race.whole_s(each) or 0)
    )


def _measured(tuned: Tuned, settings: Sequence[Setting]) -> list[Setting]:
    return [each for each in settings if tuned.race.times.get(each)]


def _list_trials(tuned: Tuned) -> b.Table:
    race = tuned.race
    columns = [
        b.Column("setting"), b.Column("chunk", "count"), b.Column("whole call", "s"),
        b.Column("ratio"), b.Column("95 %"), b.Column("turns", "count"), b.Column(""),
    ]  # fmt: skip
    shown = [each for each in _by_time(tuned) if race.times[each]]
    rows: list[list[b.Cell]] = [
        [
            each.name,
            each.chunksize,
            race.whole_s(each),
            *_compare(tuned, each),
            len(race.times[each]),
            _say_state(tuned, each),
        ]
        for each in shown
    ]
    strong = [at for at, each in enumerate(shown) if each == tuned.setting]
    return b.Table(columns, rows, "Trials in turns; times by that of the chosen setting", strong)


def _compare(tuned: Tuned, setting: Setting) -> tuple[str, str]:
    """Its time by that of the chosen one, and the interval."""
    if setting == tuned.setting or not tuned.race.times.get(tuned.setting):
        return "", ""
    race = tuned.race
    ratio = race.ratio(setting, tuned.setting)
    if ratio is None:  # they met in no round
        own, chosen = race.whole_s(setting), race.whole_s(tuned.setting)
        return (f"{own / chosen:.2f}" if own and chosen else ""), ""
    has_interval = ratio.low is not None and ratio.high is not None
    return f"{ratio.value:.2f}", f"{ratio.low:.2f}-{ratio.high:.2f}" if has_interval else ""


def _say_state(tuned: Tuned, setting: Setting) -> str:
    if setting == tuned.setting:
        return "chosen"
    is_stopped = setting in tuned.race.stopped and setting.kind not in {OURS, STANDARD}
    return "stopped" if is_stopped else ""


def _draw_bars(tuned: Tuned, curve: list[Setting]) -> b.Bars:
    """The curve for a terminal: one bar a chunk size, self-sized chunks among them."""
    base, standard = tuned.found.base, _measured(tuned, tuned.found.standard)
    rows = [(f"{each.chunksize:,}", each) for each in curve]
    if base is not None and tuned.race.times[base]:
        rows.append(("self-sized", base))
    rows += [(f"{STANDARD} {each.chunksize:,}", each) for each in standard]
    bars = [
        b.Bar(label, [b.Part("time of the sample", tuned.race.seconds(each) or 0.0, "work")])
        for label, each in rows
    ]
    return b.Bars(bars, _title(tuned))


def _title(tuned: Tuned) -> str:
    base = tuned.found.base
    return f"Chunk sizes, {base}" if base is not None else "Chunk sizes"


def _draw_curve(tuned: Tuned, curve: list[Setting]) -> b.Curve:
    lines = [_line(tuned, f"poolwise.Pool, {tuned.found.base}", curve, is_standard=False)]
    standard = _measured(tuned, tuned.found.standard)
    if standard:
        lines.append(_line(tuned, STANDARD, standard, is_standard=True))
    base, race = tuned.found.base, tuned.race
    sizes = [float(each.chunksize or 1) for each in curve]
    dots = []
    if base is not None and (seconds := race.seconds(base)) is not None:
        dots.append(b.Dots("self-sized chunks", sizes, [seconds] * len(sizes), "tail"))
    x, y = b.Axis("chunksize", "count", is_log=True), b.Axis("time of the sample", "s")
    return b.Curve(x, y, lines, _title(tuned), dots)


def _line(tuned: Tuned, name: str, settings: list[Setting], *, is_standard: bool) -> b.Line:
    race = tuned.race
    every = [list(race.times[each].values()) for each in settings]
    return b.Line(
        name,
        [float(each.chunksize or 1) for each in settings],
        [race.seconds(each) or 0.0 for each in settings],
        [min(times) for times in every],
        [max(times) for times in every],
        "starved" if is_standard else "work",
    )


def list_lines(tuned: Tuned, path: str | None = None) -> Iterator[str]:
    """Lines of a program that runs the call so.

    :param path: where the profile is saved.
    """
    function, setting = tuned.call.name, tuned.setting
    has_many = tuned.call.has_many
    if setting.kind == "serial" and not tuned.call.is_coroutine:
        yield f"results = [{function}({'*' if has_many else ''}item) for item in items]"
        return
    words = [f"kind={setting.kind!r}", f"workers={setting.workers}"]
    words += [f"chunksize={setting.chunksize}"] if setting.chunksize else []
    given = f"profile={path!r}" if path else ", ".join(words)
    yield f"results = poolwise.{'starmap' if has_many else 'map'}({function}, items, {given})"
