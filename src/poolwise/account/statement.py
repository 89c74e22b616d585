"""Report of a pool from its book: everything in seconds, every part named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from time import perf_counter_ns

from poolwise.account import derive
from poolwise.account.book import (
    CAUSES,
    PARENT_STATES,
    Book,
    EarlyLanes,
    FunctionPage,
    LanePage,
)
from poolwise.account.ledger import (
    ChunkSpan,
    FunctionAccount,
    LaneAccount,
    ParentSpan,
    Report,
    SlowTask,
)
from poolwise.account.states import merge
from poolwise.core.contract import NO_JOB, USER_CODE


def make_report(
    book: Book, counts: dict[str, int], *, version: str, notes: Iterable[str] = ()
) -> Report:
    """The account of a pool until now, or until its end.

    :param counts: of the state: deaths, retries, given_back.
    :param notes: go beside those of the book.
    """
    return _Statement(book).report(counts, version, notes)


class _Statement:
    """One report in the making."""

    def __init__(self, book: Book) -> None:
        book.write_up()
        if not book.ended_ns:
            book.clock.to(book.clock.state)  # a pool at rest has told its clock nothing since
        self._book = book
        self._now_ns = book.ended_ns or perf_counter_ns()
        self._began_ns = book.clock.began_ns
        self._workers = book.workers()
        self._cpus, throttled_ns = book.limits()
        before_ns = book.throttled_before_ns
        self._throttled_s: float | None = None
        if throttled_ns is not None and before_ns is not None:
            self._throttled_s = _s(throttled_ns - before_ns)
        self._parent_ns = book.clock.totals_at(self._now_ns)
        self._lanes = [self._lane(page) for page in [*book.ended_lanes, *book.lanes.values()]]
        if book.early.lanes:
            self._lanes.insert(0, self._early(book.early))

    def report(self, counts: dict[str, int], version: str, notes: Iterable[str]) -> Report:
        book, lanes, functions = self._book, self._lanes, self._functions()
        spans = self._spans()
        account = _add_up(lane.account for lane in lanes)
        idle = _add_up(lane.idle for lane in lanes)
        not_started_s = _s(book.clock.not_started_ns)
        open_states = {**merge(account, idle), "not_started": not_started_s}
        open_states.pop("no_job", None)
        wall_s = _s(self._now_ns - self._began_ns)
        open_s = wall_s - _s(self._parent_ns[NO_JOB])
        longest_s = _s(max((page.longest_ns for page in book.pages.values()), default=0))
        useful_s = account.get("run_cpu", 0.0) + account.get("run_blocked", 0.0)
        return Report(
            backend=book.backend,
            workers=self._workers,
            cpus=self._cpus,
            began_at=book.began_at,
            wall_s=wall_s,
            open_s=open_s,
            level=book.level,
            is_one_clock=book.is_one_clock,
            items=sum(lane.items for lane in lanes),
            chunks=sum(lane.chunks for lane in lanes),
            failed=book.failed,
            deaths=counts.get("deaths", 0),
            retries=counts.get("retries", 0),
            given_back=counts.get("given_back", 0),
            worker_seconds=sum(lane.life_s for lane in lanes),
            worker_account=account,
            idle=idle,
            parent=self._parent(wall_s),
            not_started_s=not_started_s,
            bytes_out=sum(lane.bytes_out for lane in lanes),
            bytes_in=sum(lane.bytes_in for lane in lanes),
            repeated_bytes=self._repeated_bytes(),
            throttled_s=self._throttled_s,
            lanes=tuple(lanes),
            functions=functions,
            task_times=derive.make_distribution(
                _merge(book.pages.values()),
                sum(each.run_s for each in functions),
                longest_s,
                is_exact=book.level == "items",
            ),
            slowest=self._slowest(),
            factors=derive.split_efficiency(open_states),
            laws=derive.make_laws(
                useful_s, open_s, self._workers, self._parent_busy_s(), longest_s
            ),
            spans=spans,
            spans_left_out=max(0, book.all_spans - len(book.spans)),
            parent_spans=self._parent_spans(),
            notes=(*self._notes(), *notes),
            poolwise=version,
        )

    def _repeated_bytes(self) -> int | None:
        if self._book.level == "off":
            return None
        return sum(page.repeated_bytes for page in self._book.pages.values())

    def _at(self, moment_ns: int) -> float:
        """A moment, in seconds since the pool was made."""
        return _s(moment_ns - self._began_ns)

    def _lane(self, page: LanePage) -> LaneAccount:
        entries, idle = page.account(self._now_ns, self._book.clock)
        return LaneAccount(
            lane=page.lane,
            name=page.name,
            pid=page.pid,
            born_s=self._at(page.born_ns),
            ready_s=self._at(page.ready_ns) if page.ready_ns else None,
            ended_s=self._at(page.ended_ns) if page.ended_ns else None,
            life_s=_s((page.ended_ns or self._now_ns) - page.born_ns),
            account={name: _s(ns) for name, ns in entries.items()},
            idle=_name_causes(idle),
            items=page.items,
            chunks=page.chunks,
            bytes_out=page.bytes_out,
            bytes_in=page.bytes_in,
        )

    def _early(self, early: EarlyLanes) -> LaneAccount:
        return LaneAccount(
            lane=0,
            name=f"{early.lanes} earlier workers",
            pid=None,
            born_s=self._at(early.first_ns),
            ready_s=None,
            ended_s=self._at(early.last_ns),
            life_s=_s(early.life_ns),
            account={name: _s(ns) for name, ns in early.entries.items()},
            idle=_name_causes(early.idle),
            items=early.items,
            chunks=early.chunks,
            bytes_out=early.bytes_out,
            bytes_in=early.bytes_in,
            lanes=early.lanes,
        )

    def _functions(self) -> tuple[FunctionAccount, ...]:
        pages = [page for page in self._book.pages.values() if page.items]
        pages.sort(key=lambda page: page.run_ns, reverse=True)
        return tuple(_function(page, self._book.level) for page in pages)

    def _parent(self, wall_s: float) -> dict[str, float]:
        named: dict[str, float] = {}
        for name, ns in zip(PARENT_STATES, self._parent_ns, strict=True):
            named[name] = named.get(name, 0.0) + _s(ns)
        named["unexplained"] = wall_s - sum(named.values())
        return named

    def _parent_busy_s(self) -> float:
        """Time in which the parent did something for its workers."""
        return _s(sum(self._parent_ns[:USER_CODE]))

    def _slowest(self) -> tuple[SlowTask, ...]:
        return tuple(
            SlowTask(function, item, _s(ns), lane, self._at(began_ns))
            for ns, function, item, lane, began_ns in sorted(self._book.slowest, reverse=True)
        )

    def _spans(self) -> tuple[ChunkSpan, ...]:
        pages = list(self._book.pages.values())
        return tuple(self._span(kept, pages[kept[2]]) for kept in self._book.spans)

    def _span(self, kept: Sequence[int], page: FunctionPage) -> ChunkSpan:
        lane, job, _, first, items, *moments, cpu_ns, queued_ns, out, back, cause = kept
        free_s, arrived_s, received_s, begun_s, ended_s, pickled_s, sent_s = map(self._at, moments)
        return ChunkSpan(
            lane=lane,
            job=job,
            function=page.function,
            first=first,
            items=items,
            free_s=free_s,
            arrived_s=arrived_s,
            received_s=received_s,
            begun_s=begun_s,
            ended_s=ended_s,
            pickled_s=pickled_s,
            sent_s=sent_s,
            cpu_s=_s(cpu_ns),
            queued_s=_s(queued_ns),
            bytes_out=out,
            bytes_in=back,
            cause=CAUSES[cause],
            site=page.site,
        )

    def _parent_spans(self) -> tuple[ParentSpan, ...]:
        return tuple(
            ParentSpan(PARENT_STATES[state], self._at(begin_ns), self._at(end_ns))
            for state, begin_ns, end_ns in self._book.clock.stretches
        )

    def _notes(self) -> tuple[str, ...]:
        notes = []
        if self._book.level == "off":
            notes.append("the ledger was off: workers were not asked where their time went")
        if not self._book.is_one_clock:
            notes.append(
                "the processes' clocks cannot be compared here: idle time has no causes, and the "
                "timeline no common origin"
            )
        return tuple(notes)


def _function(page: FunctionPage, level: str) -> FunctionAccount:
    line = derive.fit_line(*page.fit)
    run_s = _s(page.run_ns)
    return FunctionAccount(
        function=page.function,
        site=page.site,
        jobs=page.jobs,
        items=page.items,
        chunks=page.chunks,
        run_s=run_s,
        cpu_s=_s(page.cpu_ns),
        queued_s=_s(page.queued_ns),
        receive_s=_s(page.receive_ns),
        worker_unpickle_s=_s(page.worker_unpickle_ns),
        worker_pickle_s=_s(page.worker_pickle_ns),
        pickle_s=_s(page.pickle_ns),
        unpickle_s=_s(page.unpickle_ns),
        bytes_out=page.bytes_out,
        bytes_in=page.bytes_in,
        repeated_bytes=page.repeated_bytes,
        item_cost_s=None if line is None else _s(line[0]),
        chunk_overhead_s=None if line is None else _s(line[1]),
        task_times=derive.make_distribution(
            page.histogram, run_s, _s(page.longest_ns), is_exact=level == "items"
        ),
    )


def _merge(pages: Iterable[FunctionPage]) -> dict[int, int]:
    merged: dict[int, int] = {}
    for page in pages:
        for step, count in page.histogram.items():
            merged[step] = merged.get(step, 0) + count
    return merged


def _add_up(parts: Iterable[dict[str, float]]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for part in parts:
        for name, value in part.items():
            sums[name] = sums.get(name, 0.0) + value
    return sums


def _name_causes(idle: Sequence[float]) -> dict[str, float]:
    return {name: _s(ns) for name, ns in zip(CAUSES, idle, strict=True) if ns}


def _s(ns: float) -> float:
    return ns / 1e9
