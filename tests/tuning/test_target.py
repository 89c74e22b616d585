"""Functions and items by name: what is found, and one sentence for what is not."""

from __future__ import annotations

import io
import sys

import pytest

from poolwise.tuning import target
from tests.tuning import functions as work


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_a_function_is_found_by_module_and_by_file(tmp_path, monkeypatch):
    assert target.load_function("tests.tuning.functions:double") is work.double
    assert target.load_function("builtins:str.upper")("a") == "A"
    (tmp_path / "own_tasks.py").write_text("def f(x):\n    return x\n")
    assert target.load_function(f"{tmp_path}/own_tasks.py:f")(3) == 3
    monkeypatch.delitem(sys.modules, "own_tasks")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    assert target.load_function("own_tasks:f")(4) == 4
    monkeypatch.delitem(sys.modules, "own_tasks")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("double", "module:function"),
        (":double", "module:function"),
        ("tests.tuning.functions.double", "perhaps tests.tuning.functions:double"),
        ("tests.tuning.functions:", "module:function"),
        ("no_such_module:f", "no module 'no_such_module'"),
        ("tests.tuning.nothing:f", "no module"),
        ("no_such_file.py:f", "no file"),
        ("tests.tuning.functions:doubl", "there is 'double'"),
        ("tests.tuning.functions:NUMBERS", "cannot be called"),
    ],
)
def test_what_is_no_function_is_said(name, says):
    with pytest.raises(ValueError, match=says):
        target.load_function(name)


@pytest.mark.parametrize("text", ["1 / 0", "import no_such_library", "def f(:"])
def test_a_module_that_does_not_import_is_said_with_its_error(tmp_path, monkeypatch, text):
    (tmp_path / "broken_tasks.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"broken_tasks cannot be imported \(\w+Error: "):
        target.load_function("broken_tasks:f")


def test_items_of_a_module():
    assert target.load_items("tests.tuning.functions:NUMBERS") is work.NUMBERS
    assert next(iter(target.load_items("tests.tuning.functions:endless"))) == 0
    for name, says in (("TOTAL", "holds no items"), ("double", "gives no items")):
        with pytest.raises(ValueError, match=says):
            target.load_items(f"tests.tuning.functions:{name}")


def test_lines_are_items(tmp_path, monkeypatch):
    path = tmp_path / "items.jsonl"
    path.write_text('1\n\n{"a": 2}\n"x"\n')
    assert target.read_lines(str(path)) == [1, {"a": 2}, "x"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("5\n6\n"))
    assert target.read_lines("-") == [5, 6]


def test_a_line_that_is_none_is_named(tmp_path):
    path = tmp_path / "items.jsonl"
    path.write_text("1\n\nx\n")
    with pytest.raises(ValueError, match="line 3: 'x'"):
        target.read_lines(str(path))
    with pytest.raises(ValueError, match="cannot be read"):
        target.read_lines(str(tmp_path / "nowhere"))


def test_files_come_in_order_and_without_folders(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("b.txt", "a.txt", "in/c.txt"):
        (tmp_path / name).write_text("")
    found = target.list_files(f"{tmp_path}/**/*")
    assert [name[len(str(tmp_path)) + 1 :] for name in found] == ["a.txt", "b.txt", "in/c.txt"]
