"""A development server that receives profiles and traces and shows them as flame graphs.

```python
with LocalServer(port=0, otlp_port=0) as server:
    print(server.url)
```

It needs the extra `local`.
"""

from __future__ import annotations

from pyroscope_otel.setup.installing import pip_install

try:
    from pyroscope_otel.tools.serve.server import LocalServer, serve
    from pyroscope_otel.tools.serve.store import ForeignFile
except ImportError as error:
    if (error.name or "").startswith("pyroscope_otel"):
        raise
    raise ImportError(
        f"pyroscope_otel.tools.serve needs the package of {error.name!r}, which is not installed. "
        f"Install it with: {pip_install('local')}"
    ) from error

__all__ = ("ForeignFile", "LocalServer", "serve")
