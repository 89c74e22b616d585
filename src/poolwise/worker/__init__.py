"""Worker process: receive a chunk, run it, reply. Stays light: a fresh worker loads it."""
