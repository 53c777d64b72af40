"""One body over HTTP: through proxies, over TLS, and to servers that do not answer."""

import _socket
import base64
import contextlib
import gc
import socket
import threading
import time

import pytest

from pyroscope_otel.relay.post import Route, Unreachable
from tests.support.push_server import BROKEN, SILENT, Answer, Server, closed_port, raw_server

BODY = bytes(range(256)) * 1000


def post(url, headers=None, timeout=30):
    return Route(url).post(BODY, headers or {}, timeout)


def test_body_arrives():
    with Server(200) as server:
        answer = post(f"{server.url}/a/b", {"X-A": "1"})
        (request,) = server.requests
    assert answer.status == 200
    assert (request.method, request.target, request.body) == ("POST", "/a/b", BODY)
    assert request.headers == {
        "Host": f"127.0.0.1:{server.port}",
        "Content-Length": str(len(BODY)),
        "Connection": "close",
        "X-A": "1",
    }


def test_host_header_of_the_application_replaces_ours():
    with Server(200) as server:
        post(f"{server.url}/", {"host": "other"})
        assert [v for k, v in server.requests[0].headers.items() if k.lower() == "host"] == [
            "other"
        ]


def test_answer():
    headers = (("Retry-After", "7"), ("Location", "http://h/"))
    with Server(Answer(503, headers, b"no\xff" + b"x" * 5000)) as server:
        answer = post(f"{server.url}/")
    assert (answer.status, answer.retry_after, answer.location) == (503, "7", "http://h/")
    assert answer.text.startswith("no\N{REPLACEMENT CHARACTER}xxx")
    assert len(answer.text) == 1024


def test_redirect_is_an_answer():
    with Server(Answer(307, (("Location", "/elsewhere"),)), 200) as server:
        assert post(f"{server.url}/").status == 307
        assert len(server.requests) == 1


def reason(url, timeout=30, route=Route):
    with pytest.raises(Unreachable) as raised:
        route(url).post(BODY, {}, timeout)
    return str(raised.value)


def test_closed_port():
    assert reason(f"http://127.0.0.1:{closed_port()}/") == "Connection refused"


def test_unknown_host():
    assert reason("http://nobody.invalid/")


def test_silent_server():
    before = time.monotonic()
    with Server(SILENT) as server:
        assert reason(f"{server.url}/", timeout=0.3) == "no answer within 0.3 s"
    assert time.monotonic() - before < 5


def test_server_that_hangs_up():
    with Server(BROKEN) as server:
        assert reason(f"{server.url}/") == "it closes the connection without an answer"


def test_server_that_answers_byte_by_byte_is_too_slow():
    ended = threading.Event()

    def trickle(connection):
        connection.settimeout(30)
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        # It ends when the client hangs up.
        while True:
            connection.sendall(b"X")
            ended.wait(0.02)

    with raw_server(trickle) as port:
        assert reason(f"http://127.0.0.1:{port}/", timeout=0.5) == "no answer within 0.5 s"
        ended.set()


def test_server_that_does_not_read():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        route = Route(f"http://127.0.0.1:{listening.getsockname()[1]}/")
        with pytest.raises(Unreachable, match=r"^no answer within 0\.3 s$"):
            route.post(bytes(2**26), {}, 0.3)


def answering(data):
    def serve(connection):
        connection.recv(10)
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(2**16):
            pass

    return raw_server(serve)


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-x\r\n",
        b"\0" * 100,
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 999,
        b"x" * 99999,
    ],
)
def test_answer_that_is_not_http(data):
    with answering(data) as port:
        assert reason(f"http://127.0.0.1:{port}/").startswith("its answer is not HTTP (")


def test_endless_body_is_not_read():
    with answering(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 10**6) as port:
        assert len(post(f"http://127.0.0.1:{port}/").text) == 1024


def test_silent_address_leaves_time_for_the_next(monkeypatch):
    """As ::1 of localhost may be: the first address gets only its share of the time."""
    with (
        Server(200) as server,
        socket.create_server(("127.0.0.1", 0), backlog=0) as full,
        contextlib.ExitStack() as stack,
    ):
        for _ in range(3):
            # Its queue is then full, and clients wait.
            sock = stack.enter_context(socket.socket())
            sock.settimeout(0)
            with contextlib.suppress(BlockingIOError):
                sock.connect(full.getsockname())

        addresses = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", address)
            for address in (full.getsockname(), ("127.0.0.1", server.port))
        ]
        monkeypatch.setattr(_socket, "getaddrinfo", lambda *_: addresses)
        assert post("http://localhost/", timeout=4).status == 200


class TestHttps:
    @pytest.mark.usefixtures("trusted")
    def test_body_arrives(self, tls):
        with Server(200, tls=tls) as server:
            assert post(f"{server.url}/x").status == 200
            assert server.bodies == [BODY]

    def test_unknown_certificate(self, tls):
        with Server(200, tls=tls) as server:
            assert reason(f"{server.url}/").startswith("its certificate is not trusted: ")
            assert server.requests == []

    @pytest.mark.usefixtures("trusted")
    def test_certificate_of_another_name(self, authority):
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("other.example").configure_cert(context)
        with Server(200, tls=context) as server:
            assert reason(f"{server.url}/").startswith("its certificate is not trusted: ")
            assert server.requests == []

    @pytest.mark.usefixtures("trusted")
    def test_server_without_tls(self):
        with Server(200) as server:
            assert reason(f"{server.url}/".replace("http:", "https:"))

    @pytest.mark.usefixtures("trusted")
    def test_silence_during_the_handshake(self):
        with raw_server(lambda connection: connection.recv(10**6) and connection.recv(1)) as port:
            assert reason(f"https://127.0.0.1:{port}/", timeout=0.3) == "no answer within 0.3 s"

    @pytest.mark.usefixtures("trusted")
    def test_silence_after_the_handshake(self, tls):
        with Server(SILENT, tls=tls) as server:
            assert reason(f"{server.url}/", timeout=0.5) == "no answer within 0.5 s"


class TestProxy:
    URL = "http://profiles.example/push"

    @pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
    def test_http_uses_the_proxy(self, monkeypatch, name):
        with Server(200) as proxy:
            monkeypatch.setenv(name, proxy.url)
            assert post(self.URL).status == 200
            (request,) = proxy.requests
        assert (request.target, request.headers["Host"]) == (self.URL, "profiles.example")
        assert request.body == BODY

    def test_proxy_without_a_scheme(self, monkeypatch):
        with Server(200) as proxy:
            monkeypatch.setenv("http_proxy", f"127.0.0.1:{proxy.port}")
            assert post(self.URL).status == 200

    def test_credentials_of_the_proxy(self, monkeypatch):
        with Server(200) as proxy:
            monkeypatch.setenv("http_proxy", f"http://us%40er:secret@127.0.0.1:{proxy.port}")
            post(self.URL)
            assert proxy.requests[0].headers["Proxy-Authorization"] == (
                "Basic " + base64.b64encode(b"us@er:secret").decode()
            )

    @pytest.mark.parametrize("exempt", ["127.0.0.1", "other,127.0.0.1", "*"])
    def test_no_proxy(self, monkeypatch, exempt):
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
        monkeypatch.setenv("no_proxy", exempt)
        with Server(200) as server:
            assert post(f"{server.url}/").status == 200

    def test_proxy_of_another_scheme_is_not_used(self, monkeypatch):
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{closed_port()}")
        with Server(200) as server:
            assert post(f"{server.url}/").status == 200

    def test_absent_proxy(self, monkeypatch):
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
        with Server(200) as server:
            assert reason(f"{server.url}/") == "Connection refused"
            assert server.requests == []

    @pytest.mark.parametrize(
        "proxy", ["socks5://h:1", "https://user:secret@h", "http://", "http://h:x", "http://[h"]
    )
    def test_unsupported_proxy(self, monkeypatch, proxy):
        monkeypatch.setenv("http_proxy", proxy)
        with pytest.raises(ValueError, match=r"^the proxy of the environment is no") as raised:
            Route(self.URL)
        assert "secret" not in str(raised.value)

    @pytest.mark.usefixtures("trusted")
    def test_https_uses_a_tunnel(self, monkeypatch, tls):
        with Server(200, tls=tls) as server, tunnel(server.port) as (port, heads):
            monkeypatch.setenv("HTTPS_PROXY", f"http://user:secret@127.0.0.1:{port}")
            assert post("https://localhost/x", {"Authorization": "Bearer x"}).status == 200
            (request,) = server.requests
        assert (request.target, request.body) == ("/x", BODY)
        assert "Proxy-Authorization" not in request.headers
        (head,) = heads
        assert head.split("\r\n") == [
            "CONNECT localhost:443 HTTP/1.1",
            "Host: localhost:443",
            "Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=",
        ]

    def test_refused_tunnel(self, monkeypatch):
        with Server(Answer(407, body=b"who are you")) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            assert reason("https://localhost/x") == "the proxy refused with 407"


@contextlib.contextmanager
def tunnel(to):
    """Run a proxy that connects all clients to a port; yield its own port and the requests."""
    heads = []

    def copy(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def serve(connection):
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(1)
        heads.append(head.decode().strip())
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with socket.create_connection(("127.0.0.1", to)) as other:
            back = threading.Thread(target=copy, args=(other, connection))
            back.start()
            copy(connection, other)
            back.join()

    with raw_server(serve) as port:
        yield port, heads


def test_no_connection_is_left_open():
    """An open connection warns, and a warning is an error."""
    with Server(200, 503, BROKEN) as server:
        post(f"{server.url}/")
        post(f"{server.url}/")
        reason(f"{server.url}/")
    gc.collect()
