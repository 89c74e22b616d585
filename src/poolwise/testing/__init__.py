"""What others can test with: a simulator of the pool, and the exams of its parts."""
