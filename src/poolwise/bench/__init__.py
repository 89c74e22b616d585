"""Measurements of this machine for `poolwise bench`, and the history that is kept of them."""
