"""Pages of a local web server, fetched, parsed and stored in SQLite: by hand, and as a pipe.

    python examples/pipelines/fetch_parse_store.py [PAGES]

The server answers after 50 ms with a page of some 60 kB. Both ways do the same: fetch each page,
count the words of its text and their pairs (CPU), write the most frequent ones into a table. By
hand it is the usual two pools, which hold everything in memory between them; each way runs in a
process of its own, so that its peak memory is its own. The tables must be equal.
"""

from __future__ import annotations

import collections
import contextlib
import hashlib
import http.client
import http.server
import itertools
import random
import re
import resource
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import poolwise

LATENCY_S = 0.05
WORDS = [hashlib.md5(str(n).encode()).hexdigest()[:7] for n in range(3000)]  # noqa: S324 - names
TEXT = re.compile(r"<p>(.*?)</p>", re.DOTALL)


# -- the server, in a process of its own

PAGES: list[bytes] = []


def make_pages() -> None:
    """Make a few pages before the first is asked for: the server shall cost little CPU."""
    draw = random.Random(1)  # noqa: S311 - text, not secrets
    for _ in range(16):
        paragraphs = (" ".join(draw.choices(WORDS, k=250)) for _ in range(30))
        PAGES.append("".join(f"<p>{text}</p>\n" for text in paragraphs).encode())


class Pages(http.server.BaseHTTPRequestHandler):
    """Answers ``/N`` with page N, after a while."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        time.sleep(LATENCY_S)
        number = int(self.path[1:])
        page = f"<p>{WORDS[number % 3000]}</p>\n".encode() + PAGES[number % len(PAGES)]
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(http.server.ThreadingHTTPServer):
    """Takes many connections at once."""

    request_queue_size = 256


def serve() -> None:
    """Serve until standard input is closed."""
    make_pages()
    server = Server(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()
    server.shutdown()


# -- the three steps


def fetch(url: tuple[int, int]) -> tuple[int, bytes]:
    """The page of a number."""
    port, number = url
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        connection.request("GET", f"/{number}")
        return number, connection.getresponse().read()


def parse(page: tuple[int, bytes]) -> tuple[int, str, int]:
    """The most frequent pair of neighbouring words of a page, and how often it stands there."""
    number, body = page
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    for text in TEXT.findall(body.decode()):
        words = text.split()
        counts.update(itertools.pairwise(words))
    pair, count = max(counts.items(), key=lambda item: (item[1], item[0]))
    return number, " ".join(pair), count


def store(table: sqlite3.Connection, rows: list[tuple[int, str, int]]) -> None:
    """Write rows."""
    with table:
        table.executemany("INSERT INTO pairs VALUES (?, ?, ?)", rows)


# -- both ways


def by_hand(urls: list[tuple[int, int]], table: sqlite3.Connection) -> None:
    """Threads fetch everything, then processes parse everything, then it is stored."""
    with ThreadPoolExecutor(20) as threads, ProcessPoolExecutor() as processes:
        pages = list(threads.map(fetch, urls))
        rows = list(processes.map(parse, pages))
    store(table, rows)


def as_pipe(urls: list[tuple[int, int]], table: sqlite3.Connection) -> None:
    """The same, all three at a time."""
    pipe = poolwise.pipe(urls).map(fetch).map(parse).batch(32)
    pipe.run(sink=lambda rows: store(table, rows))
    print(pipe.report(), file=sys.stderr)


def run_one(way: str, port: int, pages: int, path: str) -> None:
    """Run one way; print its seconds and the peak memory of this process in MB."""
    with contextlib.closing(sqlite3.connect(path)) as table:
        table.execute("CREATE TABLE pairs (page INTEGER PRIMARY KEY, pair TEXT, count INTEGER)")
        base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begun = time.perf_counter()
        {"by_hand": by_hand, "as_pipe": as_pipe}[way]([(port, n) for n in range(pages)], table)
        passed = time.perf_counter() - begun
        above = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base
        print(passed, above / 1024)


def compare(pages: int) -> None:
    """Run both ways in processes of their own, and compare."""
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(  # noqa: S603 - this file
            [sys.executable, __file__, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as server,
    ):
        if server.stdout is None or server.stdin is None:
            raise AssertionError
        port = int(server.stdout.readline())
        tables = {}
        for way in ("by_hand", "as_pipe"):
            path = Path(folder, way)
            command = [sys.executable, __file__, way, str(port), str(pages), str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
            seconds, megabytes = map(float, done.stdout.split())
            print(f"{way}: {seconds:.2f} s, {megabytes:.0f} MB above the start")
            if done.stderr:
                print("\n" + "".join(f"    {line}\n" for line in done.stderr.splitlines()))
            with contextlib.closing(sqlite3.connect(path)) as table:
                tables[way] = table.execute("SELECT * FROM pairs ORDER BY page").fetchall()
        server.stdin.close()
    if len({*map(tuple, tables.values())}) != 1 or len(tables["as_pipe"]) != pages:
        sys.exit("FAILED: the tables differ")
    print(f"The tables are equal: {pages} rows.")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve"]:
            serve()
        case ["by_hand" | "as_pipe" as way, port, pages, path]:
            run_one(way, int(port), int(pages), path)
        case [*number]:
            compare(int(*itertools.islice(number, 1)) if number else 200)
