"""The rows of the layout: whoever is below knows nothing of who is above."""

from __future__ import annotations

from graphlib import TopologicalSorter

from tests.house.tree import (
    FRONT_DOOR,
    OUTSIDE,
    PACKAGE,
    ROWS,
    list_imports,
    list_sources,
    name_of,
    part_of,
)

NEIGHBOURS = [{"core", "wire"}, {"core", "memory"}, {"core", "payloads"}, {"core", "system"}]
"""They do not know each other: decisions are neither bytes nor facts about a machine."""


def test_every_module_stands_in_a_row():
    parts = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in list_sources()}
    assert parts - {"__init__"} <= ROWS.keys() | OUTSIDE


def test_imports_go_down():
    assert [
        line for line, importer, imported in list_walls_crossed() if goes_up(importer, imported)
    ] == []


def test_neighbours_do_not_know_each_other():
    assert [line for line, *pair in list_walls_crossed() if set(pair) in NEIGHBOURS] == []


def test_no_two_folders_know_each_other():
    knows: dict[str, set[str]] = {}
    for _, importer, imported in list_walls_crossed():
        if importer not in {FRONT_DOOR, *OUTSIDE}:
            knows.setdefault(importer, set()).add(imported)
    TopologicalSorter(knows).prepare()  # raises CycleError, which names the circle


def goes_up(importer: str, imported: str) -> bool:
    if importer in {FRONT_DOOR, *OUTSIDE}:
        return False
    if imported == FRONT_DOOR:
        return ROWS[importer] < ROWS["cli"]
    return imported in OUTSIDE or ROWS[imported] > ROWS[importer]


def list_walls_crossed() -> list[tuple[str, str, str]]:
    """Each import from one part of the package into another: where, who, whom."""
    crossed = []
    for path in list_sources():
        importer = part_of(name_of(path))
        for line, module in list_imports(path):
            imported = part_of(module)
            if imported != importer:
                where = f"{path.relative_to(PACKAGE)}:{line} imports {module}"
                crossed.append((where, importer, imported))
    return crossed
