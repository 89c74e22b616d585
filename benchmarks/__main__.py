"""Measures poolwise beside its peers: ``python -m benchmarks [NAMES...]``; see README.md."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.harness.contest import Result, hold_contest
from benchmarks.harness.machine import machine_facts
from benchmarks.harness.report import print_claim, print_machine, print_summary

if TYPE_CHECKING:
    from benchmarks.harness.model import Claim, Entrant

CLAIMS = (
    "map_identity",
    "chunksize_one",
    "imap_generator",
    "handed_in",
    "busy_parent",
    "submit_then_result",
    "apply_one",
    "leadership",
    "cost_shapes",
    "start_up",
    "import_time",
    "worker_modules",
    "journey",
    "ledger",
    "payload_threshold",
    "array_argument",
    "array_result",
    "past_the_arena",
    "repeated_payload",
    "json_lines",
    "shared_sums",
    "shared_array",
    "peak_memory",
    "unread_results",
    "small_payloads",
    "killed_workers",
    "joblib_backend",
)
_QUICK_ROUNDS = 3

REPORTS = ("tuning",)
"""Tables of their own kind, which are no contest of pools: by name only."""


def main() -> None:
    if sys.argv[1:2] == ["whatif"]:  # measures how far we are off, beside no peer
        import_module("benchmarks.whatif").main(sys.argv[2:])
        return
    parser = _parser()
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in {*CLAIMS, *REPORTS}]
    if unknown:
        parser.error(f"no claim is called {unknown[0]!r}: --list names them")
    if options.names and not options.list and not _print_reports(options):
        return
    wanted = [name for name in options.names if name in CLAIMS] or CLAIMS
    claims = {name: import_module(f"benchmarks.{name}").CLAIM for name in wanted}
    if options.list:
        for name, claim in claims.items():
            print(f"{name:<20} {claim.title}")
        return
    # Children sit in sessions of their own: they are closed on the way out, whatever ends us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    facts = machine_facts()
    print_machine(facts)
    measured = []
    for name, claim in claims.items():
        rounds = options.rounds or (_QUICK_ROUNDS if options.quick else claim.rounds)
        result = hold_contest(name, claim, rounds, lambda entrant: _is_wanted(entrant, options))
        print_claim(name, claim, result, rounds)
        sys.stdout.flush()
        measured.append((name, claim, result))
    print_summary(measured)
    if options.json:
        options.json.write_text(json.dumps(_as_json(facts, measured), indent=1), encoding="utf-8")


def _print_reports(options: argparse.Namespace) -> list[str]:
    """Print those that are asked for; the names of claims that are left."""
    for name in [name for name in options.names if name in REPORTS]:
        import_module(f"benchmarks.{name}").report(options.rounds, is_quick=options.quick)
        options.names.remove(name)
    return options.names  # type: ignore[no-any-return]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="claims to measure; all when none")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="3 rounds, and no peer that takes seconds to start (ray)",
    )
    parser.add_argument("--rounds", type=int, help="instead of each claim's own number")
    parser.add_argument(
        "--peers", nargs="+", help="only entrants whose label begins with one of these"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every value there")
    parser.add_argument("--list", action="store_true", help="name the claims and stop")
    return parser


def _is_wanted(entrant: Entrant, options: argparse.Namespace) -> bool:
    if options.peers:
        return entrant.label.startswith(tuple(options.peers))
    return not (options.quick and entrant.has_daemons)


def _as_json(facts: dict[str, str], measured: list[tuple[str, Claim, Result]]) -> dict[str, object]:
    return {
        "machine": facts,
        "claims": {
            name: {
                "title": claim.title,
                "absent": result.absent,
                "values": [
                    {"entrant": label, "case": case, "rounds": series.values}
                    for (label, case), series in result.series.items()
                ],
            }
            for name, claim, result in measured
        },
    }


if __name__ == "__main__":
    main()
