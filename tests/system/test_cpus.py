"""Made-up machines, each a small tree of files: what limits does a process on them see?"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import poolwise
from poolwise.system import cgroups, cpus

V1_MOUNTS = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 {group} /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 {group} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
"""
V2_MOUNT = "29 23 0:26 {group} /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


class Machine:
    """A folder with the files of a machine; `root` is what the functions under test are given."""

    def __init__(self, folder, cgroup, mountinfo):
        self.root = str(folder)
        self.folder = folder
        self.write("proc/self/cgroup", cgroup)
        self.write("proc/self/mountinfo", mountinfo)

    def write(self, path, text):
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def v1(self, path, quota, period=100_000):
        self.write(f"sys/fs/cgroup/cpu,cpuacct/{path}/cpu.cfs_quota_us", f"{quota}\n")
        self.write(f"sys/fs/cgroup/cpu,cpuacct/{path}/cpu.cfs_period_us", f"{period}\n")

    def v2(self, path, text):
        self.write(f"sys/fs/cgroup/{path}/cpu.max", f"{text}\n")

    def cpus(self):
        return [quota.cpus for quota in cgroups.quotas(self.root)]


@pytest.fixture
def v1(tmp_path):
    membership = "4:memory:/a/b\n3:cpu,cpuacct:/a/b\n1:name=systemd:/a\n"
    return Machine(tmp_path, membership, V1_MOUNTS.format(group="/"))


@pytest.fixture
def v2(tmp_path):
    return Machine(tmp_path, "0::/a/b\n", V2_MOUNT.format(group="/"))


# --- CPU quota ------------------------------------------------------------------------------------


def test_v1_own_level(v1):
    v1.v1("a/b", 150_000)
    assert v1.cpus() == [1.5]


def test_v1_every_level_counts(v1):
    v1.v1("a/b", -1)
    v1.v1("a", 400_000)
    v1.v1("", 50_000, 25_000)
    assert v1.cpus() == [4, 2]


def test_v2_every_level_counts(v2):
    v2.v2("a/b", "max 100000")
    v2.v2("a", "300000 100000")
    v2.v2("", "50000 100000")
    assert v2.cpus() == [3, 0.5]


def test_hybrid_reads_both_versions(tmp_path):
    unified = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    mounts = V1_MOUNTS.format(group="/") + unified
    machine = Machine(tmp_path, "3:cpu,cpuacct:/one\n0::/two\n", mounts)
    machine.v1("one", 300_000)
    machine.v2("unified/two", "200000 100000")
    assert machine.cpus() == [3, 2]


def test_v1_container_without_namespace_sees_its_own_group_at_the_mount(tmp_path):
    group = "/docker/f00d"
    membership = f"3:cpu,cpuacct:{group}/inner\n"
    machine = Machine(tmp_path, membership, V1_MOUNTS.format(group=group))
    machine.v1("", 200_000)
    machine.v1("inner", 100_000)
    assert machine.cpus() == [1, 2]


def test_namespace_hides_what_is_above(tmp_path):
    machine = Machine(tmp_path, "0::/\n", V2_MOUNT.format(group="/"))
    machine.v2("", "250000 100000")
    assert machine.cpus() == [2.5]


@pytest.mark.parametrize(
    ("membership", "group"),
    [("0::/../sibling\n", "/"), ("0::/../a\n", "/../b"), ("0::/x\n", "/xy"), ("0::/\n", "/x")],
)
def test_a_mount_that_does_not_show_our_group_is_not_ours(tmp_path, membership, group):
    machine = Machine(tmp_path, membership, V2_MOUNT.format(group=group))
    machine.v2("", "100000 100000")
    assert machine.cpus() == []


def test_names_with_blanks_and_colons(tmp_path):
    mount = V2_MOUNT.format(group="/").replace("/sys/fs/cgroup", r"/my\040mount")
    machine = Machine(tmp_path, "0::/user:1/b c\n", mount)
    machine.write("my mount/user:1/b c/cpu.max", "200000 100000\n")
    assert machine.cpus() == [2]


def test_a_mount_of_the_host_shows_its_top_only(tmp_path):
    machine = Machine(tmp_path, "0::/\n", V2_MOUNT.format(group="/../.."))
    machine.v2("", "300000 100000")
    assert machine.cpus() == [3]


def test_a_mount_of_the_host_and_a_process_beside_its_namespace(tmp_path):
    machine = Machine(tmp_path, "0::/../sibling\n", V2_MOUNT.format(group="/.."))
    machine.v2("sibling", "100000 100000")
    machine.v2("", "300000 100000")
    assert machine.cpus() == [1, 3]


@pytest.mark.parametrize("text", ["", "max", "100000", "-1 100000", "100000 0", "what is this"])
def test_what_cannot_be_read_is_no_limit(v2, text):
    v2.v2("a/b", text)
    assert v2.cpus() == []


def test_no_proc_at_all(tmp_path):
    assert cgroups.quotas(str(tmp_path)) == []
    assert cgroups.memory_limits(str(tmp_path)) == []
    assert cgroups.throttling(str(tmp_path)) is None


@pytest.mark.parametrize("junk", ["::::\n", "3:cpu\n", "\n\n", "0:/a", "\x00\x01"])
def test_junk_in_proc_does_no_harm(tmp_path, junk):
    machine = Machine(tmp_path, junk, junk + " - cgroup2\n - cgroup\n1 2 3 - cgroup2 c rw")
    assert machine.cpus() == []


# --- memory and throttling -----------------------------------------------------------------------


def test_v2_memory_room_leaves_out_cache_that_can_be_dropped(v2):
    v2.write("sys/fs/cgroup/a/b/memory.max", "1000000\n")
    v2.write("sys/fs/cgroup/a/b/memory.current", "900000\n")
    v2.write("sys/fs/cgroup/a/b/memory.stat", "anon 1\ninactive_file 300000\n")
    v2.write("sys/fs/cgroup/a/memory.max", "max\n")
    (limit,) = cgroups.memory_limits(v2.root)
    assert limit[1:] == (1_000_000, 600_000)
    assert limit.room_bytes == 400_000


def test_v1_memory_every_level_and_its_way_to_say_unlimited(v1):
    v1.write("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n")
    v1.write("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "5000\n")
    v1.write("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "6000\n")
    (limit,) = cgroups.memory_limits(v1.root)
    assert limit.limit_bytes == 5000
    assert limit.room_bytes == 0


def test_throttling_of_the_worst_level_in_one_unit(v2):
    stat = "usage_usec 5\nnr_periods 10\nnr_throttled {}\nthrottled_usec {}\n"
    v2.write("sys/fs/cgroup/a/b/cpu.stat", stat.format(1, 7))
    v2.write("sys/fs/cgroup/a/cpu.stat", stat.format(4, 2_000))
    assert cgroups.throttling(v2.root) == (10, 4, 2_000_000)


def test_v1_throttling(v1):
    stat = "nr_periods 3\nnr_throttled 2\nthrottled_time 12345\n"
    v1.write("sys/fs/cgroup/cpu,cpuacct/a/b/cpu.stat", stat)
    assert cgroups.throttling(v1.root) == (3, 2, 12345)


# --- the number of workers -----------------------------------------------------------------------


@pytest.fixture
def eight_cpus(monkeypatch):
    monkeypatch.delenv(cpus.WORKERS_VARIABLE, raising=False)
    monkeypatch.setattr(cpus, "_usable_cpus", lambda: 8)


@pytest.mark.parametrize(
    ("quotas", "workers"), [([], 8), ([16.0], 8), ([2.0], 2), ([1.5], 2), ([6, 0.1], 1)]
)
@pytest.mark.usefixtures("eight_cpus")
def test_the_tightest_quota_rounded_up(monkeypatch, quotas, workers):
    found = [cgroups.Quota("/somewhere", limit) for limit in quotas]
    monkeypatch.setattr(cgroups, "quotas", lambda: found)
    assert poolwise.cpu_count() == workers


@pytest.mark.parametrize("text", ["0", "-2", "2.5", "many", "٣x"])
def test_a_senseless_environment_variable_is_refused(monkeypatch, text):
    monkeypatch.setenv(cpus.WORKERS_VARIABLE, text)
    with pytest.raises(ValueError, match=r"POOLWISE_WORKERS is .* whole number of 1 or more"):
        poolwise.cpu_count()


@pytest.mark.usefixtures("eight_cpus")
@pytest.mark.parametrize(("text", "workers"), [("3", 3), (" 12 ", 12)])
def test_the_environment_variable_decides(monkeypatch, text, workers):
    monkeypatch.setenv(cpus.WORKERS_VARIABLE, text)
    assert poolwise.cpu_count() == workers


@pytest.mark.usefixtures("eight_cpus")
def test_an_empty_environment_variable_is_none(monkeypatch):
    monkeypatch.setenv(cpus.WORKERS_VARIABLE, "")
    assert poolwise.cpu_count() >= 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_affinity_of_one():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "import poolwise; print(poolwise.cpu_count())"
    )
    environment = {k: v for k, v in os.environ.items() if k != cpus.WORKERS_VARIABLE}
    run = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, env=environment
    )
    assert run.stdout == b"1\n"


@pytest.mark.parametrize(("affinity", "bare", "usable"), [({0, 3}, 64, 2), (None, 6, 6)])
def test_affinity_where_there_is_one_else_all_cpus(monkeypatch, affinity, bare, usable):
    monkeypatch.delattr(os, "process_cpu_count", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: bare)
    if affinity is None:
        monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    else:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: affinity, raising=False)
    assert cpus._usable_cpus() == usable
