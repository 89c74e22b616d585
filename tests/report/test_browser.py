"""Pages in a real browser, where there is one: they draw without an error or a network."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest

from poolwise.report import blocks as b
from poolwise.report import html
from poolwise.report.raster import NOTHING, mix_cells
from tests.report.samples import DOCUMENT, TIMELINE, make_timeline

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium to look at pages with"),
]

WATCH = """<script>
window.addEventListener("error", (event) => document.body.dataset.failed = event.message);
document.addEventListener("securitypolicyviolation", (event) =>
  document.body.dataset.failed = "wanted " + event.blockedURI);
</script></head>"""

ASK = """<script>
const asked = charts[0].lanes.filter((lane) => lane.name).map((lane) =>
  mixCells(lane, %s, %s, %s).map((cell) => cell.state));
document.body.innerHTML = '<pre id="asked">' + JSON.stringify(asked) + "</pre>";
</script></body>"""


def browse(page: str, folder) -> str:
    """The page as the browser has it after its scripts have run."""
    path = folder / "page.html"
    path.write_text(page)
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000",
        f"--user-data-dir={folder / 'profile'}", "--dump-dom", f"file://{path}",
    ]  # fmt: skip
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=200).stdout


def test_every_chart_is_drawn_and_nothing_fails(tmp_path):
    shown = browse(html.render(DOCUMENT).replace("</head>", WATCH), tmp_path)
    assert 'data-drawn="5"' in shown
    assert shown.count("main-svg") >= 5
    assert "data-failed" not in shown


@pytest.mark.parametrize(
    ("timeline", "start", "end", "cells"),
    [(TIMELINE, 0.0, 1.3, 80), (TIMELINE, 0.4, 0.45, 60), (make_timeline(6, 2_000), 0.0, 60.0, 90)],
    ids=["whole", "zoomed", "dense"],
)
def test_page_paints_the_cells_that_the_terminal_paints(timeline, start, end, cells, tmp_path):
    page = html.render(b.Document("t", [timeline]))
    shown = browse(page.replace("</body>", ASK % (start, end, cells)), tmp_path)
    asked = json.loads(re.search(r'<pre id="asked">(.*?)</pre>', shown).group(1))
    for lane, states in enumerate(asked):
        spans = sorted(span for span in timeline.spans if span.lane == lane)
        ours = mix_cells(spans, start, end, cells)
        same = sum(one == other for one, other in zip(ours, states, strict=True))
        assert same >= 0.95 * cells, "rounding may turn a tie, no more"
        assert {NOTHING, *range(3)} >= set(states)
