"""The public function ``poolwise.tune``, and what it gives."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from poolwise.choose.call import Call
from poolwise.choose.model import KINDS, Kind
from poolwise.doors import profile
from poolwise.doors.functions import name_of_written
from poolwise.system.cpus import cpu_count
from poolwise.tuning import sample
from poolwise.tuning.effort import EFFORT
from poolwise.tuning.race import Race, Ratio, Setting
from poolwise.tuning.runner import Runner
from poolwise.tuning.search import OURS, Found, Space, search

if TYPE_CHECKING:
    import os

    from poolwise.report.blocks import Document


@dataclass
class Tuned:
    """Outcome of a tuning run: the setting, its gain, and all that was measured.

    ``kind``, ``workers`` and ``chunksize`` (None: self-sizing) are the setting; ``gain`` says how
    many times as fast as a plain loop the whole call is expected to be, its start included.
    ``race`` has the trials, ``found`` the curve of chunk sizes, ``notes`` what else there is.
    """

    call: Call
    length: int
    drawn: sample.Sample
    race: Race
    found: Found
    runs: int
    spent_s: float
    prior: Setting | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def setting(self) -> Setting:
        """The chosen setting."""
        return self.found.chosen

    @property
    def kind(self) -> str:
        """The kind of workers."""
        return self.setting.kind

    @property
    def workers(self) -> int:
        """The number of workers."""
        return self.setting.workers

    @property
    def chunksize(self) -> int | None:
        """The chunk size; None lets the pool choose."""
        return self.setting.chunksize

    @property
    def is_undecided(self) -> bool:
        """Several settings were to be tried, and there was time for one at most."""
        tried = [each for each, times in self.race.times.items() if times]
        return self.race.is_out_of_time and len(tried) < 2  # noqa: PLR2004 - to compare

    @property
    def gain(self) -> Ratio | None:
        """Times as fast as the plain loop; None if one of them never came through."""
        return self._times_as_fast_as(Setting("serial"))

    @property
    def gain_over_map(self) -> Ratio | None:
        """Times as fast as ``poolwise.map``, which chooses by itself."""
        return self._times_as_fast_as(Setting(OURS))

    def _times_as_fast_as(self, other: Setting) -> Ratio | None:
        if other not in self.race.times or self.setting not in self.race.times:
            return None
        ratio = self.race.ratio(self.setting, other)
        return None if ratio is None else ratio.inverse

    @property
    def profile(self) -> profile.Profile:
        """The setting with its evidence, as it is saved."""
        gain, costs = self.gain, self.drawn.measured
        return profile.Profile(
            profile.name_of(self.call.function),
            profile.digest_code(self.call.function),
            self.kind,
            self.workers,
            self.chunksize,
            {name: getattr(costs, name) for name in profile.COSTS},
            self.length,
            [] if gain is None else [gain.value, gain.low, gain.high],
            profile.describe_machine(),
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a profile for ``poolwise.map(..., profile=path)`` and ``Pool.from_profile(path)``.

        :raises OSError: it cannot be written.
        """
        self.profile.save(path)

    def document(self) -> Document:
        """The outcome as blocks: verdict, table and curve; charts for a page."""
        from poolwise.tuning.show import make_document

        return make_document(self)

    def to_html(self) -> str:
        """One page that needs no network.

        :raises ExtraMissing: plotly is not installed.
        """
        from poolwise.report import html

        return html.render(self.document())

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain data, for JSON."""
        from poolwise.tuning.show import as_dict

        return as_dict(self)

    def __str__(self) -> str:
        from poolwise.report import text

        return text.render(self.document()).rstrip("\n")

    def __repr__(self) -> str:
        return f"<Tuned {self.call.name}: {self.setting}>"


def tune(  # noqa: PLR0913 - a function, its items, and what a run may be told
    function: Callable[..., Any],
    items: Iterable[Any],
    *,
    budget: float = EFFORT.budget_s,
    length: int | None = None,
    star: bool = False,
    allow: Collection[Kind] | None = None,
    prior: str | os.PathLike[str] | profile.Profile | None = None,
    say: Callable[[str], object] | None = None,
) -> Tuned:
    """Find by trials how ``function`` is best run over such items: kind, workers and chunk size.

    It runs a sample of the items again and again, in this process and in workers, until the budget
    is spent or all is clear: for functions that can be run more than once. A function that assigns
    to something outside of itself is run once, and only here.

    :param budget: seconds for all trials.
    :param length: items of the call that this is for; None: as many as there are.
    :param star: items are tuples of arguments.
    :param allow: kinds that may be chosen; serial always may.
    :param prior: an earlier profile of this function (or its file), whose setting is tried as well.
    :param say: is called with a sentence before the function runs; None warns of side effects.
    :raises ValueError: there are no items, a number is out of range, or ``prior`` is of another
        function or machine.
    :raises SampleFailed: the function raised; the message names the item.
    """
    _check(budget, length)
    call = Call(function, has_many=star, seed=None)
    saved = None if prior is None else _read_prior(call, prior)
    begun_s = time.perf_counter()
    given = _as_list(items)
    if not given:
        message = f"there are no items to tune {call.name} with"
        raise ValueError(message)
    tuning = _Tuning(call, given, length or len(given), budget, begun_s, _kinds(call, allow))
    tuning.warn(say)
    return tuning.run(saved)


def _check(budget: float, length: int | None) -> None:
    if not 0 < budget < float("inf"):
        message = f"the budget must be a number of seconds above 0, not {budget!r}"
        raise ValueError(message)
    if length is not None and length < 1:
        message = f"length must be the number of items of a call, 1 or more, not {length!r}"
        raise ValueError(message)


def _read_prior(call: Call, given: str | os.PathLike[str] | profile.Profile) -> profile.Profile:
    """The profile; one of an earlier version of the function is just what is to be tried."""
    prior = given if isinstance(given, profile.Profile) else profile.read_profile(given)
    is_about = prior.is_about(call.function)
    why_not = prior.why_not_here() if is_about else prior.why_not_for(call.function)
    if why_not is not None:
        raise ValueError(why_not)
    return prior


def _as_list(items: Iterable[Any]) -> Sequence[Any]:
    """The items, or the first of a generator that may be without end."""
    if isinstance(items, (list, tuple, range)):
        return items
    if isinstance(items, Sized):
        return list(items)
    return list(islice(items, EFFORT.most_items))


def _kinds(call: Call, allow: Collection[Kind] | None) -> set[str]:
    named = {allow} if isinstance(allow, str) else set(KINDS if allow is None else allow)
    unknown = named - set(KINDS)
    if unknown:
        message = f"there is no kind {min(unknown)!r}; there are {', '.join(KINDS)}"
        raise ValueError(message)
    fitting = {"serial", "asyncio"} if call.is_coroutine else set(KINDS) - {"asyncio"}
    return {"serial", *(named & fitting)}


class _Tuning:
    """One run of :func:`tune`, step by step."""

    def __init__(  # noqa: PLR0913 - what a run is about
        self,
        call: Call,
        items: Sequence[Any],
        length: int,
        budget_s: float,
        begun_s: float,
        kinds: set[str],
    ) -> None:
        self._call = call
        self._items = items
        self._length = length
        self._budget_s = budget_s
        self._begun_s = begun_s
        self._kinds = kinds
        self._written = name_of_written(call.function)
        self._notes: list[str] = []

    def warn(self, say: Callable[[str], object] | None) -> None:
        """Say before it runs what running does."""
        effects = list(self._say_effects())
        if say is None:
            for sentence in effects:
                warnings.warn(sentence, RuntimeWarning, stacklevel=3)
        else:
            for sentence in [self._say_runs(), *effects]:
                say(sentence)
        self._notes += effects

    def _say_runs(self) -> str:
        where = "here and in workers" if len(self._kinds) > 1 else "here"
        return (
            f"{self._call.name} runs again and again on a sample of the {len(self._items):,} "
            f"items, {where}, for up to {self._budget_s:g} s"
        )

    def _say_effects(self) -> Iterator[str]:
        name = self._call.name
        if self._written is not None:
            yield (
                f"{name} assigns to {self._written}, which is outside of it: the items of a sample "
                "are run once, one after the other, and no other way is tried"
            )
            self._kinds = {"serial"}
            return
        from poolwise.tuning.effects import list_changed

        changed = list_changed(self._call.function)
        if changed:
            yield (
                f"{name} seems to change {', '.join(changed)}: each run of a trial does so again, "
                "and what workers change is lost"
            )

    def run(self, prior: profile.Profile | None) -> Tuned:
        """Draw a sample and search, within the budget."""
        cpus = cpu_count()
        turn_s = self._budget_s / EFFORT.turns if self._written is None else 0.0
        drawn = sample.draw(self._call, self._items, 2 * (cpus + 1), turn_s, self._budget_s / 4)
        self._bar(drawn)
        first_s = drawn.item_s * len(drawn.items) / drawn.at_once
        with Runner(self._call, drawn.items, cpus, drawn.at_once) as runner:
            whole_s = partial(self._whole_s, runner, len(drawn.items))
            race = Race(runner.time, time.perf_counter, whole_s, first_s)
            found, setting = self._search(race, self._space(drawn, cpus), prior)
            if race.has_only_failed:  # an item that the first look has left out
                sample.measure(self._call, drawn.items, self._budget_s)
        spent_s = time.perf_counter() - self._begun_s
        runs = runner.runs + drawn.runs
        return Tuned(
            self._call, self._length, drawn, race, found, runs, spent_s, setting, self._notes
        )

    def _search(
        self, race: Race, space: Space, prior: profile.Profile | None
    ) -> tuple[Found, Setting | None]:
        if self._kinds == {"serial"}:
            race.enter([Setting("serial")])
            if self._written is None:
                race.run(1)
            return Found(Setting("serial")), None
        setting = None if prior is None else Setting(prior.kind, prior.workers, prior.chunksize)
        return search(space, race, self._spend, setting), setting

    def _spend(self, share: float) -> float:
        return self._begun_s + share * self._budget_s

    def _whole_s(self, runner: Runner, count: int, setting: Setting, seconds: float) -> float:
        return runner.start_s(setting) + seconds * self._length / count

    def _space(self, drawn: sample.Sample, cpus: int) -> Space:
        measured = drawn.measured
        return Space(
            frozenset(self._kinds),
            cpus,
            len(drawn.items),
            self._length,
            measured.is_mixed,
            has_standard="processes" in self._kinds and _is_plain(self._call.function),
        )

    def _bar(self, drawn: sample.Sample) -> None:
        """Rule out what the function does not allow, and say so."""
        name = self._call.name
        if drawn.changed is not None and self._written is None:
            self._notes.append(
                f"{name} changes {drawn.changed}, which is outside of it: only the loop keeps that"
            )
            self._kinds = {"serial"}
        if "processes" in self._kinds:
            why_not = self._call.why_not_sent() or _why_not_pickled(drawn.items)
            if why_not is not None:
                self._notes.append(f"no trial with processes: {why_not}")
                self._kinds.discard("processes")


def _is_plain(function: Callable[..., Any]) -> bool:
    """The standard pool can send it: its workers find it by its name."""
    import pickle

    try:
        pickle.dumps(function)
    except Exception:
        return False
    return True


def _why_not_pickled(items: list[Any]) -> str | None:
    import pickle

    for item in items[: EFFORT.few_items]:
        try:
            pickle.dumps(item, 5, buffer_callback=lambda _: False)
        except Exception as error:
            return f"items cannot be sent to another process ({type(error).__name__}: {error})"
    return None
