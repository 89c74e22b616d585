"""The doctor: it runs somebody's program unchanged, accounts for every worker-second, says why.

`README.md` in this folder draws the way from a probe to a finding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poolwise.doctor.evidence.features import Evidence


def observe(
    command: Sequence[str], directory: str | None = None, verify_s: float = 0.0
) -> Evidence:
    """Run a program under observation, to its end, and return what was seen.

    The program has our standard input, output and error, and gets the signals that we get.
    `evidence.program.exit_status` is its exit code.

    :param command: the whole command line: `[sys.executable, "script.py", "argument"]`.
    :param directory: where the records are kept; None: in a temporary folder that is removed.
    :param verify_s: seconds of experiments after each of the program's calls, in which the
        program's functions run again; 0: none.
    :raises OSError: the command cannot be started.
    """
    from tempfile import TemporaryDirectory

    from poolwise.doctor.launch.launcher import launch

    if directory is not None:
        launch(command, directory, verify_s=verify_s)
        return replay(directory)
    with TemporaryDirectory(prefix="poolwise-doctor-") as folder:
        launch(command, folder, verify_s=verify_s)
        return replay(folder)


def replay(directory: str) -> Evidence:
    """Return what was seen in an earlier run, from its records.

    :raises UnreadableError: the directory holds no run that this version can read.
    """
    from poolwise.doctor.gather.run import gather
    from poolwise.doctor.records.store import read

    return gather(read(directory))
