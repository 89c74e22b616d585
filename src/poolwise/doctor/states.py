"""The states of an account as a report shows them: names, colours, groups for a glance."""

from __future__ import annotations

from collections.abc import Mapping

from poolwise.account.states import Meaning
from poolwise.report import blocks as b

SHOWN: dict[str, tuple[str, Meaning]] = {
    "run_cpu": ("your function, on a CPU", "work"),
    "run_blocked": ("your function, blocked", "blocked"),
    "run_queued": ("your function, no CPU free", "cpu_wait"),
    "pickle_args": ("waiting: parent pickles", "pickle"),
    "transport": ("waiting: parent writes", "move_out"),
    "receive": ("reading the message", "move_out"),
    "unpickle_args": ("unpickling arguments", "unpickle"),
    "pickle_result": ("pickling results", "pickle"),
    "lock_result": ("waiting for the result pipe", "move_in"),
    "send_result": ("writing results", "move_in"),
    "dispatch": ("waiting: parent hands out", "starved"),
    "wakeup": ("waking up, queue lock", "hand_over"),
    "loop": ("the pool's own loop", "hand_over"),
    "starved": ("waiting: nothing submitted", "starved"),
    "generator": ("waiting: your iterator", "input"),
    "startup": ("starting workers", "start"),
    "respawn": ("replacing workers", "load"),
    "tail": ("idle: others still work", "tail"),
    "drain": ("idle: last results on their way", "consumer"),
    "observer": ("the doctor's clocks", "other"),
    "unexplained": ("not explained", "other"),
}
"""State (`account.STATES`) -> its name in a chart and its colour, in the order of the bars."""

GROUPS: tuple[tuple[str, str, Meaning, tuple[str, ...]], ...] = (
    ("your function, on a CPU", "c", "work", ("run_cpu",)),
    ("your function, blocked", "b", "blocked", ("run_blocked",)),
    ("ready to run, but no CPU free", "q", "cpu_wait", ("run_queued",)),
    ("moving arguments", "a", "move_out", ("pickle_args", "transport", "receive", "unpickle_args")),
    ("moving results", "r", "move_in", ("pickle_result", "lock_result", "send_result")),
    ("handing out messages", "h", "hand_over", ("dispatch", "wakeup", "loop")),
    ("waiting for your iterator", "i", "input", ("generator",)),
    ("waiting: nothing submitted", "n", "starved", ("starved",)),
    ("starting and replacing workers", "s", "start", ("startup", "respawn")),
    ("idle at the end", "e", "tail", ("tail", "drain")),
    ("the doctor, and unexplained", "d", "other", ("observer", "unexplained")),
)
"""What one screen has room for: name, letter of the bar, colour, states. Letters never change."""

LEAST_SHARE = 0.005
"""Groups smaller than this are put together."""


def in_groups(account: Mapping[str, float], notes: Mapping[str, str] | None = None) -> list[b.Part]:
    """An account in groups, the negligible ones in one."""
    whole_s = sum(account.values()) or 1.0
    parts = [
        b.Part(name, _sum(account, states), meaning, _note(states, notes), letter)
        for name, letter, meaning, states in GROUPS
    ]
    shown = [part for part in parts if part.value >= LEAST_SHARE * whole_s]
    rest_s = whole_s - sum(part.value for part in shown)
    return (
        [*shown, b.Part("everything else", rest_s, "other", letter="o")]
        # A rest that is smaller than this share is what sums of floats leave.
        if rest_s > 1e-06 * whole_s
        else shown
    )


def in_full(account: Mapping[str, float]) -> list[b.Part]:
    """Every state that has any time."""
    return [
        b.Part(name, account[state], meaning)
        for state, (name, meaning) in SHOWN.items()
        if account.get(state, 0.0) > 0
    ]


def _sum(account: Mapping[str, float], states: tuple[str, ...]) -> float:
    return sum(account.get(state, 0.0) for state in states)


def _note(states: tuple[str, ...], notes: Mapping[str, str] | None) -> str:
    return next((notes[state] for state in states if state in notes), "") if notes else ""
