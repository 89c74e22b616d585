"""Edits of findings put together: as hunks for people, as a patch, as the new text of a file.

An edit is only shown or applied if the file still reads as it did, and compiles with it.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import io
import os
import re
import sysconfig
import tokenize
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile, zip_longest

from poolwise.doctor.advice.source import parse, read_lines
from poolwise.doctor.findings import Change, Finding, Remedy
from poolwise.report.files import put_whole


@dataclass(frozen=True)
class Prescription:
    """The edit of a finding: that of its first remedy that has one."""

    finding: Finding
    remedy: Remedy

    @property
    def changes(self) -> list[Change]:
        """The edit."""
        return self.remedy.changes


def prescribe(findings: Iterable[Finding]) -> list[Prescription]:
    """The edits of all findings that have one, in their order."""
    found = ((each, first_edit(each.remedies)) for each in findings)
    return [Prescription(each, remedy) for each, remedy in found if remedy is not None]


def first_edit(remedies: Iterable[Remedy]) -> Remedy | None:
    """The first remedy that has an edit."""
    return next((remedy for remedy in remedies if remedy.changes), None)


def keep_working(findings: Iterable[Finding]) -> list[Finding]:
    """Drop edits that do not fit, or with which a file does not compile."""
    return [
        dataclasses.replace(finding, remedies=[_keep_working(each) for each in finding.remedies])
        for finding in findings
    ]


def _keep_working(remedy: Remedy) -> Remedy:
    works = all(
        is_of_the_program(file) and new_text(remedy.changes, file) is not None
        for file in files_of(remedy.changes)
    )
    return remedy if works else dataclasses.replace(remedy, changes=[])


def is_of_the_program(file: str) -> bool:
    """True if a file is nobody else's: an installed package is not edited, but called."""
    of_python = (sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib"))
    folders = {"site-packages", "dist-packages"} & set(file.split(os.sep))
    return not folders and not file.startswith(tuple(of_python))


# -- as text


def show(changes: Sequence[Change]) -> str:
    """Each hunk under its place, without context: a new import is a hunk of its own."""
    return "\n".join(
        "\n".join([f"--- {os.path.basename(each.file)}:{each.line}", *_body(each)])
        for each in _hunks(changes)
    )


def _body(change: Change) -> Iterator[str]:
    before, after = change.before, change.after
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for kind, old, old_end, new, new_end in matcher.get_opcodes():
        if kind == "equal":
            yield from (f" {line}" for line in before[old:old_end])
        else:
            yield from (f"-{line}" for line in before[old:old_end])
            yield from (f"+{line}" for line in after[new:new_end])


def unified(changes: Sequence[Change]) -> str:
    """A patch for `git apply` or `patch -p1`, of files as they are now.

    Names of files are those below the current folder, where they lie there.
    """
    return "".join(_unified(changes, file) for file in files_of(changes))


def _unified(changes: Sequence[Change], file: str) -> str:
    old, new = "\n".join(read_lines(file) or ()), new_text(changes, file)
    if new is None:
        return ""
    name = os.path.relpath(file)
    name = file if name.startswith(os.pardir) else name
    head = (f"a/{name.lstrip('/')}", f"b/{name.lstrip('/')}")
    lines = difflib.unified_diff(_with_ends(old), _with_ends(new), *head, n=3)
    no_end = "\n\\ No newline at end of file\n"
    return "".join(line if line.endswith("\n") else line + no_end for line in lines)


def _with_ends(text: str) -> list[str]:
    *lines, last = text.split("\n")
    return [f"{line}\n" for line in lines] + [last] * bool(last)


def new_text(changes: Sequence[Change], file: str) -> str | None:
    """A file's text with these edits in it; None if they do not fit or it does not compile."""
    lines = read_lines(file)
    if lines is None:
        return None
    text, end = list(lines), len(lines)
    for each in reversed(_hunks(changes, file)):
        first = each.line - 1
        behind = first + len(each.before)
        if behind > end or text[first:behind] != each.before:
            return None  # it overlaps the one below, or the file is another one now
        text[first:behind], end = each.after, first
    joined = "\n".join(text)
    return joined if does_compile(joined, file) else None


def does_compile(text: str, file: str) -> bool:
    """True if this is a Python program."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, file, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True


def files_of(changes: Iterable[Change]) -> list[str]:
    """The files that are edited, in order."""
    return list(dict.fromkeys(each.file for each in changes))


def without_conflicts(
    prescriptions: Iterable[Prescription],
) -> tuple[list[Change], list[Prescription]]:
    """All edits that can be made together, those of earlier findings first; and what is left."""
    made: list[Change] = []
    left: list[Prescription] = []
    for each in prescriptions:
        together = [*made, *(change for change in each.changes if change not in made)]
        if all(new_text(together, file) is not None for file in files_of(together)):
            made = together
        else:
            left.append(each)
    return made, left


# -- on disk


def apply(changes: Sequence[Change]) -> list[str]:
    """Write the edits into their files, whose encoding and line ends stay; the names of these.

    Each file is replaced as a whole or left as it is.

    :raises OSError: a file cannot be written, or is not the one the edit was derived from.
    """
    files = files_of(changes)
    texts = {file: new_text(changes, file) for file in files}
    for file, text in texts.items():
        if text is None or _read_again(file) != "\n".join(read_lines(file) or ()):
            message = f"{file} has changed since its edit was derived: run the doctor again"
            raise OSError(message)
    for file in files:
        put_whole(file, _edited(changes, file))
    return files


def _read_again(file: str) -> str:
    with tokenize.open(file) as stream:
        return stream.read()


def _edited(changes: Sequence[Change], file: str) -> bytes:
    """A file's content with these edits, every other line as it was."""
    with open(file, "rb") as stream:
        content = stream.read()
    encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    old = content.decode(encoding)
    ends = _LINE_END.findall(old)
    usual = max(ends, key=ends.count, default="\n")
    lines = [each + end for each, end in zip_longest(_LINE_END.split(old), ends, fillvalue="")]
    for each in reversed(_hunks(changes, file)):
        first = each.line - 1
        is_at_end = first + len(each.before) == len(lines)
        lines[first : first + len(each.before)] = [f"{line}{usual}" for line in each.after]
        if is_at_end and each.after:
            lines[-1] = each.after[-1]  # the last line had no end, and has none now
    return "".join(lines).encode(encoding)


_LINE_END = re.compile(r"\r\n|\r|\n")


# -- where they go


def _hunks(changes: Sequence[Change], wanted: str | None = None) -> list[Change]:
    """All places to edit, file by file, from top to bottom; new imports are one of their own."""
    found: list[Change] = []
    for file in files_of(changes) if wanted is None else [wanted]:
        here = sorted((each for each in changes if each.file == file), key=lambda each: each.line)
        imports = list(dict.fromkeys(line for each in here for line in each.imports))
        if imports:
            found.append(_import_hunk(file, imports, here[0].line))
        found += here
    return found


def _import_hunk(file: str, imports: list[str], before: int) -> Change:
    """Behind the imports at the top of a module; of one that has none, before its first code."""
    tree = parse(file) or ast.Module([], [])
    top = list(takewhile(lambda node: not isinstance(node, _DEFINITIONS), tree.body))
    known = [node for node in top if isinstance(node, ast.Import | ast.ImportFrom)]
    if known and (known[-1].end_lineno or 0) < before:
        return Change(file, (known[-1].end_lineno or 0) + 1, [], imports)
    first = next((node for node in tree.body if not _stays_first(node)), None)
    line = min([first.lineno, *_lines_of_decorators(first)]) if first else 1
    is_import = isinstance(first, ast.Import | ast.ImportFrom)
    gap = 0 if is_import else 2 if isinstance(first, _DEFINITIONS) else 1
    return Change(file, line, [], [*imports, *[""] * gap])


_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _stays_first(node: ast.stmt) -> bool:
    """A docstring, or `from __future__`, which nothing may stand before."""
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_text or (isinstance(node, ast.ImportFrom) and node.module == "__future__")


def _lines_of_decorators(node: ast.stmt) -> list[int]:
    return [each.lineno for each in getattr(node, "decorator_list", [])]
