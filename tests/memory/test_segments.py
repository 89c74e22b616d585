"""Segments of shared memory: found by address, gone with the last holder, never a SIGBUS."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from poolwise.errors import OutOfSharedMemory, SharedMemoryGone
from poolwise.memory.segment import Segment
from poolwise.memory.segment_posix import NamedSegment
from poolwise.system import cgroups

if sys.platform != "linux":
    pytest.skip("the kinds of segments that Linux has", allow_module_level=True)

KINDS = pytest.mark.parametrize("kind", [Segment, NamedSegment])
MANY_BYTES = 1 << 50


def filled(kind, data=b"seven"):
    segment = kind.create(len(data), findable=True)
    segment.write(0, data)
    return segment


# --- what is written is read --------------------------------------------------------------------


@KINDS
def test_another_holder_sees_what_was_written(kind):
    segment = filled(kind)
    other = kind.open(segment.address())
    assert bytes(other.map("r")) == b"seven"
    segment.write(2, b"RE")
    assert bytes(other.map("r")) == b"seREn"


@KINDS
def test_memory_begins_as_zeros(kind):
    segment = kind.create(3, findable=True)
    segment.reserve(0, 3)
    assert bytes(segment.map()) == b"\0\0\0"


@KINDS
def test_one_segment_has_one_identity_whoever_holds_it(kind):
    segment, stranger = filled(kind), filled(kind)
    other = kind.open(segment.address())
    assert other.address()[0] == segment.address()[0] != stranger.address()[0]


@KINDS
def test_read_only_memory_cannot_be_written(kind):
    mapping = filled(kind).map("r")
    with pytest.raises(TypeError):
        mapping[0] = 1


@KINDS
def test_copy_on_write_keeps_changes_to_itself(kind):
    segment = filled(kind)
    own, common = segment.map("c"), segment.map("rw")
    own[0] = ord("S")
    assert (bytes(own), bytes(common)) == (b"Seven", b"seven")


@KINDS
def test_a_part_can_be_mapped(kind):
    grain = os.sysconf("SC_PAGESIZE")
    segment = kind.create(2 * grain, findable=True)
    segment.write(grain, b"second")
    assert bytes(segment.map("r", grain, 6)) == b"second"


def test_marks_of_all_holders_stand_behind_the_memory():
    segment = filled(Segment)
    other = Segment.open(segment.address())
    assert segment.marks() == b""
    assert segment.sign(b"one.")
    assert other.sign(b"two.")
    assert segment.marks() == other.marks() == b"one.two."
    assert bytes(Segment.open(segment.address()).map("r")) == b"seven"


# --- lifetime -----------------------------------------------------------------------------------


@KINDS
def test_what_is_mapped_outlives_its_segment(kind):
    segment = filled(kind)
    mapping = segment.map("r")
    segment.close()
    assert bytes(mapping) == b"seven"


@KINDS
def test_nobody_finds_what_was_let_go(kind):
    segment = filled(kind)
    address = segment.address()
    segment.close()
    segment.close()
    with pytest.raises(SharedMemoryGone, match="let"):
        kind.open(address)
    for use in (segment.address, segment.map):
        with pytest.raises(SharedMemoryGone, match="was closed in this process"):
            use()


@KINDS
def test_the_last_reference_lets_go(kind):
    address = filled(kind).address()
    with pytest.raises(SharedMemoryGone):
        kind.open(address)


@KINDS
def test_a_duplicate_holds_the_memory(kind):
    duplicate = filled(kind).duplicate()
    assert bytes(duplicate.map("r")) == b"seven"


def test_a_number_that_stands_for_something_else_is_not_opened(tmp_path):
    segment = filled(Segment)
    address = segment.address()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)  # opening it for reading would wait for ever
    segment.close()
    fd = os.open(fifo, os.O_RDWR)
    os.dup2(fd, address[3])
    try:
        with pytest.raises(SharedMemoryGone):
            Segment.open(address)
    finally:
        os.close(fd)
        if fd != address[3]:
            os.close(address[3])


def read_first(segment, queue):
    queue.put(bytes(segment.map("r"))[:5])


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_child_is_given_its_own(method):
    context = multiprocessing.get_context(method)
    queue = context.SimpleQueue()
    child = context.Process(target=read_first, args=(filled(Segment), queue))
    child.start()
    assert queue.get() == b"seven"
    child.join()
    queue.close()


NAMED = """
    import os, signal
    from poolwise.memory.segment_posix import NamedSegment
    segment = NamedSegment.create(1 << 20, findable=True)
    print(segment.address()[0], flush=True)
"""


@pytest.mark.parametrize("end", ["", "os.kill(os.getpid(), signal.SIGKILL)", "os._exit(3)"])
def test_a_name_does_not_outlive_its_process(end):
    program = textwrap.dedent(NAMED) + end
    run = run_program(program)
    path = Path("/dev/shm") / run.stdout.strip().lstrip("/")
    deadline = 200
    while path.exists() and (deadline := deadline - 1):
        signal.sigtimedwait([], 0.01)  # the tracker needs a moment to notice
    assert not path.exists()
    assert end or not run.stderr


# --- limits -------------------------------------------------------------------------------------


def test_a_memory_limit_refuses_before_the_kernel_kills(monkeypatch):
    limit = cgroups.MemoryLimit("/sys/fs/cgroup/box", 9_000_000, 7_000_000)
    monkeypatch.setattr(cgroups, "memory_limits", lambda: [limit])
    segment = Segment.create(2_000_001, findable=True)
    segment.reserve(0, 2_000_000)
    message = "2000001 bytes .* limit of 9000000 bytes in /sys/fs/cgroup/box leaves 2000000"
    with pytest.raises(OutOfSharedMemory, match=message):
        segment.reserve(0, 2_000_001)


def test_the_machine_itself_is_a_limit():
    segment = Segment.create(MANY_BYTES, findable=True)
    with pytest.raises(MemoryError, match="this machine's free memory leaves"):
        segment.reserve(0, MANY_BYTES)


LIMITED = """
    import resource
    from poolwise.errors import OutOfSharedMemory
    from poolwise.memory.segment import Segment

    segment = Segment.create(1 << 30, findable=True)
    resource.setrlimit(resource.{limit}, ({value}, {value}))
    try:
        {action}
    except OutOfSharedMemory as error:
        print(error)
"""


@pytest.mark.parametrize(
    ("limit", "value", "action", "said"),
    [
        ("RLIMIT_NOFILE", 16, "x = [Segment.create(9, findable=True) for _ in range(16)]", "-n"),
        ("RLIMIT_NOFILE", 16, "x = [Segment.open(segment.address()) for _ in range(16)]", "-n"),
        ("RLIMIT_AS", 1 << 29, "segment.map()", "-v"),
        ("RLIMIT_FSIZE", 1 << 20, "Segment.create(1 << 21, findable=True)", "-f"),
    ],
)
def test_a_limit_of_the_process_is_named(limit, value, action, said):
    program = textwrap.dedent(LIMITED.format(limit=limit, value=value, action=action))
    run = run_program(program)
    assert run.stderr == ""
    assert f"(ulimit {said})" in run.stdout


def test_a_small_folder_of_shared_memory_is_an_error_and_not_a_signal():
    program = """
        from poolwise.errors import OutOfSharedMemory
        from poolwise.memory.segment_posix import NamedSegment
        for reserve in (True, False):
            segment = NamedSegment.create(8 << 20, findable=False)
            try:
                segment.reserve(0, 8 << 20) if reserve else segment.write(0, bytes(8 << 20))
            except OutOfSharedMemory as error:
                print(error)
    """
    run = run_with_small_shm(textwrap.dedent(program))
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("/dev/shm is often 64 MB") == 2


def run_with_small_shm(program: str, mount: str = "mount -t tmpfs -o size=1m none /dev/shm"):
    """Run a program where /dev/shm is another one than here."""
    if ended(["unshare", "-m", "sh", "-c", mount]).returncode:
        pytest.skip("needs the right to mount (unshare -m)")
    script = f'{mount} && exec "$0" -c "$1"'
    return ended(["unshare", "-m", "sh", "-c", script, sys.executable, program])


def run_program(program: str) -> subprocess.CompletedProcess[str]:
    return ended([sys.executable, "-c", program])


def ended(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)
