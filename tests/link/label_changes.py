"""Changes a thread's labels by hand, in both modes."""

from __future__ import annotations

import threading

import pytest

from pyroscope_otel.link import thread_labels
from pyroscope_otel.link.marks import LABEL
from pyroscope_otel.link.thread_labels import Labels, this_thread

# With marks a thread has one label. In direct mode it has several, and a sample taken
# between two changes must be right too.
each_mode = pytest.mark.parametrize("attribution", ["stack", "thread"])
each_label = pytest.mark.parametrize(
    ("attribution", "key"), [("stack", LABEL), ("thread", "span_name"), ("thread", "span_id")]
)


def labels_of(*on):
    return Labels(on, on[::-1])


def carry(labels, **options):
    return thread_labels.carry(this_thread(), labels, **options)


ONE = labels_of(("span_name", "one"), ("trace_id", "1" * 32), ("span_id", "1" * 16))
TWO = labels_of(("span_name", "two"), ("span_id", "2" * 16))


def run_in_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()
