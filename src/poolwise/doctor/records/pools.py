"""Sorts the records of a run by pool and worker, and completes what a killed process left out.

Pure: `store.Run` in, `PoolRecords` out, times in nanoseconds of the run's clock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from poolwise.doctor.boot._poolwise_observer import recorder
from poolwise.doctor.records.run import Call, Result, Run, Send, Task, ThreadTask

HAND_MADE = "hand-made"

LAZY = {"ProcessPoolExecutor", "ThreadPoolExecutor", "loky", HAND_MADE}
"""Kinds of pools that start workers when there is work, and not when they are made."""


@dataclass
class WorkerRecords:
    """One worker's messages, and the marks of its life. 0: not seen."""

    pid: int
    launching: int
    launched: int
    booted: int
    ready: int
    interpreter: int
    tasks: list[Task]
    first_get: int
    last_get: int
    count: int
    dark_until: int
    opened_at: int = 0
    exited: int = 0
    imported_bytes: int | None = None

    @property
    def end(self) -> int:
        """The last thing it is known to have done for the pool; what never got ready: its exit."""
        last = self.tasks[-1].sent if self.tasks else self.first_get or self.exited or self.launched
        return max(last, self.dark_until)

    @property
    def is_stillborn(self) -> bool:
        """True if it ended before it was ready."""
        return bool(self.exited) and not self.first_get


@dataclass
class PoolRecords:
    """All that was recorded of one pool."""

    facts: dict[str, Any]
    run_began: int
    began: int
    ended: int
    sends: list[Send]
    results: list[Result]
    workers: list[WorkerRecords]
    calls: dict[int, Call]
    sites: dict[int, dict[str, Any]]
    ends: list[dict[str, Any]]
    sent_count: int
    result_count: int
    send_of: dict[tuple[int, int], Send] = field(default_factory=dict)

    @property
    def id(self) -> int:
        """The pool's number, unique in the run."""
        return int(self.facts["id"])

    @property
    def kind(self) -> str:
        """Library that the pool is of."""
        return str(self.facts["kind"])

    @property
    def slots(self) -> int:
        """The number of workers it may have at a time."""
        return int(self.facts["slots"])

    @property
    def count(self) -> int:
        """Messages in all: as the parent counted; where it could not, as the workers did."""
        return self.sent_count or sum(worker.count for worker in self.workers)

    @property
    def is_lazy(self) -> bool:
        """True if workers are started only when there is work."""
        return self.kind in LAZY

    def site_of(self, task: Task | Send) -> int:
        """The number of the line that gave this message, 0 if unknown."""
        send = self.send_of.get((task.job, task.position))
        if send is not None and send.site:
            return send.site
        call = self.calls.get(task.job)
        if call is not None:
            return call.site
        return next(iter(self.sites)) if len(self.sites) == 1 else 0


def assemble(run: Run) -> list[PoolRecords]:
    """Every pool of the run, in the order of their making."""
    starts = defaultdict(list)
    for event in run.of("start"):
        starts[event["pool"]].append(event)
    found = [_assemble_one(run, facts, starts[facts["id"]]) for facts in run.of("pool")]
    by_hand = _group_by_hand(run, starts[0])
    found += [_assemble_one(run, facts, started) for facts, started in by_hand]
    return sorted(found, key=lambda pool: pool.facts["began"])


def _assemble_one(run: Run, facts: dict[str, Any], starts: list[dict[str, Any]]) -> PoolRecords:
    number = facts["id"]
    sends = sorted(run.sends.get(number, []), key=lambda send: send.taken)
    results = sorted(run.results.get(number, []), key=lambda result: result.waiting)
    read = {(result.job, result.position): result for result in results}
    if facts["kind"].startswith("Thread"):
        workers = _thread_workers(run, number)
        sends = sends or _submissions(run.thread_tasks.get(number, []))
    else:
        exits = {event["child"]: event["t"] for event in run.of("exit")}
        workers = [_process_worker(run, start, read, exits) for start in starts]
    ends = [event for event in run.of("end") if event["pool"] == number]
    counts = max((tuple(event["counts"]) for event in ends), default=()) or (0, 0)
    pool = PoolRecords(
        facts=facts,
        run_began=run.launch["began_ns"],
        began=facts["began"],
        ended=0,
        sends=sends,
        results=results,
        workers=workers,
        calls={call.job: call for call in run.calls.get(number, [])},
        sites={event["site"]: event for event in run.of("site") if event["pool"] == number},
        ends=ends,
        sent_count=max(counts[0], _beat(run, number, recorder.SEND), _last_number(sends)),
        result_count=max(counts[1], _beat(run, number, recorder.RESULT), _last_number(results)),
        send_of={(send.job, send.position): send for send in sends},
    )
    if pool.kind == HAND_MADE:
        pool.sites = {0: {"api": "Process", "function": facts["target"], "place": facts["place"]}}
    pool.began, pool.ended = _region(pool)
    pool.sent_count = max(pool.sent_count, sum(worker.count for worker in workers))
    return pool


def _group_by_hand(
    run: Run, starts: list[dict[str, Any]]
) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Processes of one target that take messages, as pools that nobody has made.

    Their numbers are negative: no probe gave them any.
    """
    groups: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for start in starts:
        if run.tasks.get(start["child"]):
            groups[start["pid"], start["target"]].append(start)
    return [
        (_facts_by_hand(-number, started), started)
        for number, started in enumerate(groups.values(), 1)
    ]


def _facts_by_hand(number: int, starts: list[dict[str, Any]]) -> dict[str, Any]:
    first = starts[0]
    return {
        "id": number,
        "kind": HAND_MADE,
        "slots": len(starts),
        "began": first["began"],
        "ended": first["began"],
        "method": first["method"],
        "initializer": None,
        "max_tasks": None,
        "place": first["place"],
        "pid": first["pid"],
        "target": first["target"],
    }


def _last_number(records: list[Send] | list[Result]) -> int:
    return records[-1].number if records else 0


def _beat(run: Run, pool: int, probe: int) -> int:
    counts = (beat.seen for beat in run.beats if beat.pool == pool and beat.probe == probe)
    return max(counts, default=0)


def _region(pool: PoolRecords) -> tuple[int, int]:
    """Region from the pool's making (a lazy one's first worker) to the last handled result."""
    began = pool.facts["began"]
    if pool.is_lazy:
        began = min((w.launching for w in pool.workers if w.launching), default=began)
    handled = [result.handled for result in pool.results]
    done = [worker.end for worker in pool.workers if worker.count]
    ended = max(handled + done, default=0)
    if not ended:  # nothing was done at all: until the pool was told to end, or workers died
        ends = [event["ended"] for event in pool.ends]
        ended = max([pool.facts["ended"], *(worker.exited for worker in pool.workers), *ends])
    return began, max(began, ended)


def _process_worker(
    run: Run,
    start: dict[str, Any],
    read: dict[tuple[int, int], Result],
    exits: dict[int, int],
) -> WorkerRecords:
    pid = start["child"]
    tasks = sorted((_complete(task, read) for task in run.tasks.get(pid, [])), key=lambda t: t.get)
    life, last = run.lives.get(pid), run.last_gets.get(pid)
    beat = max((b for b in run.beats if b.pid == pid and not b.pool), default=None)
    count = max(tasks[-1].number if tasks else 0, beat.seen if beat else 0)
    dark_until = beat.at if beat and (not tasks or beat.at > tasks[-1].sent) else 0
    ready = life.ready if life else 0
    first = tasks[0].get if tasks else last[0] if last else 0
    interpreter = next((e["started"] for e in run.of("interpreter") if e["pid"] == pid), 0)
    return WorkerRecords(
        pid=pid,
        launching=start["began"],
        launched=start["ended"],
        booted=life.booted if life else 0,
        ready=ready,
        interpreter=interpreter,
        tasks=tasks,
        first_get=first or ready,
        last_get=last[0] if last else 0,
        count=count,
        dark_until=min(dark_until, last[0]) if last and dark_until else dark_until,
        opened_at=beat.opened_at if beat else 0,
        exited=exits.get(pid, 0),
        imported_bytes=imported_bytes(run, pid),
    )


def imported_bytes(run: Run, pid: int | None) -> int | None:
    """Memory that a fresh interpreter took for imports before its first task; None: not seen."""
    found: Iterator[int] = (
        event["own_bytes"] for event in run.of("imported") if event["pid"] == pid
    )
    return next(found, None)


def mean_bytes(seen: Iterable[int | None]) -> float | None:
    """Mean of what was seen."""
    sizes = [size for size in seen if size is not None]
    return sum(sizes) / len(sizes) if sizes else None


def _complete(task: Task, read: dict[tuple[int, int], Result]) -> Task:
    """A worker that was ended before it could note the sending: the reader knows when it was."""
    result = read.get((task.job, task.position))
    if task.sent > task.pickling or result is None:
        return task
    sent = max(task.pickling, result.payload)
    return task._replace(sent=sent, result_bytes=result.size)


def _thread_workers(run: Run, number: int) -> list[WorkerRecords]:
    by_thread: dict[int, list[Task]] = defaultdict(list)
    for record in run.thread_tasks.get(number, []):
        by_thread[record.thread].append(_as_task(record))
    beats = {b.thread: b for b in run.beats if b.pool == number and b.probe == recorder.THREAD}
    return [
        _thread_worker(thread, sorted(by_thread[thread], key=lambda t: t.get), beats.get(thread))
        for thread in {**by_thread, **beats}
    ]


def _thread_worker(thread: int, tasks: list[Task], beat: Any) -> WorkerRecords:
    launched = beat.at if beat and not tasks else tasks[0].get if tasks else 0
    count = max(tasks[-1].number if tasks else 0, beat.seen if beat else 0)
    is_dark = beat is not None and bool(tasks) and beat.at > tasks[-1].sent
    return WorkerRecords(
        pid=thread,
        launching=launched,
        launched=launched,
        booted=launched,
        ready=launched,
        interpreter=0,
        tasks=tasks,
        first_get=launched,
        last_get=0,
        count=count,
        dark_until=beat.at if is_dark else 0,
    )


def _as_task(record: ThreadTask) -> Task:
    """A thread's task as a process would have it, in which moving the message takes no time."""
    end, began = record.ended, record.began
    return Task(
        record.thread, record.job, record.position, record.items, record.number,
        record.get, began, began, began, began, began, end, end, end, end, end,
        0, 0, record.cpu, record.cpu, record.queued, record.switches, record.queued_before,
        record.process_cpu,
    )  # fmt: skip


def _submissions(records: list[ThreadTask]) -> list[Send]:
    """Handing a task to a thread takes no time: it is there as soon as it is submitted."""
    ordered = sorted(records, key=lambda record: record.submitted or record.began)
    return [_submission(number, record) for number, record in enumerate(ordered, 1)]


def _submission(number: int, record: ThreadTask) -> Send:
    at = record.submitted or record.began
    return Send(
        record.pid, record.pool, record.job, record.position, record.items, number,
        at, at, at, at, 0, 0, at, record.site, record.call,
    )  # fmt: skip
