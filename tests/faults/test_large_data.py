"""Large data under way when something breaks, or where the system gives little: nothing is lost."""

from __future__ import annotations

import gc
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

import poolwise
from poolwise.wire import frames
from tests.conftest import wait_until

np = pytest.importorskip("numpy")

if sys.platform != "linux":
    pytest.skip("looks at the process table and the limits of Linux", allow_module_level=True)

BIG = 30_000


def fill(array, value):
    array[:] = value
    return array


def fill_or_end(array, value, end):
    if end:
        os.kill(os.getpid(), signal.SIGKILL)
    return fill(array, value)


def hold(_array, path):
    """Keep an argument, and wait."""
    Path(path).touch()
    time.sleep(60)


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def mapped_bytes():
    """Shared memory of ours that this process has mapped."""
    mapped = psutil.Process().memory_maps(grouped=False)
    return sum(piece.rss for piece in mapped if "memfd:poolwise" in piece.path)


def segments_of_ours():
    return {path.name for path in Path("/dev/shm").glob("*poolwise*")}


# --- workers that die ---------------------------------------------------------------------------


def test_workers_killed_with_large_data_under_way_leave_nothing():
    gc.collect()
    before = descriptors(), mapped_bytes()
    chance = random.Random(7)
    ends = [chance.random() < 0.05 for _ in range(300)]
    with poolwise.Pool(2) as pool:
        calls = [
            pool.apply_async(fill_or_end, (np.zeros(chance.choice([10, BIG])), at, end))
            for at, end in enumerate(ends)
        ]
        for at, (call, end) in enumerate(zip(calls, ends, strict=True)):
            if end:
                with pytest.raises(poolwise.WorkerDied):
                    call.get()
            else:
                assert (call.get() == at).all()
        assert pool.statistics()["deaths"] >= sum(ends)
        arena = pool._engine._backend._memory._arena
        del calls, call
        gc.collect()
        wait_until(lambda: pool.map(rest, range(6), chunksize=1) and not arena.lent_bytes)
        assert arena.lent_bytes == 0
    gc.collect()
    assert descriptors() <= before[0]  # what other tests have left may have gone meanwhile
    assert mapped_bytes() == before[1]


def rest(_):
    """Leave something for the other worker: blocks come back with the next answer of each."""
    time.sleep(0.005)
    return True


def test_what_a_killed_worker_held_is_lent_again(tmp_path):
    with poolwise.Pool(1) as pool:
        call = pool.apply_async(hold, (np.zeros(BIG), tmp_path / "held"))
        while not (tmp_path / "held").exists():
            time.sleep(0.01)
        arena = pool._engine._backend._memory._arena
        assert arena.lent_bytes >= BIG * 8
        pool._pool[0].kill()
        with pytest.raises(poolwise.WorkerDied):
            call.get()
        assert (pool.apply(fill, (np.zeros(3), 5)) == 5).all()
        assert arena.lent_bytes == 0


def test_results_of_a_killed_worker_stay_as_they_are():
    with poolwise.Pool(1) as pool:
        kept = pool.apply(fill, (np.zeros(BIG), 5))
        pool._pool[0].kill()
        others = [pool.apply(fill, (np.zeros(BIG), 6)) for _ in range(5)]
        assert (kept == 5).all()
        assert all((other == 6).all() for other in others)


def test_results_kept_for_long_do_not_starve_the_pool(monkeypatch):
    monkeypatch.setattr("poolwise.memory.arena.shared_limit_bytes", lambda _: 4 * BIG * 8)
    with poolwise.Pool(2) as pool:
        kept = [pool.apply(fill, (np.zeros(BIG), n)) for n in range(30)]
        assert all((k == n).all() for n, k in enumerate(kept))
        del kept[5:]
        assert (pool.apply(fill, (np.zeros(BIG), 9)) == 9).all()


# --- the parent dies ----------------------------------------------------------------------------

DYING_PARENT = """
    import os, sys, time
    import numpy as np
    import poolwise

    def grow(array):
        return np.concatenate([array, array])

    if __name__ == "__main__":
        pool = poolwise.Pool(2)
        kept = pool.map(grow, [np.ones(30_000) for _ in range(20)])
        print(*(process.pid for process in pool._pool), flush=True)
        for _ in pool.imap(grow, (np.ones(30_000) for _ in range(10**6))):
            pass
"""


def test_a_parent_that_is_killed_leaves_nothing(tmp_path):
    script = tmp_path / "dies.py"
    script.write_text(textwrap.dedent(DYING_PARENT))
    segments = segments_of_ours()
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    workers = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
    parent.kill()
    parent.wait()
    parent.stdout.close()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert len(workers) == 2
    assert alive == []
    assert segments_of_ours() <= segments


# --- little is given ----------------------------------------------------------------------------

LITTLE = """
    import os, resource, sys, warnings
    import numpy as np
    import poolwise
    from poolwise.memory import segment_linux

    {limit}

    def double(array):
        return 2 * array

    if __name__ == "__main__":
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            with poolwise.Pool(2) as pool:
                for _ in range(3):
                    got = pool.map(double, [np.full(300_000, n) for n in range(6)])
                    assert all((g == 2 * n).all() for n, g in enumerate(got))
        ours = [str(w.message) for w in said if "large arguments" in str(w.message)]
        print(len(ours), *ours)
"""

FORBID_MEMFD = """
def forbid(*_):
    raise PermissionError(1, "Operation not permitted")
os.memfd_create = forbid
"""
NOTHING_AT_ALL = FORBID_MEMFD + "segment_linux._nameless_file = forbid"
NO_ROOM = "segment_linux._rooms = lambda: [(1000, 'the memory limit of 1000 bytes in /group')]"
LITTLE_ROOM = "segment_linux._rooms = lambda: [(36 << 20, 'the memory limit in /group')]"
FEW_FILES = "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))"
SMALL_FILES = (
    "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))"
)
FEW_ADDRESSES = "resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))"

LIMITS = {
    "no memfd": (FORBID_MEMFD, None),
    "no shared memory": (NOTHING_AT_ALL, "Operation not permitted"),
    "no room": (NO_ROOM, "the memory limit of 1000 bytes in /group"),
    "little room": (LITTLE_ROOM, None),
    "64 descriptors": (FEW_FILES, None),
    "small files": (SMALL_FILES, "ulimit -f"),
    "few addresses": (FEW_ADDRESSES, None),
}


@pytest.mark.parametrize(("limit", "word"), LIMITS.values(), ids=LIMITS)
def test_where_little_is_given_it_works_and_says_so_once(tmp_path, limit, word):
    script = tmp_path / "little.py"
    script.write_text(textwrap.dedent(LITTLE).replace("{limit}", limit))
    run = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=200, check=False
    )
    assert run.returncode == 0, run.stderr
    if word is not None:
        assert run.stdout.startswith("1 ")
        assert word in run.stdout


def test_what_a_full_pipe_keeps_is_what_was_sent():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    out, into = frames.FrameWriter(writer), frames.FrameReader(reader)
    data = bytearray(b"a" * 3_000_000)
    out.write(1, [memoryview(data)])
    data[:] = b"b" * len(data)
    got = []
    while not got:
        got = into.read()
        out.flush()
    assert bytes(got[0][1]) == b"a" * 3_000_000
    os.close(reader)
    os.close(writer)
