"""Places in a notebook are its cells: the file that their code is named by is a temporary one."""

from __future__ import annotations

import sys
import types

import pytest

import poolwise
from poolwise.doctor.boot._poolwise_observer.probes import sites

CELL = "/tmp/ipykernel_7/31.py"


@pytest.fixture
def notebook(monkeypatch):
    """IPython as far as it is asked."""
    compiler = types.SimpleNamespace(
        format_code_name=lambda name: ("Cell", "In[5]") if name == CELL else None
    )
    shell = types.SimpleNamespace(compile=compiler)
    ipython = types.SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    return ipython


def run_cell(source: str, **names):
    exec(compile(source, CELL, "exec"), names := {"__name__": "__main__", **names})
    return names


@pytest.mark.usefixtures("notebook")
def test_a_report_names_the_cell():
    with poolwise.Pool(1) as pool:
        run_cell("\npool.map(abs, [1])", pool=pool)
        assert [each.site for each in pool.report().functions] == ["cell 5:2"]


@pytest.mark.usefixtures("notebook")
def test_the_doctor_s_probes_name_the_cell():
    names = run_cell("\ndef f(x):\n    return place()\n", place=sites.place)
    assert names["f"](1) == ("cell 5", 3, "f")
    facts = sites.describe_function(names["f"])
    assert facts["function_place"] == ("cell 5", 2, "f")


def test_other_files_keep_their_names(notebook):
    with poolwise.Pool(1) as pool:
        pool.map(abs, [1])
        notebook.get_ipython = lambda: None
        pool.map(abs, [1])
        assert {each.site.partition(":")[0] for each in pool.report().functions} == {
            "test_cells.py"
        }
