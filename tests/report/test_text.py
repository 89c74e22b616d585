from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwise.report import blocks as b
from poolwise.report import extras, text
from poolwise.report.text import ink
from poolwise.report.text.letters import letters_of
from poolwise.report.text.lines import Sheet, clip, count_cells, pad, width_of, wrap
from tests.report.samples import ALL, DOCUMENT

GOLDEN = Path(__file__).parent / "golden"
WORDS = st.text(max_size=60)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.mark.parametrize("name", ALL)
def test_block_reads_as_it_did(name):
    """Look at a change with your eyes, then: python -m tests.report.test_text"""
    assert text.render(b.Document("t", [ALL[name]])) == (GOLDEN / f"{name}.txt").read_text("utf-8")


@pytest.mark.parametrize("name", [name for name in ALL if name != "code"])
@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("has_color", [True, False])
def test_no_line_is_wider_than_the_sheet(name, width, has_color):
    lines = text.lay_blocks([ALL[name]], Sheet(width, has_color))
    assert max(map(width_of, lines)) <= width


@pytest.mark.parametrize("name", ALL)
def test_block_can_be_written_in_ascii(name):
    lines = text.lay_blocks([ALL[name]], Sheet(80, has_symbols=False))
    text_of = ink.to_plain(lines).replace("µs", "us")
    assert text_of.isascii()


@pytest.mark.parametrize("name", ALL)
def test_every_style_is_in_the_palette(name):
    lines = text.lay_blocks([ALL[name]], Sheet(80, has_color=True))
    styles = {style for line in lines for piece in line for style in piece.style.split()}
    assert styles <= ink.STYLES.keys()


def test_there_are_letters_for_more_parts_than_the_alphabet_has():
    names = [f"part {number}" for number in range(40)]
    bar = b.StackedBar([b.Part(name, 1.0, "work") for name in names], "many", "s")
    assert len({*letters_of([bar]).values()} - {"?"}) == 40


def test_without_colour_parts_have_letters_of_their_own():
    parts = [b.Part(name, 1.0) for name in ("send", "start", "sum", "s")]
    bar = text.render(b.Document("t", [b.StackedBar(parts)]), width=40).splitlines()[0]
    assert sorted(set(bar)) == ["a", "s", "t", "u"] or len(set(bar)) == 4


def test_empty_blocks_are_no_error():
    empty = [
        b.StackedBar([]), b.Bars([]), b.Treemap([]), b.Timeline([], [], []),
        b.Table([b.Column("a")], []), b.Histogram([0, 1], [0]), b.Code(""), b.Text(""),
        b.Curve(b.Axis("x"), b.Axis("y"), []),
        b.Waterfall(b.Part("all", 0.0), [], b.Part("left", 0.0)),
    ]  # fmt: skip
    for block in empty:
        text.render(b.Document("t", [block]))


def test_details_are_for_who_asks():
    assert "Details." not in text.render(DOCUMENT)
    assert "Details." in text.render(DOCUMENT, is_full=True)


def test_many_lanes_are_thinned_out_and_it_is_said():
    lanes = [b.Lane(f"worker {at}") for at in range(500)]
    spans = [b.Span(at, 0.0, 1.0, 0) for at in range(500)]
    shown = text.render(b.Document("t", [b.Timeline(lanes, [b.State("run")], spans)]))
    assert "32 of 500 lanes are shown" in shown
    assert len(shown.splitlines()) < 40


# -- streams


def test_terminal_gets_colour():
    terminal = Terminal()
    text.show(DOCUMENT, terminal, width=80)
    assert "\x1b[" in terminal.getvalue()


@pytest.mark.parametrize("variable", [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_terminal_that_wants_none_gets_none(monkeypatch, variable):
    monkeypatch.setenv(*variable)
    terminal = Terminal()
    text.show(DOCUMENT, terminal, width=80)
    assert terminal.getvalue() == text.render(DOCUMENT)


def test_file_gets_plain_text():
    stream = io.StringIO()
    text.show(DOCUMENT, stream, width=80)
    assert stream.getvalue() == text.render(DOCUMENT)


def test_without_rich_a_terminal_gets_plain_text(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.console", None)
    extras.find_rich.cache_clear()
    terminal = Terminal()
    text.show(DOCUMENT, terminal, width=80)
    assert terminal.getvalue() == text.render(DOCUMENT)
    with pytest.raises(ImportError, match="pip install 'poolwise\\[report\\]'"):
        extras.load_rich()
    extras.find_rich.cache_clear()


def test_stream_that_knows_no_unicode_gets_ascii():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    text.show(DOCUMENT, stream, width=80)
    stream.flush()
    assert b"DIAGNOSIS" in raw.getvalue()


def test_colours_say_the_same_words():
    lines = text.lay_document(DOCUMENT, Sheet(80))
    assert ink.to_rich(lines).plain.split() == ink.to_plain(lines).split()


# -- cells


@given(WORDS, st.integers(4, 40))
def test_padded_words_have_their_width(words, width):
    assert count_cells(pad(words, width)) == width


@given(WORDS, st.integers(4, 40))
def test_clipped_words_fit(words, width):
    assert count_cells(clip(words, width)) <= width
    assert clip(words, width).isprintable()


@given(WORDS, st.integers(8, 40))
def test_wrapping_loses_no_word(words, width):
    assert "".join("".join(wrap(words, width)).split()) == "".join(words.split())


def test_wide_letters_count_twice():
    assert count_cells("日本") == 4
    assert pad("日本", 6) == "日本  "
    assert count_cells(clip("日本語文字", 7)) <= 7


def write_golden() -> None:
    GOLDEN.mkdir(exist_ok=True)
    for name, block in ALL.items():
        (GOLDEN / f"{name}.txt").write_text(text.render(b.Document("t", [block])), "utf-8")


if __name__ == "__main__":
    write_golden()
