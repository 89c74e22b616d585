import pytest

pytest.register_assert_rewrite("poolwise.testing.exam")
