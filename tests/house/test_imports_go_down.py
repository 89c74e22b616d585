"""The rows of the layout: whoever is below knows nothing of who is above."""

from __future__ import annotations

from collections.abc import Collection
from graphlib import TopologicalSorter

import pytest

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

TIDY = {"memory", "payloads", "system", "wire"}
MOST_MODULES = 15


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


def test_modules_of_a_room_know_each_other_one_way():
    """Also by type: a circle of imports under `TYPE_CHECKING` is a circle to whoever reads it."""
    ours = {name_of(path): path for path in list_sources() if part_of(name_of(path)) in TIDY}
    knows = {name: {module_of(line, ours) for line in list_imports(ours[name])} for name in ours}
    TopologicalSorter({name: knows[name] - {name, ""} for name in knows}).prepare()


@pytest.mark.parametrize("room", sorted(TIDY))
def test_a_room_has_few_modules(room):
    assert len(list((PACKAGE / room).glob("*.py"))) <= MOST_MODULES


def module_of(imported: tuple[int, str], modules: Collection[str]) -> str:
    """The module that an import names, itself or by something in it; "" for another room's."""
    _, name = imported
    within = name.rpartition(".")[0]
    return name if name in modules else within if within in modules else ""


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
