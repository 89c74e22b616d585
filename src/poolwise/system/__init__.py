"""Facts about this process and its machine: CPUs, limits, descriptors, the end of another process.

Knows nothing of pools. One file a question; what one platform does differently stays in its file.
"""
