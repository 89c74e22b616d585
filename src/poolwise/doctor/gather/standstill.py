"""Finds the call that never came to its end, and what everybody was waiting for. Pure.

A pool that got messages and had not answered all of them, and in which nothing ended for long, is a
call that stands still. Without such a pool it is the program's first thread that tells: it waits
for a child, a queue or a task of a pool, and nothing of the program computes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from poolwise.doctor import words
from poolwise.doctor.evidence.features import Place, Standstill
from poolwise.doctor.gather.causes import classify
from poolwise.doctor.records import dumps
from poolwise.doctor.records.pools import HAND_MADE
from poolwise.report import figures

if TYPE_CHECKING:
    from poolwise.doctor.records.dumps import Stack
    from poolwise.doctor.records.pools import PoolRecords, WorkerRecords
    from poolwise.doctor.records.run import Run

CAUSES: dict[str, str] = {
    "worker-died": "a worker died with a task in hand",
    "initializer": "workers end before they are ready",
    "results-thread": "the thread that collects results has died",
    "unreadable-result": "a result cannot be read",
    "lock": "tasks wait for a lock",
    "own-pool": "tasks wait for other tasks of a pool",
    "queue": "a queue or pipe is waited for",
    "computing": "a task computes, and does not end",
    "waiting": "a task waits, and does not end",
    "exit": "the program is over and waits for its children",
    "unknown": "nobody computes, and no result comes",
}
"""Causes of a standstill, in a few words."""

LEAST_S = 2.0
"""A call in which nothing ended for less than this was not standing still."""

SLOWEST = 10
"""Least standstill, in times of the pool's longest task."""

LONG_S = 20.0
"""A call whose tasks compute, and of which none has ended for this long, is told as well."""

BEFORE_S = 0.2
"""Distance to the signal that ended all within which an end is counted as its effect."""

SERVING = ("ep_poll", "epoll", "poll_schedule", "accept", "select")
"""Wait channels of servers: they wait for a call, and that is what they are for."""


@dataclass(frozen=True)
class _Scene:
    """The facts at the end of a run, or in the middle of it."""

    run: Run
    watch: dict[str, Any]
    stop_ns: int
    stacks: dict[int, list[Stack]]

    @property
    def limit_ns(self) -> int:
        """The time before the signal in which an end counts as caused by it."""
        return self.stop_ns - int(BEFORE_S * 1e9 if self.watch.get("stopped_ns") else 0)

    @property
    def root(self) -> int:
        """The program's first process."""
        return int(self.run.launch.get("root", 0))

    @property
    def main(self) -> Stack | None:
        """The stack of its first thread."""
        stacks = self.stacks.get(self.root)
        return stacks[-1] if stacks else None

    def seconds(self, at_ns: int) -> float:
        """Seconds since the start."""
        return float(at_ns - self.run.launch["began_ns"]) / 1e9


def find(run: Run, pools: list[PoolRecords], end_ns: int) -> Standstill | None:
    """The call that was standing still when the run was ended, or gave up; None if none was."""
    watch = run.launch.get("watch")
    if not watch:
        return None
    stop_ns = min(watch.get("stopped_ns") or end_ns, end_ns)
    stacks = {int(pid): dumps.parse(text) for pid, text in watch["stacks"].items()}
    scene = _Scene(run, watch, stop_ns, stacks)
    open_calls = [call for pool in pools if (call := _open_call(pool, scene))]
    if open_calls:
        return max(open_calls, key=lambda call: call.lasted_s)
    return _waiting_program(scene)


# -- a pool that has not answered


def _open_call(pool: PoolRecords, scene: _Scene) -> Standstill | None:
    if not _is_open(pool, scene):
        return None
    since_ns = _moved_ns(pool, scene)
    lasted_s = (_closed_ns(pool, scene.stop_ns) - since_ns) / 1e9
    cause, told = _explain(pool, scene)
    ended = (t for w in pool.workers for t in w.tasks if t.ended < scene.limit_ns)
    longest_s = max((task.ended - task.began for task in ended), default=0) / 1e9
    if lasted_s < (LONG_S if cause == "computing" else max(LEAST_S, SLOWEST * longest_s)):
        return None
    place, api = _call_of(pool, scene)
    done = _done(pool, scene)
    is_counted = pool.sent_count > done
    return Standstill(
        cause=cause,
        place=place,
        api=api,
        pool=pool.id,
        since_s=scene.seconds(since_ns),
        lasted_s=lasted_s,
        sent=pool.sent_count if is_counted else None,
        done=done if is_counted else None,
        stopped_by=scene.watch.get("stopped_by"),
        told=told,
    )


def _is_open(pool: PoolRecords, scene: _Scene) -> bool:
    """True if the pool owes answers: by what was counted, or by a stack that is inside a task."""
    if any(stack.is_task for stack in _stacks_of(pool, scene)):
        return True
    is_counted = not pool.kind.startswith("Thread") and pool.kind != HAND_MADE
    return is_counted and (pool.sent_count > _done(pool, scene) or bool(_broken(pool, scene)))


def _done(pool: PoolRecords, scene: _Scene) -> int:
    """Messages answered before the signal: it makes tasks under way raise, which answers them."""
    tasks = [task for worker in pool.workers for task in worker.tasks]
    late = sum(task.began < scene.limit_ns <= task.ended for task in tasks)
    return min(pool.result_count, pool.sent_count - late)


def _closed_ns(pool: PoolRecords, stop_ns: int) -> int:
    """Time at which the program gave the pool up: ended it without waiting, or was ended."""
    ends: list[int] = [end["began"] for end in pool.ends if end["how"] == "terminate"]
    return min([stop_ns, *ends])


def _moved_ns(pool: PoolRecords, scene: _Scene) -> int:
    """Time of the last end of a task in a pool, or of handing one out, before the signal."""
    times: list[int] = [pool.facts["began"]]
    times += [send.sent for send in pool.sends[-1:]]
    times += [max(result.loaded, result.handled) for result in pool.results]
    times += [worker.dark_until for worker in pool.workers]
    times += [task.ended for worker in pool.workers for task in worker.tasks]
    return max((at for at in times if at < scene.limit_ns), default=times[0])


def _call_of(pool: PoolRecords, scene: _Scene) -> tuple[Place | None, str]:
    """The line that waits for this pool, as its stack tells; else the line that gave the work."""
    sites = [site for site in pool.sites.values() if site.get("place")]
    last = sites[-1] if sites else None
    main = scene.main
    frame = main.program if main and main.below_program(dumps.WAITING) else None
    for site in sites:
        if frame and (site["place"][0], site["place"][1]) == (frame.file, frame.line):
            return Place(*site["place"]), site["api"]
    if last:
        return Place(*last["place"]), last["api"]
    return (Place(*frame) if frame else None), _api(main)


def _api(stack: Stack | None) -> str:
    """The function that the program's innermost line has called."""
    if stack is None or stack.program is None:
        return "the program"
    at = stack.frames.index(stack.program)
    called = [frame for frame in stack.frames[:at] if "_poolwise_observer" not in frame.file]
    name = called[-1].function.strip("_") if called else stack.program.function
    return _NAMES.get(name, name)


_NAMES = {"result_iterator": "map", "next": "imap", "map_async": "map"}
"""Functions inside of pools -> what the program has called."""


# -- why


def _explain(pool: PoolRecords, scene: _Scene) -> tuple[str, list[str]]:
    """The cause, and all that is known in sentences, the cause first."""
    first = _deaths(pool, scene) or _threads(pool, scene)
    cause, told = first or ("", [])
    if cause == "initializer":
        return cause, told + _say_main(scene)
    doing, more = _doings(pool, scene)
    return cause or doing, told + more + _say_main(scene)


def _deaths(pool: PoolRecords, scene: _Scene) -> tuple[str, list[str]] | None:
    dead = _dead_workers(pool, scene)
    if not dead:
        return None
    raised = {event["pid"]: event for event in scene.run.of("worker raised")}
    told = [_say_death(pool, worker, code, scene, raised) for worker, code in dead[:_MOST]]
    if len(dead) > _MOST:
        told.append(f"{words.count(len(dead) - _MOST, 'more worker')} ended like that")
    is_stillborn = all(not worker.tasks and worker.opened_at <= 0 for worker, _ in dead)
    cause = "initializer" if is_stillborn and len(dead) > pool.slots else "worker-died"
    return cause, told


_MOST = 2
"""Limit of how many of one kind are told one by one."""


def _dead_workers(pool: PoolRecords, scene: _Scene) -> list[tuple[WorkerRecords, int]]:
    """Workers that ended before anybody wanted the program to end, with their exit codes."""
    told = {(event["child"], -event["number"]) for event in scene.run.of("signal")}
    codes = {
        event["child"]: event["code"]
        for event in scene.run.of("exit")
        if event["t"] < scene.limit_ns
    }
    codes.update({int(pid): code for pid, code in scene.watch.get("dead", {}).items()})
    # Ctrl-C reaches workers as well, and their end may be seen before that of the program.
    struck = {
        event["pid"]
        for event in scene.run.of("worker raised")
        if event["error"].startswith("KeyboardInterrupt")
    }
    workers = [worker for worker in pool.workers if worker.pid not in struck]
    found = [(worker, codes[worker.pid]) for worker in workers if worker.pid in codes]
    return [(worker, code) for worker, code in found if code and (worker.pid, code) not in told]


def _say_death(
    pool: PoolRecords,
    worker: WorkerRecords,
    code: int,
    scene: _Scene,
    raised: dict[int, dict[str, Any]],
) -> str:
    number = pool.workers.index(worker) + 1
    event = raised.get(worker.pid)
    how = _how(code)
    if event:
        where = f" at {Place(*event['place'])}" if event["place"] else ""
        how += f" ({event['error']}{where})"
    at = figures.seconds(scene.seconds(worker.exited)) if worker.exited else ""
    when = f", {at} after the start" if at else ""
    return f"worker {number} {how}{when}"


def _threads(pool: PoolRecords, scene: _Scene) -> tuple[str, list[str]] | None:
    """The fate of the parent's thread that collects results."""
    for kind, cause, event in _broken(pool, scene):
        where = f" at {Place(*event['place'])}" if event["place"] else ""
        error = f"{event['error']}{where}"
        return cause, [_BROKEN[kind, cause].format(error)]
    return None


def _broken(pool: PoolRecords, scene: _Scene) -> list[tuple[str, str, dict[str, Any]]]:
    """Reasons that broke the collecting of results, in order of weight."""
    return [
        (kind, cause, event)
        for kind, cause in _BROKEN
        for event in scene.run.of(kind)
        if event["pool"] in {pool.id, 0} and event["t"] < scene.stop_ns
    ]


_BROKEN = {
    (
        "unread",
        "unreadable-result",
    ): "unpickling a result raised {}, and no result is read any more",
    ("callback raised", "results-thread"): "a callback raised {}, and its result never comes",
    ("thread died", "results-thread"): "the thread that collects results died of {}",
}
"""Event, cause -> what happened."""


def _doings_by_stacks(pool: PoolRecords, scene: _Scene) -> list[tuple[str, str]]:
    if pool.kind.startswith("Thread"):
        return [_doing(stack) for stack in _stacks_of(pool, scene)]
    pids = [worker.pid for worker in pool.workers if scene.stacks.get(worker.pid)]
    return [_doing(scene.stacks[pid][-1], _channel(pid, scene)) for pid in pids]


def _channel(pid: int, scene: _Scene) -> str:
    """The wait channel of a process's first thread when its stacks were taken."""
    samples = scene.run.samples.get(pid, {}).get(pid, [])
    before = [sample for sample in samples if sample.at <= scene.watch["dumped_ns"]]
    return classify(before[-1]) if before else ""


def _stacks_of(pool: PoolRecords, scene: _Scene) -> list[Stack]:
    """The stacks of a pool's workers: main threads of processes, or threads of the parent."""
    if pool.kind.startswith("Thread"):
        return [stack for stack in scene.stacks.get(pool.facts["pid"], []) if stack.is_task]
    pids = [worker.pid for worker in pool.workers]
    return [scene.stacks[pid][-1] for pid in pids if scene.stacks.get(pid)]


def _doings(pool: PoolRecords, scene: _Scene) -> tuple[str, list[str]]:
    """The doings of the workers: the main cause, and a sentence for each kind."""
    kind = "thread" if pool.kind.startswith("Thread") else "worker"
    seen = _doings_by_stacks(pool, scene)
    if not seen:
        seen = _doings_by_samples(pool, scene)
    counted = Counter(seen)
    busy = [(cause, count) for (cause, _), count in counted.items() if cause != "unknown"]
    cause = max(busy, key=lambda pair: pair[1])[0] if busy else "unknown"
    shown = sorted(counted.most_common(3), key=lambda pair: pair[0][0] != cause)
    told = [f"{words.count(count, kind)} {_verb(text, count)}" for (_, text), count in shown]
    return cause, told


def _verb(text: str, count: int) -> str:
    verb, _, rest = text.partition(" ")
    return text if count > 1 else f"{verb}s {rest}".rstrip()


def _doing(stack: Stack, channel: str = "") -> tuple[str, str]:
    """Cause and words of what one worker does, by its stack and what the kernel told of it."""
    frame = stack.program
    if frame is None and stack.calls(dumps.FEEDERS):
        return "queue", "wait until somebody reads what was put into a queue"
    if frame is None:
        return "unknown", "wait for work"
    where = f"in {frame.function} ({Place(*frame)})"
    for known, cause, verb in _AT:
        if stack.below_program(known):
            return cause, f"{verb} {where}"
    cause, verb = _WORDS.get(channel, ("waiting", "stand still"))
    return ("waiting" if cause == "unknown" else cause), f"{verb} {where}"


_AT = (
    (dumps.WAITING, "own-pool", "wait for a task of a pool"),
    (dumps.LOCKS, "lock", "wait for a lock"),
    (dumps.QUEUES, "queue", "wait for a queue or pipe"),
    (dumps.CHILDREN, "waiting", "wait for a process"),
)
"""Functions that the program's innermost line has called, with the cause and the words."""

_WORDS = {
    "run": ("computing", "compute"),
    "lock": ("lock", "wait for a lock"),
    "pipe": ("unknown", "wait for a message"),
    "network": ("waiting", "wait for the network"),
    "sleep": ("waiting", "sleep"),
    "disk": ("waiting", "wait for a disk"),
}


def _doings_by_samples(pool: PoolRecords, scene: _Scene) -> list[tuple[str, str]]:
    """Doings by the kernel's last sample of each worker's main thread, while it was alive."""
    found, recent_ns = [], 2e9  # many steps of the sampler, beside other programs too
    for worker in pool.workers:
        samples = scene.run.samples.get(worker.pid, {}).get(worker.pid, [])
        last = [s for s in samples if s.at < scene.stop_ns and s.state not in "ZX"][-3:]
        if last and samples[-1].state != "Z" and scene.stop_ns - last[-1].at < recent_ns:
            kinds = Counter(classify(sample) for sample in last)
            found.append(_WORDS.get(kinds.most_common(1)[0][0], ("unknown", "wait")))
    return found


def _say_main(scene: _Scene) -> list[str]:
    """Sentence on where the program's first thread was."""
    main = scene.main
    if main is None or main.program is None:
        return []
    return [f"the program's first thread waits in {_api(main)} at {Place(*main.program)}"]


# -- a program that waits without a pool that was asked


def _waiting_program(scene: _Scene) -> Standstill | None:
    """The first thread waits for children, a queue or a pool that is not counted: nothing moves."""
    main, watch = scene.main, scene.watch
    if main is None or not (watch.get("stopped_by") or watch.get("is_live")):
        return None
    since_ns = max(watch["moved_ns"], watch["busy_ns"])
    lasted_s = (scene.stop_ns - since_ns) / 1e9
    is_exit = main.calls(dumps.EXITS)
    is_call = main.below_program(dumps.WAITING, dumps.CHILDREN, dumps.QUEUES)
    is_asked = main.below_program(dumps.WAITING)  # a pool of ours waits as servers do
    if lasted_s < LEAST_S or not (is_exit or is_call) or (_serves(scene) and not is_asked):
        return None
    cause, told = _explain_waiting(scene, is_exit=is_exit)
    return Standstill(
        cause=cause,
        place=Place(*main.program) if main.program else _first_child(scene),
        api="the exit" if is_exit else _api(main),
        pool=None,
        since_s=scene.seconds(since_ns),
        lasted_s=lasted_s,
        sent=None,
        done=None,
        stopped_by=watch.get("stopped_by"),
        told=told + ([] if is_exit else _say_main(scene)),
    )


def _explain_waiting(scene: _Scene, *, is_exit: bool) -> tuple[str, list[str]]:
    """The cause, and what the program's children were doing, or died of."""
    dead = {pid: code for pid, code in scene.watch.get("dead", {}).items() if code}
    told = [f"process {pid} {_how(code)}" for pid, code in dead.items()]
    pids = [pid for pid, stacks in scene.stacks.items() if stacks and pid != scene.root]
    counted = Counter(_doing(scene.stacks[pid][-1], _channel(pid, scene)) for pid in pids)
    told += [
        f"{words.count(count, 'child process')} {_verb(text, count)}"
        for (_, text), count in counted.most_common(3)
    ]
    if dead:
        return "worker-died", told
    if is_exit or not counted:
        return "exit" if is_exit else "unknown", told
    return max(counted, key=lambda doing: (doing[0] != "unknown", counted[doing]))[0], told


def _how(code: int) -> str:
    return f"was killed by {words.ending(code)}" if code < 0 else f"ended with {words.ending(code)}"


def _first_child(scene: _Scene) -> Place | None:
    """Place at which the first process that is still there was started."""
    for event in scene.run.of("start"):
        if event["child"] in scene.stacks and event.get("place"):
            return Place(*event["place"])
    return None


def _serves(scene: _Scene) -> bool:
    """True if a first thread of the program's processes waited to be called."""
    for pid in scene.stacks:
        samples = scene.run.samples.get(pid, {}).get(pid, [])
        before = [sample for sample in samples if sample.at < scene.stop_ns]
        if before and any(part in before[-1].channel for part in SERVING):
            return True
    return False
