"""Tools to test back ends with: a simulator of the pool, and the exams of its parts."""
