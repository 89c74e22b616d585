"""`--verify`: experiments on the calls of the program, in a fork of it."""
