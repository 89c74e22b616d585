"""The doctor: it runs somebody's program unchanged, accounts for every worker-second, says why.

`README.md` in this folder draws the way from a probe to a finding.
"""
