"""A server on 127.0.0.1 that answers as a script tells it, and keeps the requests."""

import contextlib
import socket
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Answer:
    """An HTTP answer. Without a status there is none: the connection stays open or breaks."""

    status: int | None = 200
    headers: tuple = ()
    body: bytes = b""
    breaks: bool = False


SILENT = Answer(None)
BROKEN = Answer(None, breaks=True)


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: dict
    body: bytes


class Server:
    """Serves while its `with` block runs.

    Args:
        script: The answers to the first requests, in order: a status or an `Answer`. The
            last answer is for all later requests.
        port: The port; 0 for a free one.
        tls: An SSL context for HTTPS.
    """

    def __init__(self, *script, port=0, tls=None):
        self.script = [one if isinstance(one, Answer) else Answer(one) for one in script or (200,)]
        self.requests = []
        self.changed = threading.Condition()
        self.stopping = threading.Event()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.ours = self
        self._tls = tls
        if tls is not None:
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def port(self):
        return self._server.server_address[1]

    @property
    def url(self):
        return f"http{'' if self._tls is None else 's'}://127.0.0.1:{self.port}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, request):
        """Keep a request, and return the answer to it."""
        with self.changed:
            self.requests.append(request)
            self.changed.notify_all()
            return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    def wait_for(self, count, timeout=30):
        """Return the requests once there are that many."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.requests) >= count, timeout)
            return list(self.requests)

    @property
    def bodies(self):
        with self.changed:
            return [request.body for request in self.requests]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        # A client may disconnect.
        pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _serve(self):
        ours = self.server.ours
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        answer = ours.take(Request(self.command, self.path, dict(self.headers.items()), body))
        if answer.breaks:
            self.close_connection = True
        elif answer.status is None:
            ours.stopping.wait()
            self.close_connection = True
        else:
            self.send_response(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

    def log_message(self, format, *args):  # noqa: A002  its name is given
        pass


@contextlib.contextmanager
def raw_server(serve):
    """Run `serve(connection)` for each connection; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(30)

        def accept():
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    serve(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            # Closing alone does not wake the thread.
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def closed_port():
    """Return a port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@contextlib.contextmanager
def full_port():
    """A port whose queue of connections is full: whoever connects waits."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]
