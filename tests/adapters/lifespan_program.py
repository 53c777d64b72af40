"""A program that serves one request and a lifespan, for `test_asgi_lifespan`.

It ends without exit handlers, and prints what a collector got before the shutdown and after it.
"""

from __future__ import annotations

import http.server
import os
import sys
import threading

from pyroscope_otel.asgi import PyroscopeMiddleware
from tests.support.asgi_server import LIFESPAN, SHUTDOWN, STARTUP, Exchange, run_asyncio
from tests.support.asgi_server import http as http_scope

posts = []


class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        posts.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Collector)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{server.server_port}"


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})


middleware = PyroscopeMiddleware(app, application_name="shop", server_address="http://127.0.0.1:9")


async def main():
    await middleware(http_scope("/"), *Exchange().ends)
    print(len(posts))
    await middleware(dict(LIFESPAN), *Exchange(STARTUP, SHUTDOWN).ends)
    print(len(posts), b"pyroscope.profile.id" in posts[0])
    sys.stdout.flush()
    os._exit(0)


run_asyncio(main)
