"""Objects of libraries: how they are pickled, cut into chunks, weighed and kept as they are."""
