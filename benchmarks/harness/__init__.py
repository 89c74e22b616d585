"""What every claim shares: its shape, the child processes it runs in, figures and tables."""
