"""A diagnosis as text, page and JSON."""
