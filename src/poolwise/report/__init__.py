"""Reports: plain data in; text, HTML and traces out. Decides nothing.

``blocks`` says what can be shown. ``text``, ``html`` and ``trace`` show it. Whoever has something
to say (a pool, the doctor) makes a :class:`~poolwise.report.blocks.Document` of it, and every way
of showing it follows.
"""
