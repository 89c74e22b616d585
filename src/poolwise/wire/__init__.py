"""Bytes: frames, channels, pickling, waiting, and one file per platform primitive.

Nothing here knows of jobs or lanes; see ``core`` for those.
"""
