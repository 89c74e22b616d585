"""The part that runs inside the observed program.

Nothing else in poolwise imports it; it imports only the standard library.

This folder stands first on the program's PYTHONPATH, so that each of its interpreters runs
`sitecustomize`, which attaches the package `_poolwise_observer`. The package's modules import
each other relatively: to the program they are `_poolwise_observer.x`, to type checkers and tests
`poolwise.doctor.boot._poolwise_observer.x`.

House rules of this folder, each paid for:

- Beside, not around: probes sit on queues, connections and result objects, never around the
  user's function or on the path of the user's exceptions. Tracebacks stay as they are.
- No `from __future__`, no `typing`, nothing that loads modules: a start costs what it imports,
  and the set of loaded modules is part of the program's behaviour.
- A probe that fails is dropped and noted; the program goes on without it.
- No signal handler, thread, process or atexit work is needed: records are in shared pages before
  the message they describe leaves, so that `Pool.terminate()` and SIGKILL lose nothing.
"""
