"""Scenario 13: a scheduler that is not followed comes out as none."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import sys
import pyroscope
from recorder import Recorder
recorder = Recorder()
pyroscope.add_thread_tag, pyroscope.remove_thread_tag = recorder.add, recorder.remove
from opentelemetry.sdk.trace import TracerProvider
from pyroscope_otel import PyroscopeSpanProcessor, failure
failure.reraise = True
from pyroscope_otel import current_profile_id
from pyroscope_otel.following.switch import STATE
STATE.labels_only = sys.argv[1] == "thread"
provider = TracerProvider()
provider.add_span_processor(PyroscopeSpanProcessor())
tracer = provider.get_tracer("tests")

from twisted.internet import defer, reactor, task, threads
on_reactor, in_thread, ids = [], [], []

@defer.inlineCallbacks
def traced():
    with tracer.start_as_current_span("A"):
        for _ in range(3):
            on_reactor.append(recorder.now())
            ids.append(current_profile_id())
            yield task.deferLater(reactor, 0)

@defer.inlineCallbacks
def untraced():
    for _ in range(6):
        on_reactor.append(recorder.now())
        yield task.deferLater(reactor, 0)

def job():
    with tracer.start_as_current_span("T"):
        in_thread.append(recorder.now()["span_name"])
        assert current_profile_id() == recorder.now()["span_id"]

def start():
    all_done = defer.gatherResults([traced(), untraced(), threads.deferToThread(job)])
    all_done.addBoth(lambda _: reactor.stop())

reactor.callWhenRunning(start)
reactor.run()
assert on_reactor == [{}] * 9, on_reactor
assert ids == [None] * 3, ids
assert in_thread == ["T"], in_thread
assert recorder.left_behind() == {} and recorder.wrong == []
"""


@pytest.mark.parametrize("attribution", ["stack", "thread"])
def test_code_on_the_reactors_thread_belongs_to_none(pytestconfig, attribution):
    subprocess.run(
        [sys.executable, "-c", SCRIPT, attribution],
        check=True,
        timeout=30,
        cwd=pytestconfig.rootpath / "tests",
    )
