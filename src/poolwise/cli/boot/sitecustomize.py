"""Opens our doors at the start of a program under `poolwise run`, then leaves no trace.

Its folder stands first on the PYTHONPATH of that one interpreter. PYTHONPATH and `sys.path` are
put back before the program can see them: its children are reached without them (`dropin.py`).
"""

import os
import sys

_BOOT = os.path.dirname(__file__)


def _leave() -> None:
    sys.path.remove(_BOOT)
    sys.path_importer_cache.pop(_BOOT, None)
    _, _, users = os.environ.pop("PYTHONPATH").partition(os.pathsep)
    if users:
        os.environ["PYTHONPATH"] = users


def _install() -> None:
    # `poolwise` may have been found in the current folder, which is not on a script's path.
    home = os.path.dirname(os.path.dirname(os.path.dirname(_BOOT)))
    sys.path.insert(0, home)
    try:
        from poolwise.dropin import install
    finally:
        sys.path.remove(home)
    install()


if __name__ == "sitecustomize":
    _leave()
    _install()
    # The user's own, if there is one; if not, `site` expects this very ImportError.
    del sys.modules["sitecustomize"]
    import sitecustomize  # type: ignore[import-not-found] # noqa: F401
