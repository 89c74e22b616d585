"""Trials on the heaviest call of a program: those that the doctor makes with ``--verify``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from poolwise import doctor
from poolwise.doctor.gather.trials import find_trial, lasted_s, say_sample, say_trials
from poolwise.doctor.predict.curves import list_experiments, name_of
from poolwise.report import blocks as b
from poolwise.tuning.effort import EFFORT

if TYPE_CHECKING:
    from poolwise.doctor.evidence.features import Evidence, Experiment, Pool, Site, Trial


@dataclass(frozen=True)
class Tried:
    """One call of a program, and the experiments on it."""

    site: Site
    pool: Pool
    trial: Trial

    @property
    def ways(self) -> list[Experiment]:
        """Ways to run the call, the fastest first; packing alone is none."""
        found = [each for each in self.trial.experiments if each.kind != "pickle"]
        return sorted(found, key=lambda each: each.ratio)

    @property
    def chosen(self) -> Experiment:
        """The fastest way, or what it was if that is about as fast."""
        best, *_ = self.ways
        as_is = next((each for each in self.ways if each.kind == "as-is"), best)
        return as_is if as_is.ratio <= EFFORT.as_fast * best.ratio else best

    @property
    def place(self) -> str:
        """Line, method and function."""
        return f"{self.trial.place}  {self.trial.api}({self.site.function})"


def tune_script(command: Sequence[str], budget_s: float) -> tuple[Evidence, Tried | None]:
    """Run a program with experiments on each of its calls, and return the heaviest that had some.

    :param command: the whole command line, as for ``poolwise.doctor.observe``.
    :raises OSError: it cannot be started.
    """
    seen = doctor.observe(command, verify_s=budget_s)
    tried = [
        Tried(site, pool, trial)
        for pool in seen.pools
        for site in pool.sites
        if (trial := find_trial(site, pool, seen)) is not None and trial.experiments
    ]
    return seen, max(tried, key=lambda each: each.site.work_s, default=None)


def say_why_not(seen: Evidence) -> str:
    """Reason why there were no experiments on any call."""
    reasons = list(say_trials(seen))
    return " ".join(reasons) if reasons else "the program gave no work to any pool"


def make_document(tried: Tried) -> b.Document:
    """Verdict, table and bars of the chunk sizes."""
    chosen, now_s = tried.chosen, lasted_s(tried.site, tried.pool)
    if chosen.kind == "as-is":
        headline = "The heaviest call is best as it is"
    else:
        faster = 1 / chosen.ratio
        headline = f"The heaviest call runs best as {name_of(chosen)}: {faster:.2f}x as fast"
    summary: list[b.Block] = [
        b.Verdict(headline, "good", "TUNED", tried.place, list(_say_more(tried))),
        list_experiments(tried.trial, now_s),
    ]
    bars = [
        b.Bar(label, [b.Part("time of the sample", each.seconds, "work")])
        for label, each in _curve(tried)
    ]
    if len(bars) > 1:
        summary.append(b.Bars(bars, "Chunk sizes"))
    return b.Document("How to run the heaviest call", summary, [], as_dict(tried))


def _say_more(tried: Tried) -> Iterator[str]:
    trial = tried.trial
    yield (
        f"on {say_sample(trial)}; each time is the least of its turns, so differences of a few "
        "percent say nothing"
    )
    ours = next((each for each in tried.ways if each.kind == "poolwise"), None)
    if ours is not None:
        ratio = ours.ratio / tried.ways[0].ratio
        yield f"poolwise.Pool, which sizes its chunks itself, took {ratio:.2f}x the best time"
    if trial.skipped:
        yield f"not tried: {', '.join(trial.skipped)}"


def _curve(tried: Tried) -> list[tuple[str, Experiment]]:
    """Chunk sizes in order, then the call as it was and with self-sized chunks."""
    named = {"as-is": "as it was", "poolwise": "poolwise.Pool"}
    sizes = [each for each in tried.ways if each.kind == "chunksize"]
    if not sizes:
        return []
    sizes.sort(key=lambda each: each.value or 0)
    others = [(named[each.kind], each) for each in tried.ways if each.kind in named]
    return [(f"{each.value:,}", each) for each in sizes] + others


def as_dict(tried: Tried) -> dict[str, Any]:
    """All of it as plain data."""
    return {
        "place": str(tried.trial.place),
        "api": tried.trial.api,
        "function": tried.site.function,
        "sample": tried.trial.items,
        "length": tried.trial.of_items,
        "chosen": asdict(tried.chosen),
        "experiments": [asdict(each) for each in tried.ways],
    }
