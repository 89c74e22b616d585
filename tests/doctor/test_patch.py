"""Edits put together: hunks, patches, files; those that do not fit or do not compile are left."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from poolwise.doctor.advice import edits, patch
from poolwise.doctor.diagnose import diagnose
from poolwise.doctor.evidence.features import Place
from poolwise.doctor.findings import Change, Remedy
from tests.doctor.made_up import pool, run

LINE = "import poolwise"


def put(tmp_path, text: str) -> str:
    path = tmp_path / "script.py"
    path.write_text(text)
    return str(path)


def swap(file: str, number: int, after: str) -> Change:
    line = Path(file).read_text().split("\n")[number - 1]
    return Change(file, number, [line], [after], [LINE])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import os\nimport sys\n\nP()\n", f"import os\nimport sys\n{LINE}\n\nQ()\n"),
        ('"""Text."""\n\nP()\n', f'"""Text."""\n\n{LINE}\n\nQ()\n'),
        (
            '"""Text."""\nfrom __future__ import annotations\nP()\n',
            f'"""Text."""\nfrom __future__ import annotations\n{LINE}\nQ()\n',
        ),
        ("#!/usr/bin/env python3\nP()\n", f"#!/usr/bin/env python3\n{LINE}\n\nQ()\n"),
        (
            "import os\n\n@os.cache\ndef f():\n    import re\n\nP()\n",
            f"import os\n{LINE}\n\n@os.cache\ndef f():\n    import re\n\nQ()\n",
        ),
        (
            "@cache\ndef f():\n    pass\n\nP()\n",
            f"{LINE}\n\n\n@cache\ndef f():\n    pass\n\nQ()\n",
        ),
        ("from a import (\n    b,\n)\nP()\n", f"from a import (\n    b,\n)\n{LINE}\nQ()\n"),
        ("P()\nimport os\n", f"{LINE}\n\nQ()\nimport os\n"),
    ],
)
def test_an_import_stands_where_imports_stand(before, after, tmp_path):
    file = put(tmp_path, before)
    number = before.split("\n").index("P()") + 1
    assert patch.new_text([swap(file, number, "Q()")], file) == after


def test_an_import_is_a_hunk_of_its_own(tmp_path):
    file = put(tmp_path, "import os\n\nP()\n")
    assert patch.show([swap(file, 3, "Q()")]).split("\n") == [
        "--- script.py:2", f"+{LINE}", "--- script.py:3", "-P()", "+Q()",
    ]  # fmt: skip


def test_two_edits_import_once(tmp_path):
    file = put(tmp_path, "import os\nP()\nP()\n")
    changes = [swap(file, 2, "Q()"), swap(file, 3, "R()")]
    assert patch.new_text(changes, file) == f"import os\n{LINE}\nQ()\nR()\n"


@pytest.mark.parametrize(
    "change",
    [
        Change("", 1, ["P()"], ["Q("]),
        Change("", 1, ["something else"], ["Q()"]),
        Change("", 9, ["P()"], ["Q()"]),
    ],
)
def test_an_edit_that_does_not_work_is_not_kept(change, tmp_path):
    change = dataclasses.replace(change, file=put(tmp_path, "P()\n"))
    assert patch.new_text([change], change.file) is None
    slow = pool({"run_cpu": 0.01, "parent_decide": 2.0}, messages=2000)
    finding = diagnose(run(slow)).findings[0]
    broken = dataclasses.replace(finding, remedies=[Remedy("code", "do it", changes=[change])])
    [kept] = patch.keep_working([broken])
    assert [(each.words, each.changes) for each in kept.remedies] == [("do it", [])]


def test_installed_packages_are_not_edited(tmp_path):
    folder = tmp_path / "site-packages"
    folder.mkdir()
    change = Change(put(folder, "P()\n"), 1, ["P()"], ["Q()"])
    slow = pool({"run_cpu": 0.01, "parent_decide": 2.0}, messages=2000)
    finding = diagnose(run(slow)).findings[0]
    [kept] = patch.keep_working(
        [dataclasses.replace(finding, remedies=[Remedy("code", "do it", changes=[change])])]
    )
    assert kept.remedies[0].changes == []
    assert not patch.is_of_the_program(os.__file__)


def test_edits_of_the_same_line_are_not_made_together(tmp_path):
    file = put(tmp_path, "P()\nP()\n")
    slow = pool({"run_cpu": 0.01, "parent_decide": 2.0}, messages=2000)
    finding = diagnose(run(slow)).findings[0]
    texts = ((1, "Q()"), (1, "R()"), (2, "S()"))
    edits = [
        patch.Prescription(finding, Remedy("code", text, changes=[swap(file, number, text)]))
        for number, text in texts
    ]
    changes, left = patch.without_conflicts(edits)
    assert [each.after for each in changes] == [["Q()"], ["S()"]]
    assert left == [edits[1]]


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
@pytest.mark.parametrize("end", ["", "\n"])
def test_a_patch_can_be_applied(end, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = put(tmp_path, f"import os\n\n\nP(){end}")
    change = swap(file, 4, "Q()")
    written, expected = patch.unified([change]), patch.new_text([change], file)
    subprocess.run(["git", "apply", "-"], input=written, text=True, check=True)
    assert Path(file).read_text() == expected


@pytest.mark.parametrize(
    ("encoding", "end"), [("utf-8", "\r\n"), ("latin-1", "\n"), ("utf-8-sig", "\n")]
)
def test_files_keep_their_encoding_and_line_ends(encoding, end, tmp_path):
    comment = "# coding: latin-1" if encoding == "latin-1" else "# text"
    path = tmp_path / "script.py"
    path.write_bytes(end.join([comment, "import os", "", "P('Grüße')", ""]).encode(encoding))
    change = Change(str(path), 4, ["P('Grüße')"], ["Q('Grüße')"], [LINE])
    assert patch.apply([change]) == [str(path)]
    lines = [comment, "import os", LINE, "", "Q('Grüße')", ""]
    assert path.read_bytes() == end.join(lines).encode(encoding)


def test_lines_that_are_not_edited_keep_their_own_ends(tmp_path):
    path = tmp_path / "script.py"
    path.write_bytes(b"import os\r\nx = 1\nP()")
    patch.apply([Change(str(path), 3, ["P()"], ["Q()"], [])])
    assert path.read_bytes() == b"import os\r\nx = 1\nQ()"


def test_a_script_keeps_its_rights_and_its_link(tmp_path):
    path, link = tmp_path / "script.py", tmp_path / "link.py"
    path.write_text("P()\n")
    path.chmod(0o751)
    link.symlink_to(path)
    patch.apply([Change(str(link), 1, ["P()"], ["Q()"], [])])
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("Q()\n", 0o751)
    assert link.is_symlink()


def test_a_full_disk_leaves_the_script_as_it_was(tmp_path):
    path = tmp_path / "script.py"
    before = "P()\n" + "# text\n" * 2000
    path.write_text(before)
    code = f"""
import resource, signal
from poolwise.doctor.advice import patch
from poolwise.doctor.findings import Change
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
patch.apply([Change({str(path)!r}, 1, ["P()"], ["Q()"], [])])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "OSError" in done.stderr
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_has_changed_is_left_alone(tmp_path):
    file = put(tmp_path, "P()\n")
    change = swap(file, 1, "Q()")
    assert patch.new_text([change], file) is not None
    put(tmp_path, "\nP()\n")
    with pytest.raises(OSError, match="has changed since"):
        patch.apply([change])


def test_lines_are_counted_as_python_does(tmp_path):
    text = "import os\n\x0c\nx = 'a\u2028b'\nwith Pool(2) as p:\n    p.map(f, xs)\n"
    file = put(tmp_path, text)
    change = edits.set_argument(Place(file, 5), "map", "chunksize", "9")
    assert change is not None
    assert patch.new_text([change], file) == text.replace("xs)", "xs, chunksize=9)")
