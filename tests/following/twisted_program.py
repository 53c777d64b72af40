"""A program that runs Twisted's reactor, for `test_twisted_reactor`.

Its arguments are how samples are attributed and which reactor runs. The recorder takes the agent's
place before our package is imported.
"""

# ruff: noqa: E402

from __future__ import annotations

import asyncio
import sys

import pyroscope

from tests.support.recorder import Recorder

recorder = Recorder()
pyroscope.add_thread_tag, pyroscope.remove_thread_tag = recorder.add, recorder.remove

from opentelemetry.sdk.trace import TracerProvider

from pyroscope_otel import PyroscopeSpanProcessor, current_profile_id
from pyroscope_otel.link import failure
from pyroscope_otel.link.state import STATE

failure.reraise = True
STATE.labels_only = sys.argv[1] == "thread"
provider = TracerProvider()
provider.add_span_processor(PyroscopeSpanProcessor())
tracer = provider.get_tracer("tests")

if sys.argv[2] == "asyncio":
    from twisted.internet import asyncioreactor

    asyncioreactor.install()
from twisted.internet import defer, reactor, task, threads

on_reactor, in_thread, ids, done = [], [], [], []


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


async def request(name):
    with tracer.start_as_current_span(name):
        for _ in range(3):
            assert recorder.now()["span_name"] == name
            assert current_profile_id() == recorder.now()["span_id"]
            await asyncio.sleep(0)
    assert recorder.now() == {}
    done.append(name)


def requests():
    return defer.gatherResults(
        defer.Deferred.fromFuture(asyncio.ensure_future(request(name))) for name in "XY"
    )


def start():
    all_done = defer.gatherResults([traced(), untraced(), threads.deferToThread(job)])
    # On asyncio, the loop runs by now, and did not before.
    all_done.addCallback(lambda _: defer.gatherResults([traced(), untraced()]))
    if sys.argv[2] == "asyncio":
        all_done.addCallback(lambda _: requests())
    all_done.addErrback(lambda failure: failure.printTraceback())
    all_done.addBoth(lambda _: reactor.stop())


reactor.callWhenRunning(start)
reactor.run()
assert on_reactor == [{}] * 18, on_reactor
assert ids == [None] * 6, ids
assert in_thread == ["T"], in_thread
assert sorted(done) == (["X", "Y"] if sys.argv[2] == "asyncio" else []), done
assert recorder.left_behind() == {}
assert recorder.wrong == []
