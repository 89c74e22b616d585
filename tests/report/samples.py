"""One sample of every block, and a document of all of them."""

from __future__ import annotations

import random

from poolwise.report import blocks as b

VERDICT = b.Verdict(
    "tasks too small: this pool is slower than a plain loop",
    tone="bad",
    label="DIAGNOSIS",
    place="tiny.py:12  pool.map(tiny)",
    details=[
        "50,000 messages carry 0.1 µs of work each and cost 88 µs of worker time each.",
        "A plain loop would take about 43 ms; this took 1.22 s.",
    ],
)
TEXT = b.Text("The whole machine was ours.\n\nNumbers were taken with one clock.", is_aside=True)
CODE = b.Code(
    "--- tiny.py\n+++ tiny.py\n@@ -12 +12 @@\n-pool.map(tiny, items)\n"
    "+pool.map(tiny, items, chunksize=3125)\n",
    title="tiny.py:12",
    language="diff",
)
TABLE = b.Table(
    [
        b.Column("entry"),
        b.Column("time", "s"),
        b.Column("bytes", "bytes"),
        b.Column("of all", "share"),
    ],
    [
        ["computing", 5.9, None, 0.7375],
        ["unpickling", 1.2, 288e6, 0.15],
        ["waiting for work", 0.9, None, 0.1125],
        ["worker-seconds", 8.0, 288e6, 1.0],
    ],
    title="Where the time of the workers went",
    strong_rows=[3],
)
PARTS = [
    b.Part("computing", 5.9, "work"),
    b.Part("unpickling", 1.2, "unpickle", "288 MB, sent three times"),
    b.Part("waiting for work", 0.9, "starved"),
]
STACKED = b.StackedBar(PARTS, title="4 workers x 2.00 s", total=8.0)
BARS = b.Bars(
    [
        b.Bar("worker 1", [b.Part("computing", 1.5, "work"), b.Part("waiting", 0.5, "starved")]),
        b.Bar("worker 2", [b.Part("computing", 1.9, "work"), b.Part("waiting", 0.1, "starved")]),
    ],
    title="By worker",
)
WATERFALL = b.Waterfall(
    b.Part("worker-seconds", 8.0, "other"),
    [
        b.Part("start-up", 0.4, "start"),
        b.Part("transfer", 1.6, "move_out"),
        b.Part("tail", 0.8, "tail"),
    ],
    b.Part("useful", 5.2, "work"),
    title="What was lost",
)
TREEMAP = b.Treemap(
    [
        b.Leaf(["out", "table"], 240e6, "the same each time"),
        b.Leaf(["out", "row"], 40e6),
        b.Leaf(["in", "result"], 8e6),
    ],
    title="Bytes",
)
HISTOGRAM = b.Histogram(
    [0.001, 0.002, 0.004, 0.008, 0.016],
    [10, 40, 25, 1],
    title="Times of tasks",
    marks=[b.Mark("median", 0.003), b.Mark("longest", 0.0155)],
    is_log=True,
)
CURVE = b.Curve(
    b.Axis("items in a chunk", "count", is_log=True),
    b.Axis("time", "s"),
    [
        b.Line(
            "predicted", [1, 10, 100, 1000], [4, 1.2, 0.9, 1.6], [3, 1, 0.7, 1.2], [5, 1.5, 1.1, 2]
        )
    ],
    title="What another chunk size would give",
    dots=[b.Dots("measured", [1, 100], [4.2, 0.95])],
    now=(1, 4.2),
)


def make_timeline(lanes: int = 4, spans: int = 40) -> b.Timeline:
    """Lanes that work, pickle and wait in turns; always the same ones."""
    chance = random.Random(7)
    states = [
        b.State("computing", "work"),
        b.State("pickling", "pickle"),
        b.State("waiting", "starved"),
    ]
    made = []
    for lane in range(lanes):
        now = 0.02 * lane
        for at in range(spans):
            length = chance.uniform(0.01, 0.05)
            made.append(b.Span(lane, now, now + length, at % 3, f"chunk {at}"))
            now += length
    names = [
        b.Lane("parent", "parent"),
        *(b.Lane(f"worker {at}", "workers") for at in range(1, lanes)),
    ]
    return b.Timeline(names, states, made, title="Who did what when")


TIMELINE = make_timeline()
SECTION = b.Section("Inside a section", [TEXT, TABLE])

ALL = {
    "verdict": VERDICT,
    "text": TEXT,
    "code": CODE,
    "table": TABLE,
    "stacked": STACKED,
    "bars": BARS,
    "waterfall": WATERFALL,
    "treemap": TREEMAP,
    "histogram": HISTOGRAM,
    "curve": CURVE,
    "timeline": TIMELINE,
    "section": SECTION,
}
DOCUMENT = b.Document("A sample", list(ALL.values()), [b.Text("Details.")], record={"answer": 42})
