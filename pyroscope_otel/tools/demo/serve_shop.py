"""Serves the shop on a socket: `python -m pyroscope_otel.tools.demo.serve_shop DESCRIPTOR`.

It exits when its standard input closes, so it never outlives the demo.
"""

from __future__ import annotations

import socket
import sys
import threading
from typing import TYPE_CHECKING

import uvicorn

from pyroscope_otel.setup import tracing
from pyroscope_otel.setup.findings.exporting import span_processors
from pyroscope_otel.tools.run.inside.held_requests import export_ends

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan


def main() -> int:
    """Serve until standard input closes, and return the exit status."""
    export_ends(_export)
    config = uvicorn.Config(
        "pyroscope_otel.tools.demo.shop:app",
        log_level="error",
        access_log=False,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    threading.Thread(target=_stop_with_input, args=(server,), daemon=True).start()
    with socket.socket(fileno=int(sys.argv[1])) as listening:
        server.run(sockets=[listening])
    return 0 if server.started else 1


def _export(span: ReadableSpan) -> None:
    # The shop's provider exists from the start of the server on.
    for processor in span_processors(tracing.provider_in_use()):
        processor.on_end(span)


def _stop_with_input(server: uvicorn.Server) -> None:
    sys.stdin.read()
    server.should_exit = True


if __name__ == "__main__":
    sys.exit(main())
