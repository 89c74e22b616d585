"""Records of a run as they were written, sorted by pool and worker. Pure, but for reading."""
