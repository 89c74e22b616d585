"""What stands on the screen: one line that anybody understands, fixed letters, whole numbers."""

from __future__ import annotations

import dataclasses
import re
import typing

import pytest

from poolwise.account import states
from poolwise.doctor.diagnose import diagnose
from poolwise.doctor.findings import Change, Finding, Remedy, RemedyKind
from poolwise.doctor.gather import account
from poolwise.doctor.render import charts
from poolwise.doctor.render.headline import PLAIN, say_first, say_short
from poolwise.doctor.render.present import _list_remedies, make_document
from poolwise.doctor.rules import RULES
from poolwise.report import text
from tests.doctor.made_up import pool, run
from tests.doctor.test_rules import HEALTHY, SICK

ALL = {**SICK, **{f"healthy-{name}": seen for name, seen in HEALTHY.items()}}


@pytest.mark.parametrize("name", ALL)
def test_the_first_line_is_short_and_plain(name):
    seen = ALL[name]
    line = say_first(seen, diagnose(seen))
    assert len(line) < 140
    assert re.match(r"[\d.]+ (s|ms|min)", line)
    assert not re.search(r"PW\d|worker-second|dispatch|payload|chain", line)


@pytest.mark.parametrize("kind", typing.get_args(RemedyKind))
def test_every_kind_of_remedy_has_a_short_name(kind):
    words = "imap(..., chunksize=9): reads the input, as it is needed"
    short = say_short(Remedy(kind, words, value=8))
    assert 3 < len(short) < 60
    assert short.count("(") == short.count(")")


def test_an_edit_is_labelled_with_the_remedy_that_it_makes():
    finding = Finding("PW001", "tasks-too-small", "slow", None, None, 1.0, "v", [], [], "", 9)
    change = Change("/srv/a.py", 3, ["a"], ["b"])
    second = Remedy("chunksize", "chunksize=8", value=8, changes=[change])
    remedies = [Remedy("order", "the longest first"), second]
    [_, edit] = _list_remedies(dataclasses.replace(finding, remedies=remedies))
    assert "For 1 no edit" in edit.title
    assert "for 2, chunksize=8" in edit.title


def test_every_finding_has_plain_words():
    wrong = {"worker-died", "call-never-ended", "duplicated-random-streams"}
    assert {rule.name for rule in RULES} == {*PLAIN, *wrong}


@pytest.mark.parametrize("width", [60, 80, 100])
@pytest.mark.parametrize("name", ALL)
def test_no_number_is_cut(name, width):
    document = make_document(ALL[name], diagnose(ALL[name]))
    screen = text.render(document, width)
    assert "…" not in screen
    assert not re.search(r"\d\n *(%|ns|µs|ms|s|kB|MB)\b", screen)
    assert "0.00" not in screen
    assert "if: if" not in text.render(document, width, is_full=True)


def test_letters_of_the_bar_never_change():
    letters = [letter for _, letter, _, _ in charts.GROUPS]
    assert len({*letters, "o"}) == len(letters) + 1
    drawn = {}
    for seen in (*SICK.values(), *HEALTHY.values()):
        screen = text.render(make_document(seen, diagnose(seen), is_full=False))
        for name, letter, _, _ in charts.GROUPS:
            if found := re.search(rf"^(\w) {re.escape(name)}", screen, re.MULTILINE):
                drawn.setdefault(name, set()).add(found[1])
                assert found[1] == letter
    assert len(drawn) > 5


def test_each_state_of_a_worker_is_in_one_group_and_lost_to_one_factor():
    grouped = [state for *_, members in charts.GROUPS for state in members]
    assert len(grouped) == len(set(grouped))
    of_workers = {*account.STATES, *states.WORKER_ENTRIES, *states.IDLE_CAUSES, "not_started"}
    assert set(grouped) == of_workers - {"wait"}
    assert {state for state in grouped if states.STATES[state].factor not in states.CHAIN} == {
        "run_cpu"
    }


def test_one_thing_is_not_many():
    seen = run(pool({"run_cpu": 1.0}, slots=1))
    screen = text.render(make_document(seen, diagnose(seen)), 200, is_full=True)
    assert not re.search(r"\b1 (?!s\b|ms\b)\w+(?<!s)s\b", screen.replace("1 CPUs", ""))
