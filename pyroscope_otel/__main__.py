"""`python -m pyroscope_otel` runs the command `pyroscope-otel`."""

import sys

from pyroscope_otel.tools.cli import main

if __name__ == "__main__":
    sys.exit(main())
