"""`poolwise doctor --apply` and `--diff`: the edits of a diagnosis, made or written as a patch."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from poolwise.cli import output

if TYPE_CHECKING:
    from poolwise.doctor.advice.patch import Prescription
    from poolwise.doctor.findings import Change, Finding

_NOBODY_TO_ASK = (
    "poolwise doctor: --apply asks before it edits, and standard input is no terminal: add --yes"
)


def write_patch(findings: list[Finding], path: str) -> None:
    """The edits of all findings as one patch; those that do not go with earlier ones are named."""
    from poolwise.doctor.advice.patch import prescribe, unified, without_conflicts

    prescriptions = prescribe(findings)
    changes, left = without_conflicts(prescriptions)
    output.write(path, unified(changes) if changes else "")
    _say_what_is_left(left)
    if not changes:
        _say("No edit could be derived from the program's text: the patch is empty.")


def apply_edits(findings: list[Finding], *, is_agreed: bool) -> None:
    """Make the edits of all findings in the program's files; ask for each, unless that is agreed.

    :raises OSError: a file cannot be written, or has changed since.
    """
    from poolwise.doctor.advice.patch import apply, prescribe, without_conflicts

    prescriptions = prescribe(findings)
    if not prescriptions:
        _say("No edit could be derived from the program's text: nothing was changed.")
        return
    if not is_agreed and not sys.stdin.isatty():
        _say(_NOBODY_TO_ASK)
        return
    wanted = [each for each in prescriptions if is_agreed or _ask(each)]
    changes, left = without_conflicts(wanted)
    _say_what_is_left(left)
    _say_what_was_done(changes, apply(changes) if changes else [])


def _ask(prescription: Prescription) -> bool:
    from poolwise.doctor.advice.patch import show

    finding, remedy = prescription.finding, prescription.remedy
    _say(f"\n{finding.code} {finding.name}: {remedy.words}\n\n{show(prescription.changes)}\n")
    sys.stderr.write("Make this edit? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _say_what_is_left(left: list[Prescription]) -> None:
    for each in left:
        _say(
            f"{each.finding.code} {each.finding.name}: its edit is of lines that another one edits "
            "already. Run the doctor again when that is made."
        )


def _say_what_was_done(changes: list[Change], files: list[str]) -> None:
    if not files:
        _say("Nothing was changed.")
    for file in files:
        lines = sorted({each.line for each in changes if each.file == file})
        places = ", ".join(map(str, lines))
        _say(f"{file} was edited (line {places}). Run the doctor again to see what it brought.")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
