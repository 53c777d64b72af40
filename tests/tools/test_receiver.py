"""The receiver's answers to good and bad pushes, over real sockets."""

import gzip
import io
import queue
import socket
import threading

import pytest

from pyroscope_otel.tools.receiver import Receiver
from tests.pprof.test_pushes import BOMBS, DANGLING, MALFORMED, damaged
from tests.support.pushes import HEADERS, PATH, body, connect, exchange, pprof, push, read_all, send
from tests.tools.raw_pushes import GOOD, MEBIBYTE, assert_alive, head, reset, status


@pytest.fixture(scope="module")
def running():
    """Run one receiver for all tests of this file: if a test breaks it, later tests fail."""
    with Receiver(max_push_bytes=MEBIBYTE, max_body_bytes=MEBIBYTE) as running:
        yield running


@pytest.fixture
def receiver(running):
    """Return the receiver, emptied; after the test it must still accept a push."""
    running._profiles.clear()
    yield running
    assert_alive(running)


# Accepted


def test_good_push_is_answered_and_collected(receiver):
    code, headers, answer = send(receiver.url, GOOD)
    assert (code, answer) == (200, b"")
    assert headers["Content-Type"] == "application/proto"
    (profile,) = receiver.profiles
    assert profile.samples[0].label("request") == "r1"


@pytest.mark.parametrize(
    "content_type", ["application/x-protobuf", "Application/Proto", "application/proto; charset=x"]
)
def test_content_types(receiver, content_type):
    assert send(receiver.url, GOOD, headers={**HEADERS, "Content-Type": content_type})[0] == 200


@pytest.mark.parametrize("encoding", [{}, {"Content-Encoding": "identity"}])
def test_body_without_gzip(receiver, encoding):
    headers = {"Content-Type": "application/proto", **encoding}
    assert send(receiver.url, push().SerializeToString(), headers=headers)[0] == 200


def test_gzip_with_a_file_name():
    buffer = io.BytesIO()
    with gzip.GzipFile("push", "wb", fileobj=buffer) as file:
        file.write(push().SerializeToString())
    with Receiver() as receiver:
        assert send(receiver.url, buffer.getvalue())[0] == 200


def test_query_is_ignored(receiver):
    assert send(receiver.url, GOOD, path=f"{PATH}?name=shop")[0] == 200


def test_largest_body():
    with Receiver(max_body_bytes=len(GOOD)) as receiver:
        assert send(receiver.url, GOOD)[0] == 200
        assert send(receiver.url, GOOD + b"x")[0] == 413
        assert_alive(receiver)


def test_callable_gets_each_push():
    pushes = []
    with Receiver(pushes.append) as receiver:
        send(receiver.url, GOOD)
        send(receiver.url, body(pprof(), pprof()))
        assert receiver.profiles == []
    assert [len(profiles) for profiles in pushes] == [1, 2]


def test_pushes_from_many_threads_all_arrive_and_never_overlap():
    inside, overlap, pushes = threading.Lock(), threading.Event(), []

    def on_profiles(profiles):
        if not inside.acquire(blocking=False):
            overlap.set()
            return
        overlap.wait(timeout=0.02)  # give other threads time to enter
        pushes.append(profiles)
        inside.release()

    with Receiver(on_profiles, max_connections=4) as receiver:
        answers = queue.SimpleQueue()
        threads = [
            threading.Thread(target=lambda: answers.put(send(receiver.url, GOOD)[0]))
            for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [answers.get() for _ in threads] == [200] * 20
    assert len(pushes) == 20
    assert not overlap.is_set()


# Refused


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_push_is_400(receiver, content):
    code, headers, answer = send(receiver.url, content)
    assert code == 400
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.endswith(b"\n")
    assert receiver.profiles == []


@pytest.mark.parametrize("changes", DANGLING.values(), ids=DANGLING.keys())
def test_profile_that_contradicts_itself_is_400(receiver, changes):
    assert send(receiver.url, body(pprof(**changes)))[0] == 400


def test_push_is_taken_whole_or_not_at_all(receiver):
    assert send(receiver.url, body(pprof(), pprof(location=[])))[0] == 400
    assert receiver.profiles == []


@pytest.mark.parametrize("make", BOMBS.values(), ids=BOMBS.keys())
def test_bomb_is_413(receiver, make):
    assert send(receiver.url, make())[0] == 413


def test_protobuf_that_is_not_gzipped_as_claimed_is_400(receiver):
    code, _, answer = send(receiver.url, push().SerializeToString())
    assert (code, answer) == (400, b"the body is not gzip\n")


@pytest.mark.parametrize("content_type", [None, "", "application/json", "text/plain"])
def test_other_content_type_is_415(receiver, content_type):
    answer = exchange(receiver.url, head(length=len(GOOD), **{"Content-Type": content_type}) + GOOD)
    assert status(answer) == 415


@pytest.mark.parametrize("encoding", ["deflate", "zstd", "gzip, gzip"])
def test_other_content_encoding_is_415(receiver, encoding):
    assert send(receiver.url, GOOD, headers={**HEADERS, "Content-Encoding": encoding})[0] == 415


def test_no_length_is_411(receiver):
    assert status(exchange(receiver.url, head())) == 411


def test_chunked_body_is_411(receiver):
    """The answer arrives although the body is never decoded."""
    assert send(receiver.url, iter([b"x" * 100_000] * 5))[0] == 411


def test_chunked_body_with_a_length_as_well_is_411(receiver):
    request = head(length=len(GOOD), **{"Transfer-Encoding": "chunked"}) + GOOD
    assert status(exchange(receiver.url, request)) == 411


@pytest.mark.parametrize("length", ["-1", "+5", "0x10", "1.5", "", "five", "1_0", "5, 5", "\xb2"])
def test_length_that_is_not_a_number_is_400(receiver, length):
    request = f"POST {PATH} HTTP/1.1\r\nContent-Type: application/proto\r\n"
    request += f"Content-Length: {length}\r\n\r\n"
    assert status(exchange(receiver.url, request.encode("latin-1"))) == 400


def test_length_with_thousands_of_leading_zeros(receiver):
    request = head(length=f"{'0' * 6000}{len(GOOD)}") + GOOD
    assert status(exchange(receiver.url, request)) == 200


def test_two_lengths_are_400(receiver):
    request = head(length=len(GOOD)).replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n")
    assert status(exchange(receiver.url, request + GOOD)) == 400


@pytest.mark.parametrize(
    "length",
    [str(MEBIBYTE + 1), "9" * 12, "9" * 6000],
    ids=["just", "much", "more digits than int takes"],
)
def test_large_length_is_413_before_any_body(receiver, length):
    with connect(receiver.url) as connection:
        connection.sendall(head(length=length))
        assert status(read_all(connection)) == 413


def test_refusal_arrives_even_if_the_client_sends_everything_first(receiver):
    request = head(length=4 * MEBIBYTE) + bytes(MEBIBYTE // 2)
    assert status(exchange(receiver.url, request)) == 413


@pytest.mark.parametrize("path", ["/", "/ingest", f"{PATH}/", f"/prefix/{PATH}", "/%00"])
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_unknown_path_is_404(receiver, path, method):
    assert send(receiver.url, GOOD, path=path, method=method)[0] == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_other_method_is_405(receiver, method):
    code, headers, answer = send(receiver.url, None, method=method)
    assert (code, headers["Allow"]) == (405, "POST")
    assert answer == (b"" if method == "HEAD" else b"a push is a POST\n")


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),  # a TLS client
        (b"hello\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 404),
        (b"POST / HTTP/x\r\n\r\n", 400),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"POST / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", 431),
        (b"POST / HTTP/1.1\r\na: " + b"b" * 70_000 + b"\r\n\r\n", 431),
    ],
    ids=[
        "TLS",
        "no HTTP",
        "HTTP/0.9",
        "no version",
        "long request line",
        "many headers",
        "long header",
    ],
)
def test_malformed_request(receiver, request_, expected):
    assert status(exchange(receiver.url, request_)) == expected


def test_connection_without_a_request(receiver):
    with connect(receiver.url):
        pass


def test_body_that_ends_early_is_400(receiver):
    with connect(receiver.url) as connection:
        connection.sendall(head(length=len(GOOD)) + GOOD[:-1])
        connection.shutdown(socket.SHUT_WR)
        answer = read_all(connection)
    assert status(answer) == 400
    assert answer.endswith(f"only {len(GOOD) - 1} of {len(GOOD)} bytes arrived in time\n".encode())


def test_client_that_resets_the_connection(receiver):
    reset(receiver.url)


@pytest.mark.parametrize("gzipped", [True, False])
def test_damaged_pushes_are_200_or_4xx(receiver, gzipped):
    good = GOOD if gzipped else push().SerializeToString()
    headers = HEADERS if gzipped else {"Content-Type": "application/proto"}
    codes = {
        send(receiver.url, content, headers=headers)[0]
        for content in damaged(good, count=250, seed=42)
    }
    assert codes <= {200, 400, 413}
    assert codes >= {200, 400}
