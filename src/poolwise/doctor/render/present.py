"""Evidence and findings as a report: one screen of words and bars, and a page with everything."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from poolwise.doctor import words
from poolwise.doctor.advice import patch
from poolwise.doctor.advice.confirm import doubt_of
from poolwise.doctor.advice.remedies import GAIN
from poolwise.doctor.diagnose import Diagnosis
from poolwise.doctor.evidence.features import Evidence, Experiment, Pool, Profile, Trial
from poolwise.doctor.evidence.groups import Group, find_group, group_pools
from poolwise.doctor.findings import Finding, Prediction, Remedy
from poolwise.doctor.gather.sites import library_of
from poolwise.doctor.gather.trials import find_trial, lasted_s, say_sample, say_trials
from poolwise.doctor.launch import compare
from poolwise.doctor.notes import is_busy
from poolwise.doctor.predict.calls import site_in_question
from poolwise.doctor.predict.curves import Models, draw_predictions
from poolwise.doctor.predict.curves import name_of as name_of_way
from poolwise.doctor.predict.scaling import MostWorkers, Scaling, find_scaling
from poolwise.doctor.render.charts import draw_pool, in_groups
from poolwise.doctor.render.headline import say_first, say_short
from poolwise.doctor.render.record import to_record
from poolwise.report import blocks as b
from poolwise.report import figures
from poolwise.report.account import list_laws

_TONES: dict[str, b.Tone] = {"healthy": "good", "cannot-tell": "plain"}

_MOST_REMEDIES = 3
_MOST_OTHERS = 5
_MOST_TRIED = 5
"""Limits of what one screen has room for; the page has all."""


def make_document(  # noqa: PLR0913 - what a report is made of
    seen: Evidence,
    diagnosis: Diagnosis,
    timelines: dict[int, b.Timeline] | None = None,
    comparison: compare.Comparison | None = None,
    *,
    is_full: bool = True,
    began_s: float | None = None,
) -> b.Document:
    """The report of a run.

    :param timelines: pool id -> who did what when, where the records are at hand.
    :param comparison: the program as it is and under `poolwise run`, if both were tried.
    :param is_full: details and record too, which nobody waits for who wants one screen.
    :param began_s: when the records began to be read (`time.perf_counter`).
    """
    compared = [compare.draw(comparison)] if comparison else []
    models = Models(seen)
    scaling = find_scaling(seen, models)
    details = _details(seen, diagnosis, models, scaling, timelines or {}) if is_full else ()
    return b.Document(
        "poolwise doctor: " + " ".join(seen.program.command[-2:]),
        [*_summary(seen, diagnosis, scaling, began_s), *compared],
        list(details),
        to_record(seen, diagnosis, comparison, scaling) if is_full else None,
    )


_MOST_POOLS = 30
"""A page shows so many lines that make pools, those with most worker time."""


def groups_of(seen: Evidence) -> list[Group]:
    """The pools that a page shows: those of one line are one."""
    groups = group_pools(seen.pools)
    heavy = sorted(groups, key=lambda group: -group.worker_seconds)[:_MOST_POOLS]
    return [group for group in groups if group in heavy]


def _details(
    seen: Evidence,
    diagnosis: Diagnosis,
    models: Models,
    scaling: Scaling | None,
    timelines: dict[int, b.Timeline],
) -> Iterator[b.Block]:
    if diagnosis.findings:
        yield from _edits(diagnosis.findings[0])
    for finding in diagnosis.findings[1:]:
        title = f"{finding.code} {finding.name}"
        yield b.Section(title, list(_finding_in_full(finding)))
    for group in groups_of(seen):
        yield _draw_group(group, seen, models, scaling, timelines.get(group.pool.id))
    small_print = "\n\n".join(_full_print(seen, diagnosis))
    yield b.Section("The small print", [b.Text(small_print)])
    yield b.Section("The run", [_facts_of_the_run(seen)])


def _draw_group(
    group: Group,
    seen: Evidence,
    models: Models,
    scaling: Scaling | None,
    timeline: b.Timeline | None,
) -> b.Section:
    pool, title, others = group.pool, name_of(group.pool), list[b.Block]()
    if len(group.pools) > 1:
        title += f", {len(group.pools):,} times"
        words_of_it = "Below stands the one of them that had most worker time."
        others = [_split(group), b.Text(words_of_it, is_aside=True)]
    curves, laws = draw_predictions(pool, models, seen), _scaling_of(pool, scaling)
    return b.Section(title, [*others, *draw_pool(pool, timeline), *curves, *laws])


def name_of(pool: Pool) -> str:
    """Kind, size and place of a pool."""
    where = f" at {pool.place}" if pool.place else ""
    library = next(filter(None, (library_of(site.function) for site in pool.sites)), None)
    if library:
        return f"{library}({pool.slots}){where}"
    return f"{pool.kind.rpartition('.')[2]}({pool.slots}){where}"


def _scaling_of(pool: Pool, scaling: Scaling | None) -> Iterator[b.Block]:
    if pool.laws is not None:
        yield list_laws(pool.laws)
    if most := _most_workers(pool, scaling):
        told = say_most_workers(most) if most.count else f"enough workers: {most.why}"
        yield b.Text(f"{told[:1].upper()}{told[1:]}.", is_aside=True)


def _most_workers(pool: Pool | None, scaling: Scaling | None) -> MostWorkers | None:
    known = scaling.most_workers if scaling and pool else []
    return next((each for each in known if pool and each.pool == pool.id), None)


def say_scaling(scaling: Scaling, workers: int, most: MostWorkers | None) -> str:
    """Says how far the program is from a plain loop and from its ceiling.

    :param workers: of the pool in question.
    """
    told = f"{words.count(workers, 'worker')}: {_times(scaling.speedup)} the speed of a plain loop"
    ceiling = ceiling_of(scaling)
    if ceiling is not None:
        told += f"; at most {_times(ceiling)} however many"
    return f"{told}; {say_most_workers(most)}." if most and most.count else f"{told}."


def _times(factor: float) -> str:
    return f"{factor:.1f}x" if factor >= 1 else f"{factor:.2f}x"


def ceiling_of(scaling: Scaling) -> float | None:
    """The most that more workers could bring, with all else as it is; None if there is none."""
    known = [each for each in (scaling.ceiling, scaling.ceiling_as_is) if each is not None]
    return max(scaling.speedup, min(known)) if known else None


def say_most_workers(most: MostWorkers) -> str:
    """Sentence on the number of workers from which on more do not help."""
    return f"more than {words.count(most.count or 0, 'worker')} gain nothing here (simulated)"


def _summary(
    seen: Evidence, diagnosis: Diagnosis, scaling: Scaling | None, began_s: float | None
) -> Iterator[b.Block]:
    first = diagnosis.findings[0] if diagnosis.findings else None
    if is_busy(seen):
        used = f"{seen.program.other_cpus or 0.0:.1f} of {seen.program.cpus:g} CPUs"
        yield b.Text(f"Other programs took {used} meanwhile: times below are inflated.")
    yield b.Text(say_first(seen, diagnosis))
    yield _say_verdict(seen, diagnosis)
    pool = _pool_in_question(seen, first)
    if pool is not None:
        yield _split(find_group(pool, group_pools(seen.pools)))
    if first is not None:
        yield _list_facts(first)
        yield from _list_remedies(first)
        yield from _list_tried(first, pool, seen)
    if seen.profile is not None:
        yield list_hot_lines(seen.profile)
    if len(diagnosis.findings) > 1:
        yield _list_others(diagnosis.findings[1:])
    told = list(_small_print(seen, diagnosis, began_s))
    about = first.code if first else diagnosis.verdict
    told.append(f"More: poolwise explain {about}; --full for the small print.")
    if scaling is not None and pool is not None and diagnosis.outcome != "cannot-tell":
        told.insert(0, say_scaling(scaling, pool.slots, _most_workers(pool, scaling)))
    yield b.Text("\n\n".join(told), is_aside=True)


def _say_verdict(seen: Evidence, diagnosis: Diagnosis) -> b.Verdict:
    first = diagnosis.findings[0] if diagnosis.findings else None
    tone: b.Tone = _TONES.get(diagnosis.verdict, "bad")
    if first is not None and first.kind == "advice":
        tone = "fair"
    details = [] if first is None else [_price(first, seen)]
    if first is not None and first.consequences:
        details.append(f"This also explains: {', '.join(first.consequences)}.")
    label = first.code if first else diagnosis.verdict.upper()
    return b.Verdict(diagnosis.summary, tone, label, _place_of(first, seen), details)


def _price(finding: Finding, seen: Evidence) -> str:
    at_stake = figures.seconds(finding.seconds)
    whole = figures.seconds(seen.program.wall_s)
    pools = f", in {words.count(finding.pools, 'pool')}" if finding.pools > 1 else ""
    if finding.name == "call-never-ended":
        return f"{finding.name}: {at_stake} of the program's {whole} passed without a result."
    if finding.kind == "wrong":
        return f"{finding.name}: results of this run cannot be trusted{pools}."
    if finding.seconds <= 0:
        return f"{finding.name}: a risk rather than a loss{pools}."
    return f"{finding.name}: up to {at_stake} of the program's {whole} are at stake{pools}."


def _place_of(finding: Finding | None, seen: Evidence) -> str:
    if finding is None or finding.where is None:
        return ""
    sites = [site for pool in seen.pools for site in pool.sites if site.place == finding.where]
    if not sites:
        return str(finding.where)
    if library := library_of(sites[0].function):
        return f"{finding.where}  a pool of {library}"
    return f"{finding.where}  {sites[0].api}({sites[0].function.rpartition('.')[2]})"


def _pool_in_question(seen: Evidence, finding: Finding | None) -> Pool | None:
    """The pool a finding is about; without one, the pool that had most worker time."""
    pools = [pool for pool in seen.pools if pool.messages]
    named = [pool for pool in pools if finding is not None and pool.id == finding.pool]
    return max(named or pools, key=lambda pool: pool.worker_seconds, default=None)


def _split(group: Group) -> b.StackedBar:
    pool = group.pool
    worker = words.count(pool.slots, "thread" if pool.is_threads else "worker")
    title = f"{worker} x {figures.seconds(group.region_s)} = "
    title += f"{figures.seconds(group.worker_seconds)} of worker time"
    if len(group.pools) > 1:
        title += f", in {len(group.pools):,} pools"
    notes = {"run_blocked": ", ".join(_causes(group.blocked_by))}
    return b.StackedBar(in_groups(group.account, notes), title, "s")


def _causes(blocked_by: Mapping[str, float]) -> list[str]:
    """Causes of blocked time, the most frequent first."""
    most = sorted(blocked_by.items(), key=lambda pair: -pair[1])
    whole_s = sum(blocked_by.values())
    return [cause for cause, seconds in most[:2] if seconds > 0.1 * whole_s > 0]


def _list_facts(finding: Finding) -> b.Text:
    return b.Text("Evidence: " + "; ".join(fact.words for fact in finding.facts) + ".")


def _list_remedies(finding: Finding) -> Iterator[b.Block]:
    shown = finding.remedies[:_MOST_REMEDIES]
    if not shown:
        yield b.Text("What to do: nothing that was tried or simulated gains anything here.")
        return
    yield _number(shown)
    remedy = patch.first_edit(shown)
    if remedy is not None:
        which = shown.index(remedy) + 1
        title = f"The edit for {which}, {say_short(remedy)} (poolwise doctor --apply makes it):"
        if which > 1:
            title = f"For 1 no edit can be derived from your text. {title}"
        yield b.Code(patch.show(remedy.changes), title=title, language="diff")


def _number(remedies: list[Remedy]) -> b.Text:
    """The remedies, the best first: words wrap, which cells of a table do not."""
    lines = [
        f"{number}. {remedy.words}{say_prediction(remedy)}"
        for number, remedy in enumerate(remedies, 1)
    ]
    return b.Text("\n\n".join(["What to do:", *lines]))


def say_prediction(remedy: Remedy) -> str:
    """The gain of a remedy: measured, or predicted with its band; empty if neither."""
    prediction = remedy.prediction
    now = f", now {figures.seconds(prediction.now_s)}" if prediction else ""
    if remedy.doubt:
        now += f"; tried, but {remedy.doubt}"
    if remedy.measured_s is not None:
        told = f", {_band(prediction)} predicted" if prediction else ""
        return f" -> {figures.seconds(remedy.measured_s)} measured{told}{now}"
    return f" -> {_band(prediction)}{now}" if prediction else ""


def _list_tried(finding: Finding, pool: Pool | None, seen: Evidence) -> Iterator[b.Block]:
    """Lists experiments on the call, in seconds of the whole call, the fastest first."""
    site = site_in_question(finding, pool) if pool else None
    trial = find_trial(site, pool, seen) if site and pool else None
    if site is None or pool is None or trial is None or not trial.experiments:
        return
    now_s = lasted_s(site, pool)
    ways = [each for each in trial.experiments if each.kind != "pickle"]
    ways.sort(key=lambda each: each.ratio)
    kinds = {(remedy.kind, remedy.value) for remedy in finding.remedies}
    shown = [
        each
        for place, each in enumerate(ways)
        if place < _MOST_TRIED or each.kind == "as-is" or (each.kind, each.value) in kinds
    ]
    lines = [
        f"{name_of_way(each)} {figures.seconds(each.ratio * now_s)}{why_not(each, trial, pool)}"
        for each in shown
    ]
    more = f"; {len(ways) - len(shown)} more with --full" if len(ways) > len(shown) else ""
    yield b.Text(f"Tried, on {say_sample(trial)}: {'; '.join(lines)}{more}.")


def why_not(experiment: Experiment, trial: Trial, pool: Pool) -> str:
    """Reason why a measurement is no advice, if it is none."""
    doubt = doubt_of(experiment, trial, pool)
    if doubt:
        return f" ({doubt})"
    return " (no gain)" if experiment.kind != "as-is" and experiment.ratio >= GAIN else ""


def _band(prediction: Prediction) -> str:
    if prediction.then_s <= 0:
        return "next to nothing"
    width = (prediction.high_s - prediction.low_s) / 2 / prediction.then_s
    return f"{figures.seconds(prediction.then_s)} ±{figures.share(width)}"


def _list_others(findings: list[Finding]) -> b.Text:
    """The others in a line each: words wrap, which cells of a table do not."""
    lines = [
        f"{each.code} {each.name}{f' at {each.where}' if each.where else ''}"
        + (f": up to {figures.seconds(each.seconds)}" if each.seconds else "")
        for each in findings[:_MOST_OTHERS]
    ]
    return b.Text("\n\n".join(["Also found:", *lines]))


def _small_print(seen: Evidence, diagnosis: Diagnosis, began_s: float | None) -> Iterator[str]:
    """Lines of one screen beside the verdict: notes, and what the doctor cost if it is much."""
    cost = seen.observer.share_of_cpu
    cost_s = seen.observer.inside_s + seen.observer.start_s
    took_s = time.perf_counter() - began_s if began_s is not None else 0.0
    is_slow = took_s > _WORTH_SAYING_S
    if (cost > _MUCH and cost_s > _MUCH_S) or is_slow:
        report = f", and {figures.seconds(took_s)} for this report" if is_slow else ""
        yield f"The doctor itself took {figures.share(cost)} of the program's CPU time{report}."
    yield from say_trials(seen)
    for note in diagnosis.notes:
        if note.name != "busy-machine":
            yield f"Note: {note.words}."


def _full_print(seen: Evidence, diagnosis: Diagnosis) -> Iterator[str]:
    """Lines on how far to trust all this."""
    pool = _pool_in_question(seen, diagnosis.findings[0] if diagnosis.findings else None)
    if diagnosis.findings:
        first = diagnosis.findings[0]
        wrong = f"{first.falsified_by[0].lower()}{first.falsified_by[1:]}"
        yield f"Confidence {first.confidence}. What would prove it wrong: {wrong}"
    cost = figures.share(seen.observer.share_of_cpu)
    balance = f"{pool.identity:.1%} of worker time accounted for; " if pool else ""
    used = ""
    if seen.program.other_cpus is not None:
        used = f"; other programs used {seen.program.other_cpus:.2f} of {seen.program.cpus:g} CPUs"
    yield f"{balance}the doctor itself took {cost} of the CPU time{used}.".replace("%", " %", 1)
    for unknown in diagnosis.unknown:
        if unknown.at_stake_s > 0:
            yield f"{unknown.code} {unknown.name} could not be told: {unknown.why}."


_MUCH, _MUCH_S = 0.05, 0.05
"""A doctor who takes more than this share of the CPU time, and more than so many seconds, says so
on the first screen."""

_WORTH_SAYING_S = 0.5
"""A report that took longer than this says so."""


def _edits(finding: Finding) -> Iterator[b.Block]:
    """The edits of a finding's remedies, each under what it does."""
    for remedy in finding.remedies:
        if remedy.changes:
            yield b.Code(patch.show(remedy.changes), title=remedy.words, language="diff")


def _finding_in_full(finding: Finding) -> Iterator[b.Block]:
    tone: b.Tone = "fair" if finding.kind == "advice" else "bad"
    yield b.Verdict(finding.verdict, tone, finding.code, str(finding.where or ""))
    rows: list[list[b.Cell]] = [[fact.words] for fact in finding.facts]
    yield b.Table([b.Column("evidence")], rows)
    yield _number(finding.remedies)
    yield from _edits(finding)
    yield b.Text(f"What would prove it wrong: {finding.falsified_by}", is_aside=True)


_MOST_HOT = 6


def list_hot_lines(profile: Profile) -> b.Table:
    """Table of the program's hot lines: the next thing to look at."""
    rows: list[list[b.Cell]] = [
        [line.share, f"{line.file.rpartition('/')[2]}:{line.line}", line.function,
         f"in {line.through}" if line.through else ""]
        for line in profile.lines[:_MOST_HOT]
    ]  # fmt: skip
    seconds = figures.seconds(profile.seconds)
    title = f"Hot {'lines' if profile.tool == 'py-spy' else 'functions'} inside tasks"
    columns = [b.Column("of the time", "share"), b.Column(""), b.Column(""), b.Column("")]
    return b.Table(columns, rows, f"{title} ({profile.tool}, {seconds})")


def _facts_of_the_run(seen: Evidence) -> b.Table:
    program = seen.program
    told: list[tuple[str, str]] = [
        ("command", " ".join(program.command)),
        ("exit status", str(program.exit_status)),
        ("Python", program.python or "not seen"),
        ("wall time", figures.seconds(program.wall_s)),
        ("CPU time, all processes", figures.seconds(program.cpu_s)),
        ("with work in a pool", figures.seconds(program.parallel_s)),
        ("outside every pool", figures.seconds(program.serial_s)),
        ("CPUs for this program", f"{program.cpus:g} of {program.cpus_machine}"),
        ("processes", str(program.processes)),
        ("records", figures.count(seen.observer.records)),
    ]
    if program.throttled_s:
        told.append(("stopped by the CPU quota for", figures.seconds(program.throttled_s)))
    return b.Table([b.Column(""), b.Column("")], [list(pair) for pair in told])
