"""An exception comes home as itself if it can, and in any case with its traceback."""

from __future__ import annotations

import pickle
import sys
import threading

import pytest

from poolwise import errors
from poolwise.wire import failures


class Plain(Exception):
    pass


class TwoArguments(Exception):
    """The classic: pickles, and then its constructor is called with one argument too few."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class BreaksWhenRebuilt(Exception):
    def __reduce__(self):
        return int, ("no number",)


class RebuildsAsSomethingElse(Exception):
    def __reduce__(self):
        return int, ("3",)


class HoldsALock(Exception):
    def __init__(self, message):
        super().__init__(message)
        self.lock = threading.Lock()


class RefusesToTalk(HoldsALock):
    def __repr__(self):
        raise RuntimeError

    __str__ = __repr__


def fail_with(error):
    raise error


def raised(error):
    """The error with a traceback."""
    with pytest.raises(type(error)):
        fail_with(error)
    return error


def travel(error):
    """What the other side makes of it."""
    return failures.decode(failures.encode(raised(error)))


@pytest.mark.parametrize(
    "error",
    [
        Plain("a", 1), KeyError("k"), OSError(2, "No such file", "name"), SystemExit(3),
        KeyboardInterrupt(), StopIteration(5), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        errors.TaskTimeout("late"), errors.WorkerDied("died", 1, -9, 3),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_an_exception_comes_home_as_itself_with_the_traceback_as_its_cause(error):
    home = travel(error)
    assert type(home) is type(error)
    assert home.args == error.args
    assert isinstance(home.__cause__, errors.RemoteTraceback)
    assert "in fail_with" in str(home.__cause__)


def test_attributes_and_notes_come_along():
    error = Plain("a")
    error.detail = [1, 2]
    if sys.version_info >= (3, 11):
        error.add_note("look here")
    home = travel(error)
    assert home.detail == [1, 2]
    assert getattr(home, "__notes__", []) == getattr(error, "__notes__", [])


def test_the_cause_that_it_had_stands_in_the_traceback():
    error = Plain("second")
    error.__cause__ = Plain("first")
    assert "first" in str(travel(error).__cause__)


def test_a_constructor_of_its_own_is_no_hindrance():
    home = travel(TwoArguments(7, "seven"))
    assert type(home) is TwoArguments
    assert (home.code, home.args) == (7, ("seven",))


@pytest.mark.parametrize("kind", [BreaksWhenRebuilt, RebuildsAsSomethingElse])
def test_one_whose_own_way_fails_is_rebuilt_bare(kind):
    home = travel(kind("words"))
    assert type(home) is kind
    assert home.args == ("words",)


def test_one_that_cannot_be_pickled_at_all_is_described():
    home = travel(HoldsALock("words"))
    assert isinstance(home, errors.ResultNotPicklable)
    assert isinstance(home, pickle.PicklingError)
    assert "HoldsALock" in str(home)
    assert "words" in str(home.__cause__)


def test_one_that_cannot_even_be_described_does_not_stop_us():
    assert isinstance(travel(RefusesToTalk("words")), errors.ResultNotPicklable)


def test_a_local_class_is_described():
    class Local(Exception):
        pass

    home = travel(Local("words"))
    assert isinstance(home, errors.ResultNotPicklable)
    assert "Local" in str(home.__cause__)


def test_a_result_that_cannot_be_sent_is_refused_in_the_words_of_the_standard_pool():
    home = failures.decode(failures.refused(TypeError("cannot pickle"), threading.Lock()))
    assert isinstance(home, errors.ResultNotPicklable)
    assert "cannot pickle" in home.exc
    assert home.value.startswith("<unlocked _thread.lock")


def test_a_result_that_cannot_even_be_described_is_refused_all_the_same():
    home = failures.decode(failures.refused(TypeError(), RefusesToTalk("words")))
    assert "RefusesToTalk object at" in home.value


def test_what_breaks_only_here_is_said_with_the_traceback():
    home = failures.decode((pickle.dumps(Plain())[:-3], "the traceback"))
    assert isinstance(home, errors.ResultNotLoadable)
    assert "the traceback" in str(home.__cause__)
