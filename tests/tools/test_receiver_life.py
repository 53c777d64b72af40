"""The receiver's limits of time and connections, and its start and end."""

import itertools
import logging
import queue
import socket
import threading

import pytest

from pyroscope_otel.pprof.pushes import MalformedPush
from pyroscope_otel.tools.receiver import Receiver
from tests.support.pushes import connect, exchange, read_all, send
from tests.tools.raw_pushes import GOOD, MEBIBYTE, assert_alive, head, reset, status

STALLS = {
    "nothing": b"",
    "request line": b"POST /pu",
    "headers": head(length=len(GOOD))[:-2],
    "body": head(length=len(GOOD)) + GOOD[:-1],
    "refused body": head(length=10**9) + GOOD,
}


@pytest.mark.parametrize("sent", STALLS.values(), ids=STALLS.keys())
def test_stalled_client_is_cut_off(sent):
    """It has the only slot and does not close, so only the deadline frees the slot."""
    with Receiver(timeout=0.3, max_connections=1) as receiver, connect(receiver.url) as stalled:
        stalled.sendall(sent)
        assert_alive(receiver)
        answer = read_all(stalled)
    if sent == STALLS["body"]:
        assert status(answer) == 400


def test_client_that_sends_single_bytes_is_cut_off():
    """The deadline is for the whole request; a socket timeout would restart with each byte."""
    with Receiver(timeout=0.5, max_connections=1) as receiver, connect(receiver.url) as slow:
        slow.sendall(head(length=MEBIBYTE))
        slow.settimeout(0.05)
        for _ in range(200):
            try:
                slow.sendall(b"x")
                slow.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                pass
            break
        else:
            pytest.fail("the receiver kept reading")
        assert_alive(receiver)


def test_connections_beyond_the_limit_wait():
    """A refusal would lose the push: the agent does not retry."""
    with Receiver(timeout=60, max_connections=2) as receiver:
        answers = queue.SimpleQueue()
        client = threading.Thread(target=lambda: answers.put(send(receiver.url, GOOD)[0]))
        with connect(receiver.url) as first, connect(receiver.url) as second:
            for connection in (first, second):
                # The first byte of an answer proves that the connection has a slot.
                connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
                assert connection.recv(1)
            client.start()
            client.join(timeout=0.5)
            assert receiver.profiles == []
            assert threads_serving() == 2
        client.join()
        assert answers.get() == 200


def threads_serving():
    return sum("process_request_thread" in thread.name for thread in threading.enumerate())


# Start and end


def test_failing_callable_is_500_and_logged(caplog):
    calls = itertools.count()

    def on_profiles(_profiles):
        if next(calls) == 0:
            raise ZeroDivisionError("the callable failed")

    with Receiver(on_profiles) as receiver:
        assert send(receiver.url, GOOD)[0] == 500
        assert send(receiver.url, GOOD)[0] == 200
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.name == "pyroscope_otel.tools.receiver"
    assert "ZeroDivisionError: the callable failed" in caplog.text


def test_malformed_push_raised_by_the_callable_is_500_too(caplog):
    """An exception of the callable is never the sender's fault."""

    def on_profiles(_profiles):
        raise MalformedPush("the callable failed")

    with Receiver(on_profiles) as receiver:
        assert send(receiver.url, GOOD)[0] == 500
    assert "the callable failed" in caplog.text


def test_nothing_is_written_to_stderr(capfd):
    with Receiver() as receiver:
        send(receiver.url, GOOD)
        send(receiver.url, b"x")
        exchange(receiver.url, b"hello\r\n\r\n")
        reset(receiver.url)
    assert capfd.readouterr() == ("", "")


def test_no_thread_or_socket_is_left_after_the_block():
    """Even if a client stalls in the middle of a push."""
    before = set(threading.enumerate())
    with Receiver(timeout=60) as receiver:
        port = int(receiver.url.rpartition(":")[2])
        stalled = connect(receiver.url)
        stalled.sendall(head(length=5))
        send(receiver.url, GOOD)  # connections are accepted in order, so the stalled one has been
    assert set(threading.enumerate()) <= before
    with stalled:
        assert status(read_all(stalled)) == 400
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_request_in_progress_is_answered_before_the_block_ends():
    entered, leave = threading.Event(), threading.Event()

    def on_profiles(_profiles):
        entered.set()
        leave.wait()

    answers = queue.SimpleQueue()
    with Receiver(on_profiles) as receiver:
        url = receiver.url
        client = threading.Thread(target=lambda: answers.put(send(url, GOOD)[0]))
        client.start()
        entered.wait()
        threading.Timer(0.1, leave.set).start()
    client.join()
    assert answers.get() == 200


def test_exception_in_the_block_propagates_and_the_receiver_stops():
    before = set(threading.enumerate())
    with pytest.raises(ZeroDivisionError), Receiver():
        raise ZeroDivisionError
    assert set(threading.enumerate()) <= before


def test_receiver_can_run_again_but_not_twice():
    receiver = Receiver()
    with receiver:
        send(receiver.url, GOOD)
        with pytest.raises(RuntimeError, match=r"^the receiver is already running$"):
            receiver.__enter__()
        send(receiver.url, GOOD)
    with receiver:
        send(receiver.url, GOOD)
    assert len(receiver.profiles) == 3


def test_url_outside_the_block():
    with pytest.raises(RuntimeError, match=r"^the receiver has an address only inside its with"):
        _ = Receiver().url


def test_port_in_use():
    with Receiver() as receiver:
        port = int(receiver.url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"), Receiver(port=port):
            pass
        assert_alive(receiver)


def test_warning_about_an_address_that_others_can_reach(caplog):
    with Receiver(host="0.0.0.0"):  # noqa: S104 -- the case
        pass
    assert caplog.messages == [
        "The receiver listens on 0.0.0.0, which other machines can reach. It checks no credentials."
    ]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
def test_no_warning_about_a_loopback_address(host, caplog):
    with Receiver(host=host) as receiver:
        assert_alive(receiver)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
