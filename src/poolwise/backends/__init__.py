"""Back ends, which make lanes. Each answers the five verbs of ``core.contract.Backend``."""
