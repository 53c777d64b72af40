"""Posts one body over HTTP within a time limit, with or without proxy and TLS."""

from __future__ import annotations

import http.client
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from urllib.request import (  # type: ignore[attr-defined]
    getproxies_environment,
    proxy_bypass_environment,
)

from pyroscope_otel.relay import wire
from pyroscope_otel.relay.destination import basic_auth

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("Answer", "Route", "Unreachable")

_ANSWER_BYTES = 1024
_PORTS = {"http": 80, "https": 443}


class Unreachable(Exception):  # noqa: N818  reads better where it is raised and caught
    """The server gave no HTTP answer. The message says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A server's answer.

    Attributes:
        status: The HTTP status.
        text: The beginning of the body.
        retry_after: The header `Retry-After`.
        location: The header `Location`.
    """

    status: int
    text: str
    retry_after: str | None
    location: str | None


class Route:
    """The way to a URL, through the proxy that the environment names, if any.

    The proxy comes from `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in upper or
    lower case, as in `urllib`. The CA certificates are the system's, or come from
    `SSL_CERT_FILE` and `SSL_CERT_DIR`.

    Args:
        url: An http or https URL without user and password.

    Raises:
        ValueError: If the proxy is not an HTTP proxy. The message contains no secrets.
        OSError: If the CA certificates cannot be read.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or _PORTS[parts.scheme]
        self._authority = parts.netloc
        self._target = parts.path
        self._context = ssl.create_default_context() if parts.scheme == "https" else None
        self._next = (self._host, self._port)
        self._proxy_headers: dict[str, str] = {}
        self._has_proxy = False
        self._stream: wire.Plain | None = None
        proxies = getproxies_environment()
        proxy = proxies.get(parts.scheme) or proxies.get("all")
        if proxy and not proxy_bypass_environment(self._authority, proxies):
            self._go_through(proxy)
            if self._context is None:
                self._target = url

    def _go_through(self, proxy: str) -> None:
        try:
            parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
            host, port = parts.hostname, parts.port or _PORTS["http"]
        except ValueError:
            host = None
        if not host or parts.scheme != "http":
            # The value is omitted: it may contain a password.
            raise ValueError("the proxy of the environment is no http URL") from None
        self._has_proxy = True
        self._next = (host, port)
        if parts.username is not None:
            self._proxy_headers["Proxy-Authorization"] = basic_auth(
                unquote(parts.username), unquote(parts.password or "")
            )

    def post(self, body: bytes, headers: Mapping[str, str], timeout: float) -> Answer:
        """Post a body.

        Args:
            body: The body.
            headers: Its headers.
            timeout: The total time limit in seconds.

        Raises:
            Unreachable: If no HTTP answer came.
        """
        deadline = time.monotonic() + timeout
        try:
            return self._post(body, headers, deadline)
        except TimeoutError:
            raise Unreachable(f"no answer within {timeout:g} s") from None
        except http.client.RemoteDisconnected:
            raise Unreachable("it closes the connection without an answer") from None
        except ssl.SSLCertVerificationError as error:
            raise Unreachable(f"its certificate is not trusted: {error.verify_message}") from None
        except OSError as error:
            raise Unreachable(error.strerror or type(error).__name__) from None
        except (http.client.HTTPException, ValueError) as error:
            raise Unreachable(f"its answer is not HTTP ({type(error).__name__})") from None

    def _post(self, body: bytes, headers: Mapping[str, str], deadline: float) -> Answer:
        self._stream = stream = wire.Plain(deadline)
        try:
            stream.connect(*self._next)
            if self._context is not None:
                if self._has_proxy:
                    self._open_tunnel(stream)
                stream = wire.Secure(stream, self._context, self._host)
                return self._exchange(stream, body, headers)
            return self._exchange(stream, body, {**headers, **self._proxy_headers})
        finally:
            self.close()

    def close(self) -> None:
        """Close the connection, after its use or in a forked child."""
        if self._stream is not None:
            self._stream.close()

    def _open_tunnel(self, stream: wire.Plain) -> None:
        host = f"[{self._host}]" if ":" in self._host else self._host
        target = f"{host}:{self._port}"
        connection = http.client.HTTPConnection(*self._next)
        connection.sock = stream
        connection.putrequest("CONNECT", target, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": target, **self._proxy_headers}.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = http.client.HTTPResponse(stream, method="CONNECT")  # type: ignore[arg-type]
        response.begin()
        if not 200 <= response.status < 300:  # noqa: PLR2004  HTTP status classes
            raise OSError(0, f"the proxy refused with {response.status}")

    def _exchange(self, stream: wire.Plain, body: bytes, headers: Mapping[str, str]) -> Answer:
        connection = http.client.HTTPConnection(*self._next)
        connection.sock = stream
        connection.putrequest("POST", self._target, skip_host=True, skip_accept_encoding=True)
        ours = {"Content-Length": str(len(body)), "Connection": "close"}
        if not any(name.lower() == "host" for name in headers):
            ours["Host"] = self._authority
        for name, value in {**ours, **headers}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        response = http.client.HTTPResponse(stream, method="POST")  # type: ignore[arg-type]
        response.begin()
        return Answer(
            status=response.status,
            text=response.read(_ANSWER_BYTES).decode(errors="replace"),
            retry_after=response.headers["Retry-After"],
            location=response.headers["Location"],
        )
