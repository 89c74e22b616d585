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


USE = """
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


@pytest.mark.parametrize(
    "mount",
    [
        "mount -t tmpfs -o size=1m none /dev/shm",
        "mount -t tmpfs -o ro none /dev/shm && mount -t tmpfs -o ro none /tmp",
    ],
    ids=["a small /dev/shm", "nowhere to write"],
)
def test_no_folder_is_needed(mount):
    below = ["unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh"]
    alone = [*below, sys.executable, "-c", "import poolwise, numpy"]
    if subprocess.run(alone, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount (unshare -m), and to stand outside of /tmp itself")
    assert run(USE, *below) == ["[0, 1, 2, 3] [0, 1, 2, 3]"]


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
