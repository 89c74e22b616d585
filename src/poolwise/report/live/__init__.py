"""Progress while it happens: a bar in a terminal, lines in a log, a cell in a notebook.

A call is looked at from a thread of its own, a few times a second; the pool never waits for a
display, not even for a terminal that is stopped.
"""
