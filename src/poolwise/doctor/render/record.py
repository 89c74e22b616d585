"""The content of `poolwise doctor --json`, as docs/doctor-json.md describes it."""

from __future__ import annotations

from typing import Any

from poolwise.account.plain import to_plain
from poolwise.doctor.diagnose import Diagnosis, answers_by_rule
from poolwise.doctor.evidence.features import Evidence
from poolwise.doctor.evidence.groups import group_pools
from poolwise.doctor.launch.compare import Comparison
from poolwise.doctor.predict.scaling import Scaling


def for_page(record: Any, seen: Evidence) -> Any:
    """Record for a page, with one of the pools that a line made again and again."""
    kept = {group.pool.id for group in group_pools(seen.pools)}
    evidence = record["evidence"]
    pools = [pool for pool in evidence["pools"] if pool["id"] in kept]
    return {**record, "evidence": {**evidence, "pools": pools}}


def to_record(
    seen: Evidence,
    diagnosis: Diagnosis,
    comparison: Comparison | None = None,
    scaling: Scaling | None = None,
) -> dict[str, Any]:
    """Diagnosis and evidence as dicts, lists, numbers and strings."""
    return {
        **to_plain(diagnosis),
        "answers": answers_by_rule(diagnosis),
        "comparison": to_plain(comparison) if comparison else None,
        "scaling": to_plain(scaling) if scaling else None,
        "evidence": to_plain(seen),
    }
