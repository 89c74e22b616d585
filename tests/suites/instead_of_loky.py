"""Runs pytest with our back end by the name of loky's: then joblib's own tests of it test ours.

python instead_of_loky.py ARGUMENTS OF PYTEST
"""

from __future__ import annotations

import sys

import pytest
from joblib.parallel import BACKENDS

from poolwise.integrations.joblib import PoolwiseBackend

if __name__ == "__main__":
    BACKENDS["loky"] = PoolwiseBackend
    sys.exit(pytest.main(sys.argv[1:]))
