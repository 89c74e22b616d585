"""Attaches the observer to this interpreter, then makes way for the user's own sitecustomize."""

import os
import sys
import time


def _attach(directory: str, started_ns: int) -> None:
    try:
        import _poolwise_observer  # type: ignore[import-not-found]

        _poolwise_observer.attach(directory, started_ns)
    except Exception as error:
        sys.stderr.write(f"poolwise doctor: could not attach to this process: {error!r}\n")


def _make_way() -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    sys.path_importer_cache.pop(here, None)
    ours = sys.modules.pop("sitecustomize")
    try:
        import sitecustomize  # type: ignore[import-not-found] # noqa: F401
    except ImportError:
        sys.modules["sitecustomize"] = ours  # `site` looks it up once more after the import


if __name__ == "sitecustomize":
    if os.environ.get("POOLWISE_DOCTOR"):
        _attach(os.environ["POOLWISE_DOCTOR"], time.perf_counter_ns())
    _make_way()
