"""Random programs, run on the standard pools and on ours, and compared; see `programs.py`."""
