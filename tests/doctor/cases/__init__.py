"""Programs with a known disease, or none: the acceptance suite of the doctor.

Each file is a program of its own, about a second long, run as `python FILE`. Its docstring ends in
fields that `tests/doctor/accept.py` reads:

:verdict: the finding the doctor must put first (`healthy` and `cannot-tell` are findings too)
:also: findings that are as right, because the disease has two names or two sides
:needs: packages without which the program cannot run
:cpus: the program is bound to so many CPUs
:quota: the program runs in a control group that gets so many CPUs
:exit: the exit code of the program, if it is not 0

`effort.compute` stands for the work where its amount matters: it counts CPU time, so that a busy
machine does not change how much there is. The rest computes something.
"""
