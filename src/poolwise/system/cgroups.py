"""Limits that Linux control groups put on this process, at every level and in both versions.

A process may sit deep in a tree of groups, and the limit that bites may be set on any ancestor,
under version 1, version 2 or both at once (hybrid). So every level that this process can see is
read: from its own group (``/proc/self/cgroup``) up to the top of each mount that shows it
(``/proc/self/mountinfo``). Levels above a container's namespace cannot be seen from inside.

Every function takes ``root``, the folder that holds ``proc`` and ``sys``, so that a made-up tree
of files stands in for a machine in the tests. Whatever cannot be read counts as absent: a limit
that is hidden from us cannot be obeyed. Sources: cgroups(7), proc(5), and the kernel's
``Documentation/admin-guide/cgroup-v2.rst`` and ``cgroup-v1/*.rst``.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterator

from poolwise.record import Row

UNLIMITED_BYTES = 1 << 60
"""Version 1 writes "no limit" as the largest page-aligned number; nothing real is above this."""


class Group(Row):
    """One control group of this process, at one level."""

    path: str
    version: int


class Quota(Row):
    """A limit on CPU time: ``cpus`` is quota over period, such as 1.5."""

    path: str
    cpus: float


class MemoryLimit(Row):
    """A limit on memory, and how much of it is taken (page cache that can be dropped left out)."""

    path: str
    limit_bytes: int
    used_bytes: int

    @property
    def room_bytes(self) -> int:
        """Bytes left below this limit; never negative."""
        return max(0, self.limit_bytes - self.used_bytes)


class Throttling(Row):
    """Count and time of stops of a group because its quota was spent, since it was made.

    Two readings, before and after a run, are subtracted. ``throttled_ns`` adds up the CPUs.
    """

    periods: int
    throttled_periods: int
    throttled_ns: int


class Mount(Row):
    """One mounted tree of control groups: ``group`` is the group that stands at ``point``."""

    group: str
    point: str
    version: int
    controllers: frozenset[str]


def quotas(root: str = "/") -> list[Quota]:
    """Every CPU quota above this process, nearest first."""
    found = []
    for group in groups("cpu", root):
        cpus = _quota_v1(group.path) if group.version == 1 else _quota_v2(group.path)
        if cpus is not None:
            found.append(Quota(group.path, cpus))
    return found


def memory_limits(root: str = "/") -> list[MemoryLimit]:
    """Every memory limit above this process, nearest first."""
    found = []
    for group in groups("memory", root):
        limit, used, cache = _MEMORY_FILES[group.version]
        limit_bytes = _number(group.path, limit)
        if limit_bytes is not None and limit_bytes < UNLIMITED_BYTES:
            droppable = _stat(group.path, "memory.stat").get(cache, 0)
            taken = max(0, (_number(group.path, used) or 0) - droppable)
            found.append(MemoryLimit(group.path, limit_bytes, taken))
    return found


def throttling(root: str = "/") -> Throttling | None:
    """The account of the level that throttled most; None when no level keeps one."""
    readings = []
    for group in groups("cpu", root):
        stat = _stat(group.path, "cpu.stat")
        if "nr_throttled" in stat:
            ns = stat.get("throttled_time", stat.get("throttled_usec", 0) * 1000)
            readings.append(Throttling(stat.get("nr_periods", 0), stat["nr_throttled"], ns))
    return max(readings, key=lambda r: (r.throttled_ns, r.periods), default=None)


_MEMORY_FILES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: ("memory.max", "memory.current", "inactive_file"),
}


def groups(controller: str, root: str = "/") -> Iterator[Group]:
    """The groups of this process that may carry ``controller``, each level, nearest first."""
    membership = parse_membership(_read(root, "proc/self/cgroup"))
    for mount in parse_mounts(_read(root, "proc/self/mountinfo")):
        if mount.version == 1 and controller not in mount.controllers:
            continue
        own = membership.get(controller if mount.version == 1 else "")
        below = None if own is None else path_below(own, mount.group)
        if below is None:
            continue
        top = os.path.join(root, mount.point.lstrip("/"))
        for depth in range(len(below), -1, -1):
            yield Group(os.path.join(top, *below[:depth]), mount.version)


def parse_membership(text: str) -> dict[str, str]:
    """``/proc/self/cgroup`` as {controller: group}; version 2 stands under the empty name."""
    found = {}
    for line in text.splitlines():
        _, separator, rest = line.partition(":")
        names, colon, path = rest.partition(":")
        if separator and colon:
            found.update(dict.fromkeys(names.split(","), path))
    return found


def parse_mounts(text: str) -> list[Mount]:
    """The control-group mounts in ``/proc/self/mountinfo``."""
    found = []
    for line in text.splitlines():
        mount, _, filesystem = line.partition(" - ")
        match mount.split(), filesystem.split():
            case [_, _, _, group, point, *_], ["cgroup", _, options, *_]:
                controllers = frozenset(options.split(","))
                found.append(Mount(group, point, 1, controllers))
            case [_, _, _, group, point, *_], ["cgroup2", *_]:
                found.append(Mount(group, point, 2, frozenset()))
    return [_unescaped(mount) for mount in found] if "\\" in text else found


def path_below(own: str, top: str) -> list[str] | None:
    """The steps from group ``top`` down to group ``own``; None when ``own`` is not below it.

    What lies outside of this process's namespace is written with ``..`` and has no known name. A
    mount that begins out there (a container that was given its host's) shows us at its very top
    only: no steps.
    """
    steps, base = _steps(own), _steps(top)
    if steps[: len(base)] == base and ".." not in steps[len(base) :]:
        return steps[len(base) :]
    if set(base) == {".."} and steps.count("..") < len(base):
        return []
    return None


def _steps(path: str) -> list[str]:
    return [step for step in path.split("/") if step]


def _unescaped(mount: Mount) -> Mount:
    r"""Undo the octal escapes of proc(5): ``\040`` is a blank."""
    group, point = (
        re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
        for field in (mount.group, mount.point)
    )
    return mount._replace(group=group, point=point)


def _quota_v1(path: str) -> float | None:
    quota, period = _number(path, "cpu.cfs_quota_us"), _number(path, "cpu.cfs_period_us")
    return quota / period if quota and period and quota > 0 and period > 0 else None


def _quota_v2(path: str) -> float | None:
    match _read(path, "cpu.max").split():
        case [quota, period] if quota.isdecimal() and period.isdecimal() and int(period):
            return int(quota) / int(period)
        case _:
            return None


def _number(path: str, name: str) -> int | None:
    try:
        return int(_read(path, name))
    except ValueError:
        return None


def _stat(path: str, name: str) -> dict[str, int]:
    pairs = (line.partition(" ") for line in _read(path, name).splitlines())
    return {key: int(value) for key, _, value in pairs if value.isdecimal()}


def _read(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
