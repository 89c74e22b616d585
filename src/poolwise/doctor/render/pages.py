"""The findings' pages: one text for `poolwise explain` and for the files in docs/findings."""

from __future__ import annotations

from poolwise.doctor.rules import RULES
from poolwise.doctor.rules.rule import Rule

_INDEX = """\
# Findings

What `poolwise doctor` can find. `poolwise explain CODE` prints a page.

| code | name | what it says |
|---|---|---|
{rows}

[`healthy`](healthy.md) is a verdict too, and so is [`cannot-tell`](cannot-tell.md): no pool was
seen, nothing could be attached, the program failed, or the machine was too busy for the question.
"""

_HEALTHY = """\
# healthy

No rule found anything that costs the program time or makes its results doubtful.

## What it says

Of the worker time, most was spent in your function, on a CPU or at what it has to wait for; and
what was lost beside that is less than 5 % of the program's time and less than half a second.

## What it does not say

That the program cannot be faster: the function itself may be slow (`poolwise doctor --profile`
shows its hot lines), and what was true of this input on this machine need not be true of others.

## What was asked

Each rule, about each pool and each call: `--json` lists under `answers` what each of them said, and
under `unknown` what it could not tell and why.
"""

_CANNOT_TELL = """\
# cannot-tell

The run does not show whether anything is wrong, and the first line says why.

## Why that is so

- *No pool got any work*: no call to a pool was seen. Give arguments with which it uses one.
- *No process could be reached*: Python was started with -I, -E or -S, or without its environment.
  Start the script itself under the doctor.
- *The program ended with an exit code*: it failed, perhaps before its work was done. Mend that
  first.
- *The program's pools were not over*: a pool of poolwise tells what it did at its end. Let the
  program come to its end.
- *A finding's name and a question*: that rule needs what was not to be seen, as the sentence says:
  rights, a quiet machine, a longer run.

## What to do

Run it again with more work, or while fewer other programs run; `--full` prints what each rule could
not tell, `--json` has it under `unknown`.
"""

VERDICTS = {"healthy": _HEALTHY, "cannot-tell": _CANNOT_TELL}
"""Verdicts that are no findings -> their pages."""


def find_verdict(word: str) -> str | None:
    """The page of a verdict that is no finding, whatever the case; None if there is none."""
    return VERDICTS.get(word.strip().lower().replace("_", "-").replace(" ", "-"))


def page_name(rule: type[Rule]) -> str:
    """The file of a rule's page."""
    return f"{rule.code}-{rule.name}.md"


def index() -> str:
    """All findings in a table, each linked to its page."""
    rows = [
        f"| [{rule.code}]({page_name(rule)}) | {rule.name} | {rule.summary()} |" for rule in RULES
    ]
    return _INDEX.format(rows="\n".join(rows))


def all_pages() -> dict[str, str]:
    """File name -> text, the index as README.md among them."""
    verdicts = {f"{name}.md": text for name, text in VERDICTS.items()}
    return {"README.md": index(), **verdicts, **{page_name(rule): rule.page() for rule in RULES}}
