"""Trials in turns, and the search over them: costs and the clock are made up."""

from __future__ import annotations

import itertools
import math

import pytest

from poolwise.choose.limits import LIMITS
from poolwise.tuning.effort import EFFORT
from poolwise.tuning.race import Race, Setting, ratio_of
from poolwise.tuning.search import LADDER, OURS, STANDARD, Space, list_all, search

SERIAL, THREADS, PROCESSES = Setting("serial"), Setting("threads", 2), Setting("processes", 2)


class Machine:
    """Runs settings in made-up time.

    :param cost: seconds of a setting.
    :param noise: factors that trials are multiplied by, one after the other.
    """

    def __init__(self, cost, noise=(1.0,)):
        self.cost, self.noise, self.now_s = cost, itertools.cycle(noise), 0.0
        self.order = []

    def trial(self, setting):
        self.order.append(setting)
        seconds = self.cost(setting) * next(self.noise)
        self.now_s += seconds
        return seconds

    def clock(self):
        return self.now_s

    def race(self, whole_s=lambda _, seconds: seconds):
        return Race(self.trial, self.clock, whole_s)

    def search(self, space, budget_s=math.inf, prior=None, whole_s=lambda _, seconds: seconds):
        race = self.race(whole_s)
        return race, search(space, race, lambda share: share * budget_s, prior)


def fixed(**costs):
    return lambda setting: costs.get(setting.kind.replace(".", "_"), 1.0)


# -- ratios


def test_one_and_two_rounds_give_no_interval():
    assert ratio_of([]) is None
    for ratios in ([2.0], [2.0, 2.0]):
        ratio = ratio_of(ratios)
        assert (ratio.value, ratio.low, ratio.high) == (pytest.approx(2.0), None, None)
        assert not ratio.is_above_one


def test_the_interval_is_wider_with_more_spread_and_narrower_with_more_rounds():
    close, far = ratio_of([1.0, 1.1, 1.05]), ratio_of([0.5, 2.0, 1.05])
    many = ratio_of([1.0, 1.1, 1.05] * 4)
    assert far.high / far.low > close.high / close.low > many.high / many.low > 1


def test_agreement_by_chance_is_not_trusted():
    ratio = ratio_of([1.02] * 3)
    assert ratio.low < 1 < ratio.high


def test_the_inverse_turns_the_interval_round():
    ratio = ratio_of([2.0, 2.1, 1.9, 2.0])
    assert ratio.inverse.low == pytest.approx(1 / ratio.high)
    assert ratio.inverse.low < ratio.inverse.value < ratio.inverse.high


# -- the race


def test_trials_are_interleaved_and_turn_round():
    machine = Machine(fixed(threads=1.01))
    race = machine.race()
    race.enter([SERIAL, THREADS])
    race.run(3)
    assert machine.order == [SERIAL, THREADS, THREADS, SERIAL, SERIAL, THREADS]


def test_a_clear_loser_is_stopped_at_once_and_a_close_one_is_not():
    machine = Machine(fixed(threads=1.02, processes=9.0))
    race = machine.race()
    race.enter([SERIAL, THREADS, PROCESSES])
    race.run(3)
    assert list(race.stopped) == [PROCESSES]
    assert len(race.times[PROCESSES]) == 1
    assert len(race.times[THREADS]) == 3


def test_what_slows_all_of_a_round_decides_nothing():
    machine = Machine(fixed(threads=1.3), noise=[1, 1, 9, 9, 1, 1])
    race = machine.race()
    race.enter([SERIAL, THREADS])
    race.run(3)
    assert list(race.stopped) == [THREADS]
    assert race.ratio(THREADS, SERIAL).value == pytest.approx(1.3)


def test_a_setting_is_not_best_for_having_run_while_it_was_quiet():
    machine = Machine(fixed(threads=0.8))
    race = machine.race()
    race.enter([SERIAL])
    race.run(1)
    race.run(4, [SERIAL])  # quiet: 1.0
    machine.noise = itertools.cycle([3.0])
    race.enter([THREADS])
    race.run(3)
    assert race.seconds(THREADS) > race.seconds(SERIAL)
    assert race.best() == THREADS


def test_a_trial_that_fails_is_stopped_with_the_reason_and_the_others_go_on():
    def cost(setting):
        if setting.kind == "processes":
            raise OSError(28, "no room")
        return 1.0

    race = Machine(cost).race()
    race.enter([PROCESSES, SERIAL])
    race.run(2)
    assert "no room" in race.stopped[PROCESSES]
    assert race.seconds(PROCESSES) is None
    assert race.best() == SERIAL


def test_no_trial_begins_that_would_end_after_the_budget():
    machine = Machine(fixed())
    race = machine.race()
    race.end_s = 5.5
    race.enter([SERIAL, THREADS])
    race.run(9)
    assert machine.now_s == 5.0
    assert race.is_out_of_time


def test_the_first_trial_is_not_begun_if_it_would_take_too_long():
    machine = Machine(fixed())
    race = Race(machine.trial, machine.clock, lambda _, seconds: seconds, first_s=10.0)
    race.end_s = 5.0
    race.enter([SERIAL])
    race.run(1)
    assert machine.order == []


def test_what_a_trial_costs_here_counts_not_what_it_is_scaled_to():
    machine = Machine(fixed())
    race = Race(lambda each: 100 * machine.trial(each), machine.clock, lambda _, each: each)
    race.end_s = 4.5
    race.enter([SERIAL, THREADS])
    race.run(3)
    assert machine.now_s == 4.0


def test_starting_counts():
    race = Machine(fixed(processes=0.5)).race(
        lambda setting, seconds: seconds + (2.0 if setting.kind == "processes" else 0.0)
    )
    race.enter([SERIAL, PROCESSES])
    race.run(3)
    assert race.best() == SERIAL


# -- the search


def space(**changes):
    given = {"kinds": {"serial", "threads", "processes"}, "cpus": 4, "items": 4000, "length": 4000}
    return Space(**{**given, **changes})


def u_curve(setting, best=100):
    """Four processes are best, and the cost grows with the distance from a chunk size."""
    if setting.kind == "serial":
        return 4.0
    if setting.kind == "threads":
        return 4.4
    scale = 1.0 + 0.3 * abs(setting.workers - 4)
    if setting.chunksize is None:
        return 1.3 * scale
    return scale * (1 + 0.2 * abs(math.log(setting.chunksize / best)))


def test_it_finds_the_bottom_of_the_curve():
    _, found = Machine(u_curve).search(space())
    assert found.chosen == Setting("processes", 4, 100)
    assert [each.chunksize for each in found.curve] == [size for size in LADDER if size <= 1000]


@pytest.mark.parametrize("best", [5, 20, 500])
@pytest.mark.parametrize("noise", [(1.0, 1.03, 0.98, 1.01), (1.0, 1.0, 1.6, 1.0, 1.05)])
def test_it_is_close_to_the_best_in_noise(best, noise):
    there = space()
    _, found = Machine(lambda each: u_curve(each, best), noise).search(there)
    least = min(u_curve(each, best) for each in list_all(there))
    assert u_curve(found.chosen, best) <= 1.05 * least


@pytest.mark.parametrize("more", [3, 5])
def test_a_step_in_workers_is_tried(more):
    def cost(setting):
        return 5.0 if setting.kind == "serial" else 1.0 if setting.workers == more else 1.5

    _, found = Machine(cost).search(space(kinds={"serial", "processes"}))
    assert found.chosen.workers == more


def test_of_settings_as_fast_the_simplest_is_taken():
    _, found = Machine(fixed()).search(space())
    assert found.chosen == SERIAL
    _, found = Machine(fixed(serial=3.0, threads=3.0)).search(space())
    assert found.chosen == Setting("processes", 3)  # one step down, self-sized chunks


def test_where_items_wait_the_number_is_climbed_by_factors():
    def cost(setting):
        return 100.0 / setting.workers if setting.kind == "threads" else 100.0

    race, found = Machine(cost).search(space(is_waiting=True, items=400, length=400))
    tried = {each.workers for each in race.times if each.kind == "threads"}
    assert {8, 32, LIMITS.most_threads} <= tried
    assert found.chosen.workers == LIMITS.most_threads


def test_coroutines_are_climbed_as_well():
    def cost(setting):
        return 100.0 / setting.workers if setting.kind == "asyncio" else 100.0

    _, found = Machine(cost).search(space(kinds={"serial", "asyncio"}, items=5000))
    assert found.chosen == Setting("asyncio", LIMITS.most_coroutines)


def test_the_curve_is_drawn_though_a_loop_is_best():
    _, found = Machine(fixed(serial=0.5)).search(space(has_standard=True))
    assert found.chosen == SERIAL
    assert found.base == Setting("processes", 4)
    assert {each.kind for each in found.standard} == {STANDARD}


def test_a_sample_says_nothing_of_chunks_that_leave_it_few():
    small, whole = space(items=400, length=100_000), space(items=400, length=400)
    assert max(each.chunksize for each in small.list_chunks(Setting("processes", 4))) == 20
    assert max(each.chunksize for each in whole.list_chunks(Setting("processes", 4))) == 100


def test_what_is_only_compared_with_is_never_chosen():
    costs = {OURS: 0.1, STANDARD: 0.1}
    machine = Machine(lambda each: costs.get(each.kind, 1.0))
    race, found = machine.search(space(has_standard=True))
    assert found.chosen.kind not in costs
    assert race.times[Setting(OURS)]


def test_who_had_few_turns_has_more_as_long_as_there_is_time():
    """The first turn of processes is slow by chance, and the time for kinds is over with it."""
    turns = itertools.count()

    def cost(setting):
        if setting.kind == "serial":
            return 10.0
        return 20.0 if next(turns) == 0 else 5.0

    there = space(kinds={"serial", "processes"}, items=3, length=3)
    _, found = Machine(cost).search(there, budget_s=90.0)
    assert found.chosen.kind == "processes"


def test_a_saved_setting_takes_part():
    saved = Setting("processes", 4, 77)
    _, found = Machine(lambda each: 0.2 if each == saved else 1.0).search(space(), prior=saved)
    assert found.chosen == saved


@pytest.mark.parametrize("budget_s", [3.0, 8.0, 30.0])
def test_the_budget_holds_but_for_a_trial_of_unknown_length(budget_s):
    machine = Machine(u_curve)
    race, found = machine.search(space(), budget_s)
    assert machine.now_s <= budget_s + max(map(u_curve, race.times))
    assert found.chosen in {SERIAL, *race.times}


def test_losers_cost_less_than_a_sweep():
    there = space()
    raced, swept = Machine(u_curve), Machine(u_curve)
    raced.search(there)
    for _ in range(EFFORT.rounds):
        for setting in list_all(there):
            swept.trial(setting)
    assert raced.now_s < swept.now_s
