"""Where memory or descriptors are short: a clear error that names the limit, never a signal."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

MEMORY_GROUPS = {1: Path("/sys/fs/cgroup/memory"), 2: Path("/sys/fs/cgroup")}

if sys.platform != "linux":
    pytest.skip("mounts, control groups and limits of Linux", allow_module_level=True)


def run(program: str, *before: str) -> list[str]:
    """Run a program, perhaps below another command; what it printed. It must end by itself."""
    command = [*before, sys.executable, "-c", textwrap.dedent(program)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


SHARED = """
    import numpy as np
    import poolwise

    def fill(array, at):
        array[at] = at
        return poolwise.share(np.full(3 << 20, at, "u1"))

    array = poolwise.zeros((4, 4 << 20), "u1")
    with poolwise.Pool(2) as pool:
        results = pool.starmap(fill, [(array, at) for at in range(4)])
    print([int(row[7]) for row in array], [int(result[7]) for result in results])
"""

SENT = """
    from functools import partial
    import numpy as np
    import poolwise

    def double(array):
        array *= 2
        return array

    def pick(table, at):
        return int(table[at])

    arrays = [np.full(400_000, float(at)) for at in range(4)]
    with poolwise.Pool(2) as pool:
        for _ in range(3):
            results = pool.map(double, arrays)
        picked = pool.map(partial(pick, np.arange(400_000)), range(4))
        assert pool.apply(str.upper, ("a" * 3_000_000,)) == "A" * 3_000_000
    assert [int(array[7]) for array in arrays] == picked
    print(picked, [int(result[7]) // 2 for result in results])
"""

BARE = "/dev && mknod -m 666 /dev/null c 1 3 && mknod -m 666 /dev/urandom c 1 9"

CONTAINERS = {
    "a small /dev/shm": "mount -t tmpfs -o size=1m none /dev/shm",
    "no /dev/shm": f"mount -t tmpfs none {BARE}",
    "nowhere to write": (
        "mount -t tmpfs -o ro none /dev/shm && mount -t tmpfs -o ro none /tmp"
        " && mount -t tmpfs -o ro none /var/tmp"
    ),
    "few descriptors": "ulimit -n 64",
    "few addresses": "ulimit -v 3000000",
}


@pytest.mark.parametrize("program", [SHARED, SENT], ids=["shared", "sent"])
@pytest.mark.parametrize("limit", CONTAINERS.values(), ids=CONTAINERS)
def test_it_works_where_little_is_given(limit, program):
    inside = [] if limit.startswith("ulimit") else ["unshare", "-m"]
    below = [*inside, "sh", "-c", f'{limit} && exec "$@"', "sh"]
    alone = [*below, sys.executable, "-c", "import poolwise, numpy"]
    if subprocess.run(alone, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount (unshare -m), and to stand outside of /tmp itself")
    assert run(program, *below) == ["[0, 1, 2, 3] [0, 1, 2, 3]"]


BEYOND = """
    import numpy as np
    import poolwise

    kept = []
    try:
        while True:
            kept.append({make})
    except MemoryError as error:
        print(error)
    kept[0][0] = 1
"""

MAKERS = {
    "zeros": 'poolwise.zeros(8 << 20, "u1")',
    "share": 'poolwise.share(np.ones(8 << 20, "u1"), "read-write")',
}


@pytest.fixture
def group():
    """A control group that may use 128 MB."""
    version = 2 if (MEMORY_GROUPS[2] / "cgroup.controllers").exists() else 1
    folder = MEMORY_GROUPS[version] / f"poolwise-test-{os.getpid()}"
    limit = folder / {1: "memory.limit_in_bytes", 2: "memory.max"}[version]
    try:
        folder.mkdir()
        limit.write_text("128M")
    except OSError as error:
        if folder.exists():
            folder.rmdir()
        pytest.skip(f"needs the right to make a control group: {error}")
    yield folder
    folder.rmdir()


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_the_memory_limit_is_named(group, make):
    join = f'echo $$ > {group}/cgroup.procs && exec "$@"'
    (said,) = run(BEYOND.format(make=make), "sh", "-c", join, "sh")
    assert f"the memory limit of {128 << 20} bytes in {group}" in said


SENT_UNTIL_IT_IS_SAID = """
    import warnings
    import numpy as np
    import poolwise

    kept = []

    def keep(array):
        kept.append(array)
        return float(array[-1])

    def keep_none(_):
        kept.clear()

    def send(pool, at):
        assert pool.apply(keep, (np.full(1 << 20, float(at)),)) == at

    with warnings.catch_warnings(record=True) as said, poolwise.Pool(1) as pool:
        warnings.simplefilter("always")
        while not said:
            send(pool, pool.statistics()["tasks"])
        pool.apply(keep_none, (0,))
        for at in range(40):
            send(pool, at)
            pool.apply(keep_none, (0,))
    print(*[warning.message for warning in said], sep="\\n")
"""


def test_at_the_memory_limit_arguments_go_another_way_and_that_is_said_once(group):
    join = f'echo $$ > {group}/cgroup.procs && exec "$@"'
    (said,) = run(SENT_UNTIL_IT_IS_SAID, "sh", "-c", join, "sh")
    assert "go through pipes" in said
    assert f"the memory limit of {128 << 20} bytes in {group}" in said


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_the_limit_on_open_files_is_named(make):
    (said,) = run(BEYOND.format(make=make), "sh", "-c", 'ulimit -n 64; exec "$@"', "sh")
    assert "This process may open 64 files (ulimit -n)" in said


FEW_FILES_IN_A_WORKER = """
    import resource
    import numpy as np
    import poolwise

    kept = []

    def keep(array):
        kept.append(array)
        return len(kept)

    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    arrays = [poolwise.share(np.ones(9)) for _ in range(64)]
    with poolwise.Pool(1, limit, context="spawn") as pool:
        results = [pool.apply_async(keep, (array,)) for array in arrays]
        try:
            [result.get() for result in results]
        except Exception as error:
            while error:
                print(" ".join(str(error).split()))
                error = error.__cause__
"""


def test_a_worker_that_has_no_descriptors_left_says_so(tmp_path):
    script = tmp_path / "program.py"
    body = textwrap.dedent(FEW_FILES_IN_A_WORKER)
    before, _, main = body.partition("arrays = ")
    guarded = f"{before}if __name__ == '__main__':\n{textwrap.indent('arrays = ' + main, '    ')}"
    script.write_text(guarded)
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert ended.stderr == ""
    assert "may open 64 files (ulimit -n)" in ended.stdout
