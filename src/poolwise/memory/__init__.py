"""Shared memory: segments of each system, arenas in them, and the link that large data takes.

Below are segments (what the system gives) and mappings (what this process sees of one); above them
an arena (blocks lent and returned), and the link that sends a message with its blocks.
"""
