"""An environment without proxies, and a certificate authority."""

import ssl

import pytest
import trustme

from pyroscope_otel.link import failure
from pyroscope_otel.relay import log


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def reported(monkeypatch, caplog):
    """Log each failure instead of raising it."""
    monkeypatch.setattr(failure, "reraise", False)
    monkeypatch.setattr(failure, "_reported", set())
    return caplog


@pytest.fixture
def logged(caplog):
    """Return what the relay has logged, once it logs no more."""
    # The relay of an earlier test may still log something.
    log.wait_until_logged(30)
    caplog.clear()
    caplog.set_level("INFO", logger="pyroscope_otel")

    def lines(count=None):
        log.wait_until_logged(30)
        found = [f"{record.levelname} {record.getMessage()}" for record in caplog.records]
        assert count is None or len(found) == count, found
        return found

    return lines


@pytest.fixture(scope="session")
def authority():
    return trustme.CA()


@pytest.fixture(scope="session")
def tls(authority):
    """Return a server's TLS context, with a certificate for 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@pytest.fixture
def trusted(authority, tmp_path, monkeypatch):
    """Make the system trust the authority."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return path
