"""Where lanes are made. Each answers the five verbs of ``core.contract.Backend``."""
