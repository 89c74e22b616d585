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

`healthy` is a verdict too, and so is `cannot-tell`: no pool was seen, nothing could be attached,
the program failed, or the machine was too busy for the question.
"""


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
    return {"README.md": index(), **{page_name(rule): rule.page() for rule in RULES}}
