"""Scenario 13: a scheduler that is not followed comes out as none."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import pyroscope
from recorder import Recorder
recorder = Recorder()
pyroscope.add_thread_tag, pyroscope.remove_thread_tag = recorder.add, recorder.remove
from opentelemetry.sdk.trace import TracerProvider
from pyroscope_otel import PyroscopeSpanProcessor, failure
failure.reraise = True
provider = TracerProvider()
provider.add_span_processor(PyroscopeSpanProcessor())
tracer = provider.get_tracer("tests")

from twisted.internet import defer, reactor, task, threads
on_reactor, in_thread = [], []

@defer.inlineCallbacks
def traced():
    with tracer.start_as_current_span("A"):
        for _ in range(3):
            on_reactor.append(recorder.now())
            yield task.deferLater(reactor, 0)

@defer.inlineCallbacks
def untraced():
    for _ in range(6):
        on_reactor.append(recorder.now())
        yield task.deferLater(reactor, 0)

def job():
    with tracer.start_as_current_span("T"):
        in_thread.append(recorder.now()["span_name"])

def start():
    all_done = defer.gatherResults([traced(), untraced(), threads.deferToThread(job)])
    all_done.addBoth(lambda _: reactor.stop())

reactor.callWhenRunning(start)
reactor.run()
assert on_reactor == [{}] * 9, on_reactor
assert in_thread == ["T"], in_thread
assert recorder.left_behind() == {} and recorder.wrong == []
"""


def test_code_on_the_reactors_thread_belongs_to_none(pytestconfig):
    subprocess.run(
        [sys.executable, "-c", SCRIPT],
        check=True,
        timeout=30,
        cwd=pytestconfig.rootpath / "tests",
    )
