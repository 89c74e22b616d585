"""The call that chooses: predictions, measuring, and what must hold whatever it chooses."""
