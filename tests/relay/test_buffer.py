"""The pushes that wait: their bounds, and which is sent next."""

import time

from pyroscope_otel.relay.buffer import MAX_AGE_SECONDS, Buffer, Push


def pushes(*sizes):
    return [Push(bytes(size), {}) for size in sizes]


def put(buffer, *all_of):
    for push in all_of:
        buffer.put(push)


def test_oldest_push_is_next():
    buffer = Buffer(100)
    first, second = pushes(10, 10)
    put(buffer, first, second)
    assert buffer.next() is first
    assert buffer.waiting() == (2, 20)


def test_failed_push_waits_for_the_others():
    buffer = Buffer(100)
    first, second = pushes(10, 10)
    put(buffer, first, second)
    first.attempts = 1
    assert buffer.next() is second


def test_full_buffer_drops_the_oldest_push():
    buffer = Buffer(100)
    first, second, third, fourth = pushes(40, 40, 20, 70)
    put(buffer, first, second, third)
    assert (buffer.waiting(), buffer.dropped) == ((3, 100), 0)
    buffer.put(fourth)
    assert (buffer.waiting(), buffer.dropped) == ((2, 90), 2)
    assert buffer.next() is third


def test_push_larger_than_the_buffer_is_dropped():
    buffer = Buffer(100)
    put(buffer, *pushes(101))
    assert (buffer.next(), buffer.dropped) == (None, 1)


def test_push_that_is_too_old_is_dropped():
    buffer = Buffer(100)
    old, young = pushes(10, 10)
    old.received = time.monotonic() - MAX_AGE_SECONDS - 1
    put(buffer, old, young)
    assert buffer.next() is young
    assert (buffer.waiting(), buffer.dropped) == ((1, 10), 1)


def test_sent_push_does_not_count_as_dropped():
    buffer = Buffer(100)
    sent, refused = pushes(10, 10)
    put(buffer, sent, refused)
    buffer.remove(sent)
    buffer.remove(refused, dropped=True)
    assert (buffer.waiting(), buffer.dropped) == ((0, 0), 1)


def test_push_dropped_while_it_was_sent_counts_as_sent():
    buffer = Buffer(100)
    put(buffer, *(both := pushes(60, 60)))
    assert buffer.dropped == 1
    buffer.remove(both[0])
    assert (buffer.waiting(), buffer.dropped) == ((1, 60), 0)


def test_push_dropped_while_it_was_refused_counts_once():
    buffer = Buffer(100)
    put(buffer, *(both := pushes(60, 60)))
    buffer.remove(both[0], dropped=True)
    assert buffer.dropped == 1
