from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolwise.errors import ExtraMissing
from poolwise.report import blocks as b
from poolwise.report import extras, html
from poolwise.report.palette import PALETTE
from tests.report.samples import ALL, DOCUMENT, make_timeline

PLOTTED = ["waterfall", "treemap", "histogram", "curve"]
VOID = {"meta", "br", "img", "link", "input", "hr"}
NASTY = "</script><script>alert(1)</script><b>&\"'"


class Page(HTMLParser):
    """The elements of a page, their attributes and texts; insists that they nest."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)


@pytest.fixture(scope="module")
def page():
    return html.render(DOCUMENT)


def without_plotly(source: str) -> str:
    return source.replace(extras.plotly_source(), "")


def read_json(source: str, name: str):
    return json.loads(re.search(rf'id="{name}">(.*?)</script>', source, re.DOTALL).group(1))


def test_page_refers_to_nothing_outside(page):
    own = without_plotly(page)
    parsed = Page(own)
    loading = {"src", "href", "srcset", "action", "data", "poster", "background"}
    assert [each for each in parsed.attributes if each[1] in loading] == []
    assert not re.search(r"url\(|@import|https?://|import\(|fetch\(|XMLHttpRequest", own)


def test_page_forbids_itself_to_load_anything(page):
    policy = next(v for _, name, v in Page(without_plotly(page)).attributes if "default-src" in v)
    assert policy.startswith("default-src 'none';")
    assert not re.search(r"http|\*|eval", policy)


def test_page_has_every_block(page):
    own = without_plotly(page)
    places = re.findall(r'data-chart="(\d+)"', own)
    charts = read_json(own, "charts")
    assert [int(place) for place in places] == list(range(len(charts)))
    assert len(charts) == len(PLOTTED) + 1
    for block in ALL.values():
        assert getattr(block, "title", "") in own
    assert "Details." in own


def test_record_is_in_the_page(page):
    assert read_json(page, "record") == {"answer": 42}


def test_page_without_charts_needs_no_plotly(monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    assert len(html.render(b.Document("t", [ALL["verdict"]]))) < 30_000
    with pytest.raises(ExtraMissing, match="pip install 'poolwise\\[report\\]'"):
        html.render(b.Document("t", [ALL["curve"]]))


def test_fragment_has_no_script():
    fragment = html.render_fragment(DOCUMENT)
    assert "<script" not in fragment
    assert "worker-seconds" in fragment


def test_what_people_write_stays_text():
    blocks = [
        b.Verdict(NASTY, label=NASTY, place=NASTY, details=[NASTY]),
        b.Text(NASTY),
        b.Code(NASTY, NASTY),
        b.Table([b.Column(NASTY)], [[NASTY]], NASTY),
        b.StackedBar([b.Part(NASTY, 1.0, "work", NASTY)], NASTY),
        b.Bars([b.Bar(NASTY, [b.Part(NASTY, 1.0)])], NASTY),
        b.Treemap([b.Leaf([NASTY], 1.0, NASTY)], NASTY),
        b.Timeline([b.Lane(NASTY)], [b.State(NASTY)], [b.Span(0, 0, 1, 0, NASTY)], NASTY),
        b.Section(NASTY, []),
    ]
    source = without_plotly(html.render(b.Document(NASTY, blocks, record={NASTY: NASTY})))
    assert "<script>alert" not in source
    assert read_json(source, "record") == {NASTY: NASTY}
    lane = read_json(source, "charts")[1]["lanes"][0]
    assert "<" not in lane["name"] + lane["label"][0]
    Page(source)


@settings(max_examples=50)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_json_stands_safely_in_a_script(value):
    written = html.to_json(value)
    assert not re.search("[<\u2028\u2029]", written)
    read = json.loads(written, parse_constant=pytest.fail)
    assert json.dumps(read).replace("NaN", "null") == json.dumps(html._without_gaps(value))


# -- figures, by plotly's own schema


def inked(value, colour="#123456"):
    """As page.js does it: names of colours become colours."""
    if isinstance(value, dict):
        return {key: inked(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [inked(inner) for inner in value]
    return colour if isinstance(value, str) and re.fullmatch(r"ink:\w+(/\d+)?", value) else value


@pytest.mark.parametrize("name", PLOTTED)
def test_figure_is_one_for_plotly(name):
    graph = pytest.importorskip("plotly.graph_objects")
    chart = html._CHARTS[type(ALL[name])](ALL[name])
    graph.Figure(data=inked(chart["data"]), layout=inked(chart["layout"]))


@pytest.mark.parametrize("name", PLOTTED)
def test_colours_of_figures_are_in_the_palette(name):
    written = json.dumps(html._CHARTS[type(ALL[name])](ALL[name]))
    known = PALETTE.keys() | {"good", "fair", "bad", *html._DARK}
    assert set(re.findall(r"ink:(\w+)", written)) <= known


def test_waterfall_ends_where_it_says():
    bars = html._CHARTS[b.Waterfall](ALL["waterfall"])["data"][0]
    assert bars["base"] == [0.0, pytest.approx(7.6), pytest.approx(6.0), pytest.approx(5.2), 0.0]
    assert bars["x"][-1] == pytest.approx(bars["base"][-2])


def test_treemap_boxes_sum_up():
    box = html._CHARTS[b.Treemap](ALL["treemap"])["data"][0]
    values = dict(zip(box["ids"], box["values"], strict=True))
    assert values["out"] == 280e6
    assert set(box["parents"]) <= {"", *box["ids"]}


def test_marks_stand_among_the_bins_they_fall_into():
    layout = html._CHARTS[b.Histogram](ALL["histogram"])["layout"]
    median, longest = (shape["x0"] for shape in layout["shapes"])
    assert 1 < median < 2
    assert 3 < longest < 4


def test_timeline_goes_out_in_columns_by_lane():
    timeline = make_timeline(lanes=3, spans=5)
    chart = html._CHARTS[b.Timeline](timeline)
    named = [lane for lane in chart["lanes"] if lane["name"]]
    assert [lane["name"] for lane in named] == ["parent", "worker 1", "worker 2"]
    assert [len(lane["start"]) for lane in named] == [5, 5, 5]
    assert all(lane["start"] == sorted(lane["start"]) for lane in named)


def test_many_spans_make_no_huge_page():
    assert len(json.dumps(html._CHARTS[b.Timeline](make_timeline(16, 3000)))) < 4_000_000
