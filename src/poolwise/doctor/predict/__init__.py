"""Models of a call: what other chunks, workers or kinds of pool would take. Pure."""
