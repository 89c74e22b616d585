"""`python -m poolwise` is the command `poolwise`."""

import sys

from poolwise.cli import main

if __name__ == "__main__":
    sys.exit(main())
