"""A large array as an argument, one call after the other; the task only looks at its length."""

from __future__ import annotations

from benchmarks.arrays import claim, length_of, make_arrays
from benchmarks.harness.model import Target

CLAIM = claim("argument", length_of, make_arrays, Target("ray", 5, ["8 MB"]))
