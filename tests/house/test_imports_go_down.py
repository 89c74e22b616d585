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

TIDY = {"doctor", "memory", "payloads", "system", "wire"}
MOST_MODULES = 15

DOCTOR = {
    "boot": 0, "evidence": 0, "words": 0,
    "findings": 1, "records": 1,
    "gather": 2, "launch": 2, "notes": 2,
    "predict": 3,
    "advice": 4,
    "rules": 5,
    "diagnose": 6,
    "choose": 7, "render": 7,
}  # fmt: skip
"""Part of the doctor -> its row, as in `ROWS`: from records over evidence and rules to a report."""


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


def test_imports_go_down_in_the_doctor():
    crossed = {
        (name_of(path), imported)
        for path in list_sources()
        if (row := row_in_doctor(name_of(path))) is not None
        for _, imported in list_imports(path)
        if (other := row_in_doctor(imported)) is not None and other > row
    }
    assert crossed == set()


@pytest.mark.parametrize("room", [*sorted(TIDY), *(f"doctor/{part}" for part in DOCTOR)])
def test_a_room_has_few_modules(room):
    if room != "doctor/rules":
        assert len(list((PACKAGE / room).glob("*.py"))) <= MOST_MODULES


def row_in_doctor(module: str) -> int | None:
    """Row of a module of the doctor; None for its door and all others."""
    parts = module.split(".")
    return DOCTOR.get(parts[2]) if parts[1:2] == ["doctor"] and len(parts) > 2 else None


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
