"""Every finding explains itself, and the pages in docs are what `poolwise explain` prints."""

from __future__ import annotations

import re

import pytest

from poolwise.cli import main
from poolwise.doctor.render.pages import VERDICTS, all_pages
from poolwise.doctor.rules import RULES
from poolwise.doctor.rules.rule import SECTIONS
from tests.house.tree import ROOT

PAGES = ROOT / "docs" / "findings"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_page_has_its_sections_in_order(rule):
    assert tuple(re.findall(r"^## (.+)$", rule.page(), re.MULTILINE)) == SECTIONS
    assert rule.summary().endswith(".")
    assert rule.falsified_by().endswith(".")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_examples_are_python(rule):
    blocks = re.findall(r"^```python\n(.*?)^```", rule.page(), re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        compile(block, rule.code, "exec")


def test_docs_are_up_to_date():
    """If this fails: python -m poolwise explain --write docs/findings."""
    written = {path.name: path.read_text(encoding="utf-8") for path in PAGES.iterdir()}
    assert written == all_pages()


def test_explain_prints_the_page(capsys):
    assert main(["explain", "PW006"]) == 0
    assert capsys.readouterr().out == all_pages()["PW006-repeated-payload.md"]


@pytest.mark.parametrize("word", ["healthy", "HEALTHY", "cannot-tell", "CANNOT_TELL"])
def test_verdicts_that_are_no_findings_are_explained(word, capsys):
    assert main(["explain", word]) == 0
    assert capsys.readouterr().out == VERDICTS[word.lower().replace("_", "-")]


def test_explain_lists_all(capsys):
    assert main(["explain"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(RULES)


def test_explain_suggests_what_was_meant(capsys):
    assert main(["explain", "repeated-payloads"]) == 2
    assert "Did you mean repeated-payload?" in capsys.readouterr().err
