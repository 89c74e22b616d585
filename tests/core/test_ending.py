"""Before a fork: threads of ours that are importing are waited for."""

from __future__ import annotations

import sys
import threading
from importlib import import_module

from poolwise.core import ending


def test_a_thread_that_imports_is_told_from_one_that_does_not(tmp_path, monkeypatch):
    (tmp_path / "slow_to_import.py").write_text(
        "from tests.core.test_ending import begun, go_on\nbegun.set()\ngo_on.wait(60)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    thread = threading.Thread(target=import_module, args=("slow_to_import",))
    thread.start()
    try:
        assert begun.wait(60)
        assert ending._is_any_importing({thread.ident})
        assert not ending._is_any_importing({threading.get_ident()})
        assert not ending._is_any_importing(set())
    finally:
        go_on.set()
        thread.join()
        sys.modules.pop("slow_to_import", None)


begun, go_on = threading.Event(), threading.Event()
