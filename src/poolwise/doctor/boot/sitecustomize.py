"""Attaches the observer to this interpreter, then makes way for the user's own sitecustomize."""

import os
import sys


def _attach(directory: str) -> None:
    loaded = set(sys.modules)
    try:
        import _poolwise_observer  # type: ignore[import-not-found]

        _poolwise_observer.attach(directory, loaded)
    except Exception as error:
        sys.stderr.write(f"poolwise doctor: could not attach to this process: {error!r}\n")


def _make_way() -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    sys.path_importer_cache.pop(here, None)


if __name__ == "sitecustomize":
    if os.environ.get("POOLWISE_DOCTOR"):
        _attach(os.environ["POOLWISE_DOCTOR"])
    _make_way()
    # The user's own, if there is one; if not, `site` expects this very ImportError.
    del sys.modules["sitecustomize"]
    import sitecustomize  # type: ignore[import-not-found] # noqa: F401
