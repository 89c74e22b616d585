"""Runs somebody's program as it is, in an interpreter of its own, and looks at it from beside.

All that is added is one folder in front of PYTHONPATH, whose `sitecustomize` attaches the observer
to every interpreter of the program (see `boot/`), and the variable POOLWISE_DOCTOR, which says
where records go. Input, output, exit code and signals are the program's own. What the launcher
sees goes into `run.json` and `samples.txt` of the same directory.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from poolwise.doctor.boot._poolwise_observer import stacks
from poolwise.doctor.launch.sampler import Sampler, read_machine_s
from poolwise.doctor.launch.watch import Watch
from poolwise.doctor.records import pyspy
from poolwise.doctor.records.store import STACKS
from poolwise.system import cgroups

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

_DOCTOR = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BOOT = os.path.join(_DOCTOR, "boot")

VARIABLE = "POOLWISE_DOCTOR"

VERIFY_VARIABLE = "POOLWISE_DOCTOR_VERIFY"

PROFILE_VARIABLE = "POOLWISE_DOCTOR_PROFILE"

_HOME = os.path.dirname(os.path.dirname(_DOCTOR))
"""Directory in which a program that does not know poolwise finds it."""

FORMAT = 1
"""Version of `run.json` and of the directory around it."""

FORWARDED = ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCONT")


def launch(
    command: Sequence[str],
    directory: str,
    *,
    verify_s: float = 0.0,
    is_profiled: bool = False,
    say: Callable[[str, dict[str, Any]], None] | None = None,
) -> int:
    """Run a command under observation until it ends.

    :param command: the whole command line, `[python, script, args...]`.
    :param directory: an empty folder for the records, which are there even if we are killed.
    :param verify_s: seconds of experiments after each of the program's calls; 0: none.
    :param is_profiled: whether to look for the hot lines inside tasks: with py-spy from outside if
        it is there and may; else with cProfile in each worker.
    :param say: called with the directory and what is known when no task has ended for long.
    :returns: the program's exit code; negative: the signal that ended it.
    :raises OSError: the command cannot be started.
    """
    _compile_observer()
    before = _Before(directory, list(command), verify_s)
    profiler = _find_profiler() if is_profiled else None
    environment = _environment(directory, verify_s, is_counted=is_profiled and profiler is None)
    process = subprocess.Popen(command, env=environment)  # noqa: S603 - the user's own
    if profiler is not None:
        watcher = pyspy.Watcher(profiler, process.pid, os.path.join(directory, STACKS))
    with _Look(process.pid, directory, say) as look, _PassedOn(process.pid, look.ask) as passed_on:
        before.write(process.pid)
        status, usage = look.until_end()
        seen = look.watch.record()
    process.returncode = os.waitstatus_to_exitcode(status)
    if profiler is not None:
        watcher.stop()
    before.note(watch={**seen, **passed_on.facts()})
    is_interrupted = passed_on.is_interrupted
    before.finish(look.sampler, usage, process.returncode, is_interrupted=is_interrupted)
    return process.returncode


def clear(directory: str) -> None:
    """Remove the records of an earlier run from a folder, and nothing else."""
    for name in os.listdir(directory):
        if name.endswith((".rec", ".ev")) or name in _FILES:
            os.remove(os.path.join(directory, name))


_FILES = {"run.json", "samples.txt", STACKS, stacks.NAME}


def _compile_observer() -> None:
    """Leave the observer compiled, so that no interpreter of the program has to do it again.

    Where our folder is read-only, the installer has done so; where not even it could, each start
    costs 20 ms more.
    """
    import py_compile

    for folder, _, names in os.walk(BOOT):
        for name in names:
            if name.endswith(".py"):
                try:
                    py_compile.compile(os.path.join(folder, name), quiet=2)
                except OSError:
                    return


def _find_profiler() -> str | None:
    """py-spy, unless the user wants the other (POOLWISE_PROFILER=cProfile)."""
    return None if os.environ.get("POOLWISE_PROFILER") == "cProfile" else pyspy.find()


def _environment(directory: str, verify_s: float, *, is_counted: bool) -> dict[str, str]:
    users = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([BOOT, users] if users else [BOOT])
    added = {"PYTHONPATH": path, VARIABLE: os.path.abspath(directory)}
    if verify_s > 0:
        facts = {"parent": os.getpid(), "seconds": verify_s, "path": _HOME}
        added[VERIFY_VARIABLE] = json.dumps(facts)
    if is_counted:
        added[PROFILE_VARIABLE] = "1"
    return {**os.environ, **added}


class _Look:
    """Samples a program, and watches whether its tasks end, until it does."""

    def __init__(
        self, pid: int, directory: str, say: Callable[[str, dict[str, Any]], None] | None
    ) -> None:
        self._pid = pid
        self._can_sample = os.path.isdir("/proc/self/task")
        path = os.path.join(directory, "samples.txt")
        self._output = open(path, "w", encoding="ascii")  # noqa: SIM115 - closed by __exit__
        self.sampler = Sampler(pid, self._output)
        self.watch = Watch(pid, directory, lambda known: say and say(directory, known))

    def __enter__(self) -> _Look:  # noqa: PYI034 - Self is newer than 3.10
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._output.close()
        except OSError:
            self._can_sample = False  # what is in its buffer does not fit the disk

    def until_end(self) -> tuple[int, resource.struct_rusage]:
        """Wait status and usage of the program, once it has ended."""
        with _End(self._pid) as end:
            while not end.wait(self._sample()):
                self.watch.look(self.sampler)
        _, status, usage = os.wait4(self._pid, 0)
        return status, usage

    def _sample(self) -> float:
        """Look once; seconds until the next look."""
        if self._can_sample:
            try:
                return self.sampler.sample()
            except OSError as error:  # a full disk: the program goes on, without samples
                self._can_sample = False
                sys.stderr.write(f"poolwise doctor: no more samples are written: {error}\n")
        return 0.05

    def ask(self) -> None:
        """Have everybody's stacks noted, if nothing moves: somebody wants the program to end."""
        # A program in which a task has ended since is not asked for stacks when it is
        # told to end.
        if self.watch.still_s() > 1.0:
            self.watch.ask(self.sampler)


class _End:
    """Waits for the end of a child without reaping it."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._file = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else -1
        self._poll = select.poll()
        if self._file >= 0:
            self._poll.register(self._file, select.POLLIN)

    def __enter__(self) -> _End:  # noqa: PYI034 - Self is newer than 3.10
        return self

    def __exit__(self, *error: object) -> None:
        if self._file >= 0:
            os.close(self._file)

    def wait(self, timeout_s: float) -> bool:
        """True if it has ended; waits for that at most so long."""
        if self._file >= 0:
            return bool(self._poll.poll(timeout_s * 1000))
        time.sleep(timeout_s)
        return os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


class _PassedOn:
    """While the program runs, signals sent to us reach it.

    Ctrl-C at a terminal reaches the program by itself; we only note it, and wait for what the
    program makes of it.
    """

    def __init__(self, pid: int, look: Callable[[], None]) -> None:
        self._pid = pid
        self._look = look
        self._before: dict[int, Any] = {}
        self._stopped: tuple[int, str] | None = None
        self.is_interrupted = False

    def __enter__(self) -> _PassedOn:  # noqa: PYI034 - as above
        names = [name for name in FORWARDED if hasattr(signal, name)]
        self._handle("SIGINT", self._interrupt)
        for name in names:
            self._handle(name, self._forward)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, name: str, handler: Callable[[int, FrameType | None], None]) -> None:
        number = signal.Signals[name]
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup wants it
            self._before[number] = signal.signal(number, handler)

    def facts(self) -> dict[str, Any]:
        """Time at which the program was first told to end, and the signal."""
        at, name = self._stopped or (None, None)
        return {"stopped_ns": at, "stopped_by": name}

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.is_interrupted = True
        if _has_terminal():
            self._note_stop(number)
        else:
            self._forward(number, frame)

    def _note_stop(self, number: int) -> None:
        if self._stopped is None and number in _STOPPING:
            self._stopped = time.perf_counter_ns(), signal.Signals(number).name

    def _forward(self, number: int, _: FrameType | None) -> None:
        if self._stopped is None and number in _STOPPING:
            self._look()
        self._note_stop(number)
        try:
            os.kill(self._pid, number)
        except ProcessLookupError:
            pass


_STOPPING = {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


class _Before:
    """The state before the program ran; afterwards, what has changed."""

    def __init__(self, directory: str, command: list[str], verify_s: float = 0.0) -> None:
        self._path = os.path.join(directory, "run.json")
        self._throttling = cgroups.throttling()
        self._busy_s, self._steal_s = read_machine_s()
        self._own_s = _own_cpu_s()
        self._facts: dict[str, Any] = {
            "format": FORMAT,
            "command": command,
            "platform": sys.platform,
            "cpus_machine": os.cpu_count() or 1,
            "quota_cpus": min((quota.cpus for quota in cgroups.quotas()), default=None),
            "verify_s": verify_s,
            "began_ns": time.perf_counter_ns(),
        }

    def write(self, pid: int) -> None:
        """Write what is known at the start, for the case that we do not live to the end."""
        self._facts["root"] = pid
        if hasattr(os, "sched_getaffinity"):
            self._facts["affinity"] = len(os.sched_getaffinity(pid))
        self._save()

    def note(self, **facts: Any) -> None:
        """Add facts."""
        self._facts.update(facts)

    def finish(
        self,
        sampler: Sampler,
        usage: resource.struct_rusage,
        status: int,
        *,
        is_interrupted: bool,
    ) -> None:
        """Write what the run came to."""
        busy_s, steal_s = read_machine_s()
        self._facts.update(
            ended_ns=time.perf_counter_ns(),
            status=status,
            is_interrupted=is_interrupted,
            cpu_s=usage.ru_utime + usage.ru_stime,
            busy_s=busy_s - self._busy_s,
            steal_s=steal_s - self._steal_s,
            beside_s=_own_cpu_s() - self._own_s,
            samples=sampler.samples,
            processes={pid: asdict(seen) for pid, seen in sampler.processes.items()},
            throttled=self._throttled(),
        )
        self._save()

    def _throttled(self) -> tuple[int, float] | None:
        """Periods in which the control group was stopped, and for how many CPU-seconds."""
        before, after = self._throttling, cgroups.throttling()
        if before is None or after is None:
            return None
        periods = after.throttled_periods - before.throttled_periods
        return periods, (after.throttled_ns - before.throttled_ns) / 1e9

    def _save(self) -> None:
        """Write all, or leave what was written before: a full disk must not end the program."""
        unfinished = f"{self._path}.part"
        try:
            with open(unfinished, "w", encoding="utf-8") as file:
                json.dump(self._facts, file)
            os.replace(unfinished, self._path)
        except OSError as error:
            sys.stderr.write(f"poolwise doctor: {self._path} was not written: {error}\n")
            if os.path.exists(unfinished):
                os.remove(unfinished)


def _own_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
