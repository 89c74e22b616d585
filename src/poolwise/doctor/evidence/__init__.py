"""Evidence: all that a rule may know of a run, and the quantities that rules share. Pure."""
