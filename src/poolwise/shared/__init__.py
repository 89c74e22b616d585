"""Data put down once and seen by every worker: ``poolwise.share()`` and ``Pool(state=...)``.

========================  ========================================================================
``holding.py``            one segment as one process holds it; when it may let go
``arrays.py``             numpy arrays that lie in a segment and pickle as a handle
``objects.py``            anything else: its buffers in a segment, the rest pickled beside them
``preload.py``            what a pool's workers have from their start
========================  ========================================================================
"""
