"""Bytes: frames over pipes, pickling, and the messages between a pool and its workers.

Nothing here knows of jobs, lanes or shared memory.
"""
