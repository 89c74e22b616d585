"""Progress displays: what they say, where they say it, and that they leave nothing behind."""

from __future__ import annotations

import dataclasses
import fcntl
import io
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import types

import pytest

import poolwise
from poolwise.report import extras
from poolwise.report.live import board, bottom, faces, terminal
from poolwise.report.live.rows import Watched
from poolwise.telemetry.live import LaneNow, Progress

NOW = Progress(
    job=1,
    function="work",
    site=None,
    items=1_000,
    done=0,
    failed=0,
    elapsed_s=0.0,
    item_s=0.01,
    lanes=(LaneNow(1, None, "work", 3, 0.1), LaneNow(2, None, None, None, 0.0)),
)


def look_at(**changes):
    """One look at a call."""
    return Watched(lambda: dataclasses.replace(NOW, **changes)).look()


def double(x):
    return 2 * x


def fail_at_seven(x):
    if x == 7:
        raise ValueError(x)
    return x


# -- words


def test_line_says_how_far_it_is():
    states = [dataclasses.replace(NOW, done=at * 10, elapsed_s=at * 0.5) for at in range(1, 51)]
    watched = Watched(iter(states).__next__)
    for _ in states:
        row = watched.look()
    assert row.line() == ("work: 500 of 1,000 (50 %), 20 items/s, 25 s left, 1 of 2 workers busy")


def test_without_a_known_end_there_is_a_count_and_a_rate():
    states = [dataclasses.replace(NOW, items=None, done=at, elapsed_s=at) for at in range(1, 21)]
    watched = Watched(iter(states).__next__)
    for _ in states:
        row = watched.look()
    assert row.line() == "work: 20 items, 1.0 items/s, 1 of 2 workers busy"
    assert row.share is None


def test_what_is_out_of_the_ordinary_is_said():
    lanes = (LaneNow(1, None, "work", 17, 45.0), LaneNow(2, None, "work", 99, 0.1))
    row = look_at(failed=3, lanes=lanes)
    assert row.note == "3 failed, item 17 has run for 45 s"
    assert look_at(lanes=(LaneNow(1, None, "work", 17, 45.0),), item_s=20.0).note == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"done": 1000, "is_over": True}, "work: 1,000 items in 2.00 s, 500 items/s"),
        ({"done": 1, "items": 1}, "work: 1 item in 2.00 s, 2.0 s an item"),
        ({"done": 40}, "work: stopped at 40 of 1,000 after 2.00 s"),
        ({"done": 9, "items": None, "is_over": True}, "work: 9 items in 2.00 s, 4.5 items/s"),
        ({"done": 9, "items": None}, "work: stopped at 9 items after 2.00 s"),
        ({"done": 1000, "failed": 2}, "work: 1,000 items in 2.00 s, 500 items/s, 2 failed"),
        ({"items": 0, "is_over": True}, "work: 0 items in 2.00 s"),
    ],
)
def test_last_line_says_how_it_ended(changes, words):
    now = dataclasses.replace(NOW, elapsed_s=2.0, **changes)
    assert Watched(lambda: now).last_line() == words


# -- faces


def test_lines_come_ever_more_rarely():
    stream = io.StringIO()
    face = faces.Lines(stream)
    states = [dataclasses.replace(NOW, elapsed_s=at / 2) for at in range(7_200)]
    watched = Watched(iter(states).__next__)
    for _ in states:
        face.draw([watched.look()])
    lines = stream.getvalue().splitlines()
    assert 50 < len(lines) < 80
    face.leave(1, "over")
    assert stream.getvalue().endswith("over\n")


class Screen:
    """A terminal that can be looked at."""

    def __init__(self, columns=100, rows=10):
        pyte = pytest.importorskip("pyte")
        self.screen = pyte.HistoryScreen(columns, rows, history=10_000, ratio=0.5)
        self.screen.set_mode(pyte.modes.LNM)
        self._stream = pyte.Stream(self.screen)

    def write(self, text):
        self._stream.feed(text)

    def flush(self):
        pass

    def size(self):
        return self.screen.columns, self.screen.lines

    def rows(self):
        """What is on the screen."""
        return [row.rstrip() for row in self.screen.display]

    def lines(self):
        """All that was written and is left to be seen, what has scrolled away included."""
        gone = [
            "".join(row[at].data for at in range(self.screen.columns)).rstrip()
            for row in self.screen.history.top
        ]
        return [line for line in [*gone, *self.rows()] if line]


def make_terminal(width=100, rows=10):
    screen = Screen(width, rows)
    console = extras.load_rich().console.Console(
        file=screen,
        force_terminal=True,
        width=width,
        color_system="truecolor",
        legacy_windows=False,
    )
    return terminal.Terminal(console, bottom.Bottom(screen.write, screen.size)), screen


@pytest.mark.parametrize("width", [30, 50, 80, 140])
def test_bar_fits_the_terminal(width):
    face, screen = make_terminal(width)
    face.draw([look_at(done=500, failed=3, elapsed_s=1.0)])
    assert screen.rows()[-1].startswith("work")
    assert "50 %" in screen.rows()[-1]
    assert screen.rows()[:-1] == [""] * 9


def test_bar_goes_and_the_last_line_stays():
    face, screen = make_terminal()
    row = look_at(done=500)
    face.draw([row])
    face.leave(row.key, "work: 1,000 items in 2 s")
    face.close()
    assert screen.lines() == ["work: 1,000 items in 2 s"]
    assert screen.screen.margins is None
    assert not screen.screen.cursor.hidden


@pytest.mark.parametrize("written_before", [0, 3, 9, 30])
def test_whoever_writes_writes_above_the_bars(written_before):
    """Also in the middle of a line, and also when rows of ours come and go."""
    face, screen = make_terminal()
    before = [f"before {at}" for at in range(written_before)]
    screen.write("".join(f"{line}\n" for line in before) + "a line in ")
    one, two = (dataclasses.replace(look_at(done=500), key=key) for key in (1, 2))
    face.draw([one])
    screen.write("parts\n")
    face.draw([one, two])
    screen.write("".join(f"meanwhile {at}\n" for at in range(20)))
    face.leave(two.key, "two is over")
    assert screen.rows()[-1].startswith("work")
    screen.write("and on\n")
    face.close()
    meanwhile = [f"meanwhile {at}" for at in range(20)]
    assert screen.lines() == [*before, "a line in parts", *meanwhile, "two is over", "and on"]


def test_terminal_that_changes_its_size():
    face, screen = make_terminal()
    face.draw([look_at(done=500)])
    screen.write("text\n" * 20)
    screen.screen.resize(14, 60)
    face.draw([look_at(done=600)])
    assert [row.startswith("work") for row in screen.rows()] == [False] * 13 + [True]
    screen.screen.resize(6, 60)
    face.draw([look_at(done=600)])
    assert [row.startswith("work") for row in screen.rows()] == [False] * 5 + [True]
    face.close()
    assert set(screen.lines()) == {"text"}


def test_more_calls_than_there_are_rows():
    face, screen = make_terminal(rows=6)
    face.draw([look_at(done=at) for at in range(9)])
    assert [bool(row) for row in screen.rows()] == [False] * 3 + [True] * 3


def test_fields_do_not_jump():
    face, _ = make_terminal()
    widths = []
    for done in (1, 50, 999, 7):
        fields = face._fit(look_at(done=done, elapsed_s=1.0))
        widths.append({name: len(words) for name, words in fields.items()})
    for name in widths[0]:
        seen = [width[name] for width in widths]
        assert seen == sorted(seen)


def test_notebook_replaces_its_output(monkeypatch):
    shown = []

    class Output:
        def update(self, drawn):
            shown.append(drawn)

    def display(drawn, *, display_id):
        assert display_id
        shown.append(drawn)
        return Output()

    notebook = types.SimpleNamespace(HTML=str, display=display)
    monkeypatch.setattr(extras, "find_notebook", lambda: notebook)
    face = faces.choose_face("best")
    row = look_at(done=500, function="<lambda>")
    face.draw([row])
    face.leave(row.key, "<lambda>: 1,000 items")
    face.close()
    assert '<progress value="0.5000">' in shown[0]
    assert "&lt;lambda&gt;" in shown[0]
    assert "<progress" not in shown[-1]


def test_face_is_chosen_by_where_we_are(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(faces.choose_face("best"), faces.Lines)
    monkeypatch.setattr(sys, "stderr", None)
    assert faces.choose_face("best") is None


# -- the board


def test_a_display_that_fails_does_not_stop_the_work(monkeypatch):
    class Broken(io.StringIO):
        def write(self, _):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Broken())
    with poolwise.Pool(2, backend="threads") as pool:
        assert pool.map(double, range(100), progress="text") == list(map(double, range(100)))


def test_threads_of_displays_end(capsys):
    with poolwise.Pool(2, backend="threads", progress=True) as pool:
        pool.map(double, range(100))
        pool.apply(double, (3,))
    assert "double: 100 items in" in capsys.readouterr().err
    for thread in threading.enumerate():
        if thread.name == "poolwise-progress":
            thread.join(5)
            assert not thread.is_alive()


@pytest.fixture(params=["processes", "threads", "serial"])
def pool(request):
    with poolwise.Pool(2, backend=request.param) as pool:
        yield pool


@pytest.mark.parametrize("method", ["map", "imap", "imap_unordered"])
@pytest.mark.parametrize("make", [range, lambda number: iter(range(number))])
def test_every_map_counts_all_items(pool, capsys, method, make):
    list(getattr(pool, method)(double, make(300), progress="text"))
    pool.close()
    pool.join()
    board._leave_all()
    assert "double: 300 items in" in capsys.readouterr().err


@pytest.mark.parametrize("method", ["starmap", "istarmap", "istarmap_unordered"])
def test_every_starmap_counts_all_items(pool, capsys, method):
    list(getattr(pool, method)(divmod, [(7, 2)] * 50, progress="text"))
    board._leave_all()
    assert "divmod: 50 items in" in capsys.readouterr().err


def test_map_async_shows_until_it_is_over(pool, capsys):
    pool.map_async(double, range(50), progress="text").get()
    board._leave_all()
    assert "double: 50 items in" in capsys.readouterr().err


def test_failed_items_are_counted_and_the_error_is_raised(pool, capsys):
    with pytest.raises(ValueError, match="7"):
        pool.map(fail_at_seven, range(20), progress="text")
    assert re.search(r"fail_at_seven: 20 items in .*, 1 failed", capsys.readouterr().err)


def test_stream_that_is_left_says_where(pool, capsys):
    results = pool.imap(double, range(100_000), progress="text")
    next(results)
    results.close()
    pool.terminate()
    board._leave_all()
    assert re.search(r"double: stopped at [0-9,]+ of 100,000 after", capsys.readouterr().err)


def test_executor_shows_maps_and_calls(capsys):
    with poolwise.ProcessPoolExecutor(2, progress="text") as executor:
        futures = [executor.submit(double, at) for at in range(30)]
        assert [future.result() for future in futures] == list(map(double, range(30)))
        assert list(executor.map(double, range(40))) == list(map(double, range(40)))
        assert list(executor.map(double, range(9), progress=False)) == list(map(double, range(9)))
    board._leave_all()
    said = capsys.readouterr().err
    assert "calls: 30 items in" in said
    assert "double: 40 items in" in said
    assert "double: 9 items" not in said


def test_wish_that_nobody_knows_is_refused():
    with pytest.raises(ValueError, match="progress must be True"):
        poolwise.Pool(1, backend="serial", progress="bar")
    with poolwise.Pool(1, backend="serial") as pool:
        with pytest.raises(ValueError, match="progress must be True"):
            pool.map(double, range(3), progress=3)
        with pytest.raises(TypeError, match="retry_on, progress"):
            pool.map(double, range(3), progres=True)


# -- whole programs


PROGRAM = """
import ctypes, logging, os, signal, sys, time
import poolwise

def work(x):
    time.sleep(0.002)
    return x

def say(x):
    time.sleep(0.01)
    if not x % 10:
        {say}

def print_into(path, values):
    with open(path, "w") as sys.stdout:
        for value in values:
            print(value)
    sys.stdout = sys.__stdout__

if __name__ == "__main__":
    logging.basicConfig(format="%(message)s")
    with poolwise.Pool(2, maxtasksperchild=20, {options}) as pool:
        {body}
"""


def run_in_terminal(tmp_path, body, interrupt_after=None, signal_=signal.SIGINT, **parts):
    """The terminal after the program, what was written to it, and the exit code."""
    script = tmp_path / "program.py"
    script.write_text(PROGRAM.format_map({"say": "pass", "options": "", "body": body, **parts}))
    screen = Screen(100, 24)
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color"}
    environment.pop("COLUMNS", None)
    process = subprocess.Popen(
        [sys.executable, script], stdin=writer, stdout=writer, stderr=writer, env=environment,
        start_new_session=True,
    )  # fmt: skip
    os.close(writer)
    written = b""
    while select.select([reader], [], [], 30)[0]:
        try:
            data = os.read(reader, 65536)
        except OSError:  # Linux says so when the last writer is gone
            break
        if not data:
            break
        written += data
        if interrupt_after is not None and interrupt_after in written:
            os.kill(process.pid, signal_)
            interrupt_after = None
    os.close(reader)
    screen.write(written.decode())
    return screen, written.decode(), process.wait(30)


def assert_in_order(screen):
    """No row is kept from scrolling, no bar is left behind, and the cursor can be seen."""
    assert screen.screen.margins is None
    assert not screen.screen.cursor.hidden
    assert not [line for line in screen.lines() if "━" in line]


def test_terminal_shows_a_bar_and_is_left_in_order(tmp_path):
    screen, written, code = run_in_terminal(tmp_path, "pool.map(work, range(400), progress=True)")
    assert code == 0
    assert "━" in written
    assert_in_order(screen)
    (line,) = screen.lines()
    assert line.startswith("work: 400 items in")


SAID_BY_THE_PROGRAM = {
    "print": "print('got', v)",
    "descriptor": "os.write(1, b'got %d\\n' % v)",
    "log handler that knew the stream before": "logging.warning('got %d', v)",
    "C": "ctypes.CDLL(None).puts(b'got %d' % v), ctypes.CDLL(None).fflush(None)",
}


@pytest.mark.parametrize("way", SAID_BY_THE_PROGRAM)
def test_what_the_program_says_stands_above_the_bar(tmp_path, way):
    say = SAID_BY_THE_PROGRAM[way]
    body = f"[({say}) for v in pool.imap(work, range(400), progress=True) if not v % 100]"
    screen, written, code = run_in_terminal(tmp_path, body)
    assert code == 0
    assert "━" in written
    *lines, last = screen.lines()
    assert lines == [f"got {number}" for number in (0, 100, 200, 300)]
    assert last.startswith("work: 400 items in")
    assert_in_order(screen)


SAID_BY_WORKERS = {
    "print": "sys.stdout.write(f'got {x}\\n'); sys.stdout.flush()",
    "descriptor": "os.write(1, b'got %d\\n' % x)",
    "descriptor of errors": "os.write(2, b'got %d\\n' % x)",
    "C": "ctypes.CDLL(None).printf(b'got %d\\n' % x); ctypes.CDLL(None).fflush(None)",
}


@pytest.mark.parametrize("mode", ["off", "on"])
@pytest.mark.parametrize("way", SAID_BY_WORKERS)
def test_what_workers_say_stands_above_the_bar(tmp_path, way, mode):
    screen, written, code = run_in_terminal(
        tmp_path,
        "pool.map(say, range(100), progress=True)",
        say=SAID_BY_WORKERS[way],
        options=f"worker_output={mode!r}",
    )
    assert code == 0
    assert "━" in written
    *lines, last = screen.lines()
    assert sorted(lines) == sorted(f"got {number}" for number in range(0, 100, 10))
    assert last.startswith("say: 100 items in")
    assert_in_order(screen)


def test_interrupt_leaves_the_terminal_in_order(tmp_path):
    body = "pool.map(work, range(100_000), progress=True)"
    screen, written, code = run_in_terminal(tmp_path, body, "━".encode())
    assert code != 0
    assert_in_order(screen)
    assert re.search(r"work: stopped at [0-9,]+ of 100,000 after", written)
    assert "KeyboardInterrupt" in written


def test_sigterm_leaves_the_terminal_in_order_and_ends_the_program_as_always(tmp_path):
    body = "pool.map(work, range(100_000), progress=True)"
    screen, _, code = run_in_terminal(tmp_path, body, "━".encode(), signal.SIGTERM)
    assert code == -signal.SIGTERM
    assert_in_order(screen)


def test_a_handler_of_the_programs_own_for_sigterm_stays(tmp_path):
    body = (
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); "
        "pool.map(work, range(100_000), progress=True)"
    )
    screen, _, code = run_in_terminal(tmp_path, body, "━".encode(), signal.SIGTERM)
    assert code == 7
    assert_in_order(screen)


def test_after_a_bar_sigterm_is_nobodys_again(tmp_path):
    body = (
        "pool.map(work, range(400), progress=True); "
        "print('handler', signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)"
    )
    screen, written, code = run_in_terminal(tmp_path, body)
    assert code == 0
    assert "━" in written
    assert screen.lines()[-1] == "handler True"


def test_exception_in_the_loop_leaves_the_terminal_in_order(tmp_path):
    body = "[1 / (v - 200) for v in pool.imap(work, range(100_000), progress=True)]"
    screen, written, code = run_in_terminal(tmp_path, body)
    assert code == 1
    assert_in_order(screen)
    assert "ZeroDivisionError" in written


def test_output_that_goes_to_a_file_stays_out_of_the_terminal(tmp_path):
    out = tmp_path / "out.txt"
    body = f"print_into({str(out)!r}, pool.imap(work, range(300), progress=True))"
    _, written, code = run_in_terminal(tmp_path, body)
    assert code == 0
    assert out.read_text().split() == [str(number) for number in range(300)]
    assert "━" in written


def test_log_gets_lines(tmp_path):
    script = tmp_path / "program.py"
    body = "pool.map(work, range(200), progress=True)"
    script.write_text(PROGRAM.format(say="pass", options="", body=body))
    run = subprocess.run([sys.executable, script], check=True, capture_output=True, text=True)
    assert run.stdout == ""
    assert run.stderr.splitlines()[-1].startswith("work: 200 items in")
    assert "\x1b" not in run.stderr
