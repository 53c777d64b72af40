"""`python -m pyroscope_otel`: the same as the command `pyroscope-otel`."""

import sys

from pyroscope_otel.cli import main

if __name__ == "__main__":
    sys.exit(main())
