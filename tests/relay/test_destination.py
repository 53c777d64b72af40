"""Where profiles are sent, and with which credentials."""

import base64

import pytest

from pyroscope_otel.relay.destination import Destination


@pytest.mark.parametrize(
    ("address", "push_url"),
    [
        ("http://localhost:4040", "http://localhost:4040/push.v1.PusherService/Push"),
        ("http://localhost:4040/", "http://localhost:4040/push.v1.PusherService/Push"),
        ("https://h/prefix", "https://h/prefix/push.v1.PusherService/Push"),
        ("https://h/a/b//", "https://h/a/b/push.v1.PusherService/Push"),
        ("HTTP://[::1]:4040", "http://[::1]:4040/push.v1.PusherService/Push"),
        (" https://h?x=1#y ", "https://h/push.v1.PusherService/Push"),
        ("https://h/a b/\u00e4%20", "https://h/a%20b/%C3%A4%20/push.v1.PusherService/Push"),
        (
            "https://M\u00fcnchen.example",
            "https://xn--mnchen-3ya.example/push.v1.PusherService/Push",
        ),
        ("https://u:p@h:1/x", "https://h:1/x/push.v1.PusherService/Push"),
    ],
)
def test_pushes_go_below_the_address(address, push_url):
    assert Destination(address).push_url == push_url


@pytest.mark.parametrize(
    "address",
    ["", "localhost:4040", "localhost", "mailto:a@b", "ftp://h", "http://", "http://:4040",
     "http://h:x", "http://h:99999", "http://[::1", "http://a b",
     "http://h\r\nX: y", "http://" + "a" * 64 + "\u00e4.example"],
)  # fmt: skip
def test_other_addresses_are_refused(address):
    with pytest.raises(ValueError, match=r"^the server's address"):
        Destination(address)


def basic(text):
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_basic_authentication():
    destination = Destination("http://h", "us\u00e9r", "pass:word")
    assert destination.headers() == {"Authorization": basic("us\u00e9r:pass:word")}


def test_basic_authentication_from_the_address():
    assert Destination("http://us%40er:p%3Aw@h").headers() == {"Authorization": basic("us@er:p:w")}
    assert Destination("http://user@h").headers() == {"Authorization": basic("user:")}


def test_settings_come_before_the_address():
    headers = Destination("http://a:b@h", "user", "password").headers()
    assert headers == {"Authorization": basic("user:password")}


def test_user_without_a_password_is_ignored():
    """The agent does the same."""
    assert Destination("http://h", "user", "").headers() == {}


def test_tenant_and_headers():
    destination = Destination("http://h", tenant_id="t", http_headers={"X-A": "1"})
    assert destination.headers() == {"X-Scope-OrgID": "t", "X-A": "1"}


def test_header_of_the_application_replaces_ours():
    headers = {"authorization": "Bearer x", "x-scope-orgid": "u"}
    assert Destination("http://h", "a", "b", "t", headers).headers() == headers


def test_framing_headers_are_ignored():
    headers = {"Content-Length": "1", "transfer-encoding": "chunked", "Content-Type": "x"}
    assert Destination("http://h", http_headers=headers).headers() == {}


@pytest.mark.parametrize(
    "headers",
    [{"a b": "c"}, {"": "c"}, {"a": "b\r\nX: y"}, {"a": "b\0"}, {"a": "\u20ac"}, {"a:": ""}],
)
def test_invalid_header_is_refused(headers):
    with pytest.raises(ValueError, match=r"^the header '.*' cannot be sent$") as raised:
        Destination("http://h", http_headers=headers)
    assert "X: y" not in str(raised.value)


def test_repr_has_no_secrets():
    destination = Destination("https://u1:s1@h/x", "u2", "s2", "t", {"X": "s3"})
    assert repr(destination) == "Destination(tenant_id='t', url='https://h/x')"
