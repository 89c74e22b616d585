"""What tasks print is written when they are done, once, however the pool ends."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from tests.doors.programs import run_python, write

METHODS = ["fork", "spawn", "forkserver"]
BUFFERED = {"PYTHONUNBUFFERED": ""}

PROGRAM = """\
import sys, time
import poolwise

def say(number):
    print("line", number)
    sys.stderr.write(f"error {{number}}\\n")
    return number

def fail(number):
    print("line", number)
    raise ValueError(number)

def say_slowly(number):
    if number < 2:
        time.sleep(0.1)
    return say(number)

def greet():
    print("hello")

if __name__ == "__main__":
    METHOD = sys.argv[1]
    sys.stdout.write("unflushed start\\n")
    {lines}
    print("end")
"""

ENDS = {
    "terminated": "pass",
    "closed": "pool.close(); pool.join()",
    "killed by the program": "[process.kill() for process in pool._pool]",
}
CALLS = {
    "map": "pool.map(say, range(50))",
    "map in chunks": "pool.map(say, range(50), 7)",
    "apply": "[pool.apply(say, (number,)) for number in range(50)]",
    "apply_async": "[r.get() for r in [pool.apply_async(say, (number,)) for number in range(50)]]",
    "imap": "list(pool.imap(say, range(50)))",
    "imap_unordered": "list(pool.imap_unordered(say, range(50), 5))",
    "starmap": "pool.starmap(say, [(number,) for number in range(50)])",
    "given back": "pool.map(say_slowly, range(50))",
    "exceptions": "[pool.apply_async(fail, (number,)).wait() for number in range(50)]",
}


def run(tmp_path, lines, method, *, to_file=False):
    """The lines of standard output and of standard error, counted."""
    script = write(tmp_path / "program.py", PROGRAM.format(lines=lines.replace("\n", "\n    ")))
    if to_file:
        path = tmp_path / "output"
        with path.open("wb") as file:
            command = [sys.executable, script, method]
            environment = {"PYTHONPATH": ":".join(sys.path)}
            subprocess.run(command, check=True, stdout=file, env=environment)
        return Counter(path.read_text().splitlines()), None
    ended = run_python(script, method, **BUFFERED)
    assert ended.code == 0, ended.err
    return Counter(ended.out.splitlines()), Counter(ended.err.splitlines())


def said(count, *others):
    return Counter(["unflushed start", "end", *(f"line {at}" for at in range(count)), *others])


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_each_line_is_written_once(tmp_path, call, end):
    out, err = run(
        tmp_path, f"with poolwise.Pool(2, context=METHOD) as pool: {call}; {end}", "fork"
    )
    assert out == said(50)
    if "fail" not in call:
        assert err == Counter(f"error {at}" for at in range(50))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("to_file", [False, True], ids=["to a pipe", "to a file"])
def test_by_every_start_method(tmp_path, method, to_file):
    lines = """\
with poolwise.Pool(2, context=METHOD) as pool: pool.map(say, range(20))
pool = poolwise.Pool(2, context=METHOD); pool.map(say, range(20, 40)); pool.close(); pool.join()
with poolwise.Pool(2, greet, context=METHOD) as pool: pool.map(say, range(40, 60))
with poolwise.ProcessPoolExecutor(2, METHOD) as executor: list(executor.map(say, range(60, 80)))
executor = poolwise.ProcessPoolExecutor(2, METHOD)
[future.result() for future in [executor.submit(say, number) for number in range(80, 100)]]
executor.kill_workers()"""
    out, _ = run(tmp_path, lines, method, to_file=to_file)
    greetings = out.pop("hello")
    assert 1 <= greetings <= 2  # of the two, one may be ended before it begins
    assert out == said(100)


@pytest.mark.parametrize("method", METHODS)
def test_by_workers_that_replace_others(tmp_path, method):
    lines = """\
with poolwise.Pool(2, context=METHOD, maxtasksperchild=1) as pool: pool.map(say, range(9), 2)
with poolwise.ProcessPoolExecutor(2, METHOD, max_tasks_per_child=2) as executor:
    list(executor.map(say, range(9, 20)))"""
    assert run(tmp_path, lines, method)[0] == said(20)


def test_what_the_parent_says_while_it_forks_is_not_said_by_its_workers(tmp_path):
    """multiprocessing empties the streams before it forks; a thread may be quicker."""
    lines = """\
import multiprocessing.util, os
parent, forks = os.getpid(), []
def flush():
    if os.getpid() == parent:
        forks.append(print("fork", len(forks)))
multiprocessing.util._flush_std_streams = flush
with poolwise.Pool(2, context=METHOD, maxtasksperchild=1) as pool: pool.map(say, range(9), 1)
print("forks", len(forks))"""
    out, _ = run(tmp_path, lines, "fork")
    (forks,) = [int(line.split()[1]) for line in out if line.startswith("forks")]
    assert forks >= 9
    assert out == said(9, f"forks {forks}", *(f"fork {at}" for at in range(forks)))


# --- streams that tasks put there ---------------------------------------------------------------

BREAKS = {
    "none": "sys.stdout = sys.stderr = None",
    "closed": "sys.stdout.close()",
    "no stream": "sys.stdout = object()",
    "raises": "sys.stdout = Raises(OSError)",
    "exits": "sys.stdout = Raises(SystemExit)",
    "interrupts": "sys.stdout = Raises(KeyboardInterrupt)",
    "slow": "sys.stdout = Slow()",
    "descriptor closed": "os.close(1)",
    "disk full": "sys.stdout = open('/dev/full', 'w'); sys.stdout.write('x')",
}

BREAKING = """\
import os, sys, time
import poolwise

class Raises:
    def __init__(self, kind):
        self.kind = kind

    def write(self, text):
        return len(text)

    def flush(self):
        raise self.kind

class Slow(Raises):
    def __init__(self):
        pass

    def flush(self):
        time.sleep(0.01)

def break_streams(how):
    print("said before")
    exec(how)

def look(number):
    return number, os.getpid()

if __name__ == "__main__":
    for end in ("close", "terminate"):
        with poolwise.Pool(1, context={method!r}) as pool:
            pid = pool.apply(os.getpid)
            pool.apply(break_streams, ({how!r},))
            assert pool.map(look, range(20)) == [(number, pid) for number in range(20)]
            getattr(pool, end)()
            pool.join()
            assert pool.statistics()["deaths"] == 0
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("how", BREAKS.values(), ids=BREAKS)
def test_a_stream_that_is_broken_breaks_no_worker(tmp_path, how, method):
    script = write(tmp_path / "program.py", BREAKING.format(how=how, method=method))
    ended = run_python(script, **BUFFERED)
    assert ended.code == 0, ended.err
    assert "poolwise" not in ended.err  # Python itself complains when such a process ends
    if "close(" not in how:
        assert ended.out.splitlines() == ["said before"] * 2


def test_what_goes_through_a_stream_of_the_tasks_own_is_written_as_well(tmp_path):
    script = write(
        tmp_path / "program.py",
        """\
        import contextlib, io, sys
        import poolwise

        class Tee:
            def write(self, text):
                sys.__stdout__.write(text.upper())

        def say(number):
            sys.stdout = Tee()
            print("line", number)
            with contextlib.redirect_stdout(io.StringIO()):
                print("nowhere")

        if __name__ == "__main__":
            with poolwise.Pool(1) as pool:
                pool.map(say, range(3))
        """,
    )
    ended = run_python(script, **BUFFERED)
    assert (ended.code, ended.out, ended.err) == (0, "LINE 0\nLINE 1\nLINE 2\n", "")
