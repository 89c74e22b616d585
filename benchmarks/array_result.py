"""A large array as the result of one call after the other; the worker has made it before."""

from __future__ import annotations

from benchmarks.arrays import claim, give, make_lengths
from benchmarks.harness.model import Target

CLAIM = claim("result", give, make_lengths, Target("joblib", 20, ["8 MB"]))
