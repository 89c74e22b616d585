"""Two runs of one program compared: each difference that is no race and not allowed is one."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from tests.parity.differential.allowed import Case, find_hang_reason, find_reason
from tests.parity.differential.judge import Judge
from tests.parity.differential.programs import SINGLE, Call, Program, Read
from tests.parity.differential.run import Run
from tests.parity.differential.steps import Outcome
from tests.parity.differential.tasks import ERRORS, Raised, freeze_error, make_error

NO_REASON = "no reason is known"


@dataclass(frozen=True)
class Difference:
    """What is wrong with ours.

    :param at: the step, or None for what came of the program as a whole.
    """

    at: int | None
    why: str
    standard: Any = None
    ours: Any = None

    def __str__(self):
        where = "at the end" if self.at is None else f"step {self.at}"
        return f"{where}: {self.why}\n  standard: {self.standard}\n  ours:     {self.ours}"


class Comparison:
    """One program, run on both sides.

    :param allowed: counts, by their reason, the differences that are allowed.
    """

    def __init__(self, program: Program, standard: Run, ours: Run, side: str) -> None:
        self.program = program
        self.side = side
        self.standard = standard
        self.ours = ours
        self.allowed: Counter[str] = Counter()
        self.differences: list[Difference] = []
        self._judge = Judge(program)
        if not self._differ_in_steps():
            self._differ_at_the_end()

    @property
    def hang(self) -> str | None:
        """Why the standard side hung, if it did."""
        if self.standard.ended != "hang":
            return None
        return find_hang_reason(self.program) or NO_REASON

    @property
    def kinds(self) -> set[str]:
        """What is wrong, without what is particular to this program."""
        return {_kind_of(one, self.program) for one in self.differences}

    def __str__(self):
        said = "\n".join(map(str, self.differences))
        return f"\n{self.program!r}\n{said}\n{self.ours.stderr[-1000:]}".rstrip()

    def account(self) -> str:
        """Everything that both sides told."""
        lines = [str(self)]
        for name, run in ("standard", self.standard), ("ours", self.ours):
            lines += [f"{name}: {run.ended}", *(f"    {step}" for step in run.steps)]
            lines += [f"    {run.end}", run.stderr]
        return "\n".join(lines)

    def _differ_in_steps(self) -> bool:
        """Compare step by step, until the first difference."""
        for at in range(-1, len(self.program.steps)):
            standard = _outcome_at(self.standard, at)
            ours = _outcome_at(self.ours, at)
            if ours is None:
                self._note(at, f"ours ended here: {self.ours.ended}", standard, None)
            elif at < 0:
                if standard is not None and standard != ours:
                    self._note(at, "the pools were not made alike", standard, ours)
            else:
                self._compare_step(at, standard, ours)
            if self.differences:
                return True
        return False

    def _compare_step(self, at: int, standard: Outcome | None, ours: Outcome) -> None:
        complaint = self._judge.complain(at, ours)
        if standard is not None and agree(standard, ours):
            return
        if complaint is not None:
            self._note(at, complaint, standard, ours)
        elif standard is None:
            self.allowed["the standard pool had ended"] += 1
        elif not self._is_race(at):
            case = Case(self.program, at, standard, ours, self._judge)
            reason = find_reason(case)
            if reason is None:
                self._note(at, "not as the standard pool", standard, ours)
            else:
                self.allowed[reason] += 1

    def _is_race(self, at: int) -> bool:
        step = self.program.steps[at]
        if not isinstance(step, Read):
            return False
        call = self.program.steps[step.of]
        is_late = call.timeout is not None and call.timeout < 1
        before = [one.how for one in self.program.steps[: at + 1] if reads_of(one) == step.of]
        is_unordered = call.way == "imap_unordered"
        return is_unordered or is_late or "briefly" in before or "cancel" in before

    def _differ_at_the_end(self) -> None:
        ours = self.ours
        if ours.ended != "done":
            self._note(None, f"ours: {ours.ended} at its exit", self.standard.ended, ours.ended)
        if ours.left_processes:
            self._note(None, "processes are left", None, ours.left_processes)
        if ours.end is None:
            return
        if ours.end["left"]:
            self._note(None, "something is left", None, ours.end["left"])
        for complaint in self._judge.complain_of_all(ours.end):
            self._note(None, complaint, self.standard.end, ours.end)
        if not self.differences and self.standard.end and not self.allowed:
            self._compare_callbacks(self.standard.end["callbacks"], ours.end["callbacks"])

    def _compare_callbacks(self, standard: list[Any], ours: list[Any]) -> None:
        """The same calls back; in the same order where one worker does one task after another."""
        if any(self._judge.losses.values()) or find_hang_reason(self.program):
            return  # what may make the standard side hang loses its callbacks as well
        standard, ours = ([e for e in log if e[1] != "submitted"] for log in (standard, ours))
        for at in {entry[0] for entry in standard + ours}:
            both = [[entry for entry in log if entry[0] == at] for log in (standard, ours)]
            case = Case(self.program, at, *both, self._judge)
            if not agree(*both) and not find_reason(case) and not self._is_cancelled(at):
                self._note(None, f"step {at}: other callbacks", *both)
        is_in_turn = not any(getattr(step, "beside", False) for step in self.program.steps)
        workers = [setup.workers for setup in self.program.pools]
        if workers == [1] and is_in_turn and not self.differences:
            self._compare_order(standard, ours)

    def _compare_order(self, standard: list[Any], ours: list[Any]) -> None:
        singles = {
            at
            for at, step in enumerate(self.program.steps)
            if isinstance(step, Call)
            and step.way in SINGLE
            and not self._is_cancelled(at)
            and step.function != "lambda"  # refused at once there, run in its turn here
        }
        for log in (standard, ours):
            singles &= {at for at, _, _ in log}
        orders = [[at for at, _, _ in log if at in singles] for log in (standard, ours)]
        if orders[0] != orders[1]:
            self._note(None, "callbacks in another order", *orders)

    def _is_cancelled(self, at: int) -> bool:
        reads = [step for step in self.program.steps if reads_of(step) == at]
        return any(read.how == "cancel" for read in reads)

    def _note(self, at: int | None, why: str, standard: Any, ours: Any) -> None:
        self.differences.append(Difference(at, why, standard, ours))


def _kind_of(difference: Difference, program: Program) -> str:
    words = re.sub(r"[('<\[].*", "", difference.why)
    words = re.sub(r"\d+", "N", words)
    if difference.at is None or difference.at < 0:
        return words
    step = program.steps[difference.at]
    return f"{words}, {getattr(step, 'way', None) or getattr(step, 'how', None)}"


def _outcome_at(run: Run, at: int) -> Outcome | None:
    """The outcome of a step (-1: of making the pools), if it came so far."""
    return run.steps[at + 1] if at + 1 < len(run.steps) else None


def reads_of(step: Any) -> int | None:
    """The call that a step reads from, if it does."""
    return step.of if isinstance(step, Read) else None


def _is_own(raised: Raised) -> bool:
    """A task or an input raised it; of others the words may differ."""
    name = raised.names[0]
    return name in ERRORS and raised.args == freeze_error(make_error(name)).args


def agree(standard: Any, ours: Any) -> bool:
    """A program written for the one outcome takes the other for the same."""
    if isinstance(standard, Raised) and isinstance(ours, Raised):
        is_same = standard.args == ours.args and standard.cause == ours.cause
        return standard.names[0] in ours.names and (is_same or not _is_own(standard))
    if isinstance(standard, tuple) and isinstance(ours, tuple):
        return len(standard) == len(ours) and all(map(agree, standard, ours))
    if isinstance(standard, list) and isinstance(ours, list):
        return len(standard) == len(ours) and all(map(agree, standard, ours))
    return type(standard) is type(ours) and standard == ours
