"""Every edit that can be derived for a script compiles, runs, and prints what the script prints.

Not only those that the doctor would show: which these are depends on how fast the machine is.
`python -m tests.doctor.newcomer` measures the rest.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from poolwise.doctor.advice import patch, remedies
from poolwise.doctor.evidence.features import Evidence, Pool, Site
from poolwise.doctor.findings import Remedy
from tests.doctor.newcomer.kinds import Kind, copy, list_kinds
from tests.doctor.programs import observe_script

KINDS = list_kinds()
SHARE = 0.1
"""Of the items: enough for every step of a script."""


def run(script: Path) -> tuple[int, str, str]:
    ended = subprocess.run(
        [sys.executable, script.name],
        cwd=script.parent,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return ended.returncode, ended.stdout, ended.stderr if ended.returncode else ""


def list_remedies(seen: Evidence) -> Iterator[Remedy]:
    """All remedies that have edits, whatever they would bring."""
    for pool in seen.pools:
        yield from remedies.use_poolwise(pool, "")
        yield remedies.set_workers(pool, 2, None)
        yield remedies.limit_tasks(pool, 50, "")
        yield remedies.keep_pool(pool, "")
        if pool.is_threads:
            yield remedies.use_processes(pool)
        else:
            yield remedies.use_threads(pool, 8, None)
            yield remedies.limit_threads(pool, "")
        for site in pool.sites:
            yield from _remedies_of(site, pool, seen)


def _remedies_of(site: Site, pool: Pool, seen: Evidence) -> Iterator[Remedy]:
    yield remedies.set_chunksize(site, 3, None)
    yield remedies.use_plain_loop(site, pool, seen, 1.0)
    yield remedies.hand_out_first(pool, "", None)
    yield remedies.stream_input(site, "", 3, None)
    for leaf in site.leaves:
        yield remedies.share(site, leaf, None)
        yield remedies.initialise_once(site, pool, leaf)
        yield from remedies.keep_as_state(site, pool, leaf)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_all_edits_of_a_script_do_what_it_does(kind: Kind, tmp_path):
    if kind.missing or kind.stop_s:
        pytest.skip(f"needs {', '.join(kind.missing)}" if kind.missing else "never ends")
    script = copy(kind, tmp_path, SHARE)
    before = run(script)
    assert before[0] == kind.exit_code
    _, seen = observe_script(tmp_path, str(script))
    tried = set()
    for remedy in list_remedies(seen):
        text = patch.new_text(remedy.changes, str(script)) if remedy.changes else None
        assert text or not remedy.changes, remedy
        if text and text not in tried:
            tried.add(text)
            edited = tmp_path / "edited.py"
            edited.write_text(text)
            after = run(edited)
            assert after[0] == before[0], f"{patch.show(remedy.changes)}\n{after[2]}"
            assert kind.is_random or after[1] == before[1], patch.show(remedy.changes)
    assert tried or all(pool.kind == "hand-made" for pool in seen.pools)


def test_every_script_says_what_is_expected():
    assert all(kind.headlines for kind in KINDS)
    assert all(kind.first or kind.headlines[0] == "HEALTHY" for kind in KINDS)
