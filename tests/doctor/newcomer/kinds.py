"""The scripts, what is expected of the doctor, and its edits applied to a copy."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.doctor.accept import read_fields, split_words

SCRIPTS = Path(__file__).parent / "scripts"

_SIZE = re.compile(r"^ITEMS = ([\d_]+)$", re.MULTILINE)


@dataclass(frozen=True)
class Kind:
    """A script, the headlines and first remedies that are right, and what it needs.

    `stop_s`: Ctrl-C comes after so many seconds, because it would never end. `exit_code` is the
    one that it shall have as it is.
    """

    path: Path
    headlines: tuple[str, ...]
    first: tuple[str, ...]
    needs: tuple[str, ...]
    stop_s: float | None
    exit_code: int
    is_random: bool

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def missing(self) -> list[str]:
        """Packages that are not installed here."""
        return [name for name in self.needs if find_spec(name) is None]


def list_kinds(*names: str) -> list[Kind]:
    """All of them, or those of these names."""
    paths = sorted(SCRIPTS.glob("[!_]*.py"))
    unknown = set(names) - {path.stem for path in paths}
    if unknown:
        message = f"there is no script {', '.join(sorted(unknown))}"
        raise SystemExit(message)
    return [_read(path) for path in paths if not names or path.stem in names]


def _read(path: Path) -> Kind:
    fields = read_fields(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "")
    return Kind(
        path,
        (fields["headline"], *split_words(fields.get("also", ""))),
        tuple(split_words(fields.get("first", ""))),
        tuple(split_words(fields.get("needs", ""))),
        float(fields["stop"]) if "stop" in fields else None,
        int(fields.get("exit", "0")),
        "random" in fields,
    )


def copy(kind: Kind, folder: Path, share: float = 1.0) -> Path:
    """The script in a folder, with that share of its items: what it does is the same."""
    text = kind.path.read_text(encoding="utf-8")
    least = 8
    shorter = _SIZE.sub(
        lambda found: f"ITEMS = {max(least, round(int(found[1]) * share))}", text, count=1
    )
    path = folder / kind.path.name
    path.write_text(text if share == 1.0 else shorter, encoding="utf-8")
    return path
