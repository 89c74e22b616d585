"""Report of a pool: its account as plain data, which prints itself well."""

from __future__ import annotations

import dataclasses
import os
import sys
from typing import TYPE_CHECKING, TextIO

from poolwise.account import ledger
from poolwise.report import account, html, spans, text, trace
from poolwise.report.blocks import Document

if TYPE_CHECKING:
    from collections.abc import Callable

    from poolwise.report.blocks import Block


class Report(ledger.Report):
    """The account of a pool: :class:`poolwise.account.ledger.Report`, and ways to look at it.

    ``print(report)`` is plain text, :meth:`show` the same in colour where there is a terminal; a
    notebook shows it as HTML by itself; :meth:`save` writes a page, a trace, or the data.
    """

    @classmethod
    def of(cls, account: ledger.Report) -> Report:
        """Wrap an account in these ways to look at it."""
        fields = dataclasses.fields(account)
        return cls(**{field.name: getattr(account, field.name) for field in fields})

    def document(self) -> Document:
        """The report as blocks: one screen of summary, and the details."""
        return make_document(self)

    def show(self, stream: TextIO | None = None, *, is_full: bool = False) -> None:
        """Print the summary, or everything, to a stream (standard output if not given)."""
        text.show(self.document(), stream or sys.stdout, is_full=is_full)

    def to_html(self) -> str:
        """The report as one page that needs no network.

        :raises ExtraMissing: plotly is not installed.
        """
        return html.render(self.document())

    def to_trace(self) -> str:
        """The report as a trace, for https://ui.perfetto.dev."""
        timeline = spans.draw_timeline(self)
        facts = {
            "backend": self.backend,
            "workers": str(self.workers),
            "cpus": str(self.cpus),
            "poolwise": self.poolwise,
            "verdict": " ".join(self.verdict()),
        }
        return trace.render(timeline, spans.list_flows(timeline), spans.count_bytes(self), facts)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the report to a file; its name says how.

        ``.html`` a page, ``.trace.json`` a trace for Perfetto, other ``.json`` the data, which
        ``poolwise report FILE`` reads again, ``.txt`` the text in full.

        :raises ValueError: the name ends in none of these.
        :raises ExtraMissing: a page is wanted and plotly is not installed.
        """
        written = write_as(self, os.fspath(path))
        with open(path, "w", encoding="utf-8") as file:
            file.write(written)

    def __str__(self) -> str:
        return text.render(self.document()).rstrip("\n")

    def __repr__(self) -> str:
        return (
            f"<poolwise report: {self.items:,} items in {self.chunks:,} chunks on {self.workers} "
            f"workers, efficiency {self.laws.efficiency:.2f}>"
        )

    def _repr_html_(self) -> str:
        return html.render_fragment(self.document())


def write_as(report: Report, path: str) -> str:
    """Content of a file of this name; raises as :meth:`Report.save`."""
    writers: dict[str, Callable[[], str]] = {
        ".trace.json": report.to_trace,
        ".html": report.to_html,
        ".json": report.to_json,
        ".txt": lambda: text.render(report.document(), is_full=True),
    }
    for ending, write in writers.items():
        if path.endswith(ending):
            return write()
    message = f"{path!r} does not say what to write: end it in {', '.join(writers)}"
    raise ValueError(message)


def make_document(report: ledger.Report) -> Document:
    """Verdict, bars and what is known of the run; then the charts and tables."""
    summary: list[Block] = [
        account.say_verdict(report),
        account.split_worker_time(report),
        account.compare_lanes(report),
        account.say_identity(report),
    ]
    return Document("A pool's report", summary, _list_details(report), report.to_dict())


def _list_details(report: ledger.Report) -> list[Block]:
    blocks: list[Block] = []
    if report.spans:
        blocks.append(spans.draw_timeline(report))
    if report.factors:
        whole_s = report.worker_seconds + report.not_started_s
        blocks.append(account.list_losses(whole_s, report.factors))
    if report.task_times is not None and report.task_times.count:
        blocks.append(spans.draw_task_times(report.task_times))
    if report.slowest:
        blocks.append(account.list_slowest(report))
    if report.spans:
        blocks.append(spans.draw_bytes(report))
    if report.functions:
        blocks.append(account.list_functions(report))
    blocks += [account.list_entries(report), account.split_parent_time(report)]
    return [*blocks, account.list_laws(report.laws)]
