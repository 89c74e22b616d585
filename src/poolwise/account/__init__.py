"""Account: where every second of the workers and of the parent went."""
