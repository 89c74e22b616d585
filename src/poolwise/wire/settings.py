"""Numbers that the environment may set, for a program and all its workers."""

from __future__ import annotations

import os


def setting_bytes(name: str, default: int) -> int:
    """The number of bytes that an environment variable names, or the default if it is not set.

    :raises ValueError: it is set to something else than a whole number above zero.
    """
    text = os.environ.get(name)
    if not text:
        return default
    if not text.isdecimal() or not int(text):
        message = f"{name} must be a number of bytes above 0, not {text!r}; unset it for {default}"
        raise ValueError(message)
    return int(text)
