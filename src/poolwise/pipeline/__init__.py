"""Pipelines: I/O and CPU stages joined by bounded windows.

``pipe.py`` is what users write, ``run.py`` one run of it, ``flow.py`` the stages as they pass items
on, ``threads.py``, ``coroutines.py`` and ``lanes.py`` what runs them, ``steps.py`` what is run.
Light: worker processes load it with ``steps.py``.
"""
