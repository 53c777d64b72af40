"""Following gevent's greenlets, in processes of their own."""

from __future__ import annotations

import pytest

from tests.support.child import run

PATCH = "from gevent import monkey; monkey.patch_all()\n"
IMPORT = """
import gevent
from tests.support.recorder import Recorder
recorder = Recorder()
pyroscope.add_thread_tag, pyroscope.remove_thread_tag = recorder.add, recorder.remove

from opentelemetry import context as otel_context
from opentelemetry.sdk.trace import TracerProvider
from pyroscope_otel.link import failure
from pyroscope_otel import following
from pyroscope_otel.link.state import STATE
from pyroscope_otel.link.processor import PyroscopeSpanProcessor
failure.reraise = True
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(PyroscopeSpanProcessor())
tracer = provider.get_tracer("tests")

def now():
    labels = recorder.now()
    assert set(labels) in (set(), {"span_id", "span_name"}), labels
    return labels.get("span_name")
"""
END = """
assert recorder.wrong == [], recorder.wrong
assert recorder.left_behind() == {}, recorder.left_behind()
print("done")
"""

INTERLEAVED = """
def serve(name):
    assert now() is None
    for _ in range(3):
        with tracer.start_as_current_span(name):
            gevent.sleep(0)
            assert now() == name
            with tracer.start_as_current_span("child"):
                time.sleep(0.001)
                assert now() == name
        assert now() is None

def hub():
    # A callback of the loop, in the hub's own greenlet.
    in_hub.append(now())
    if not all(each.ready() for each in serving):
        gevent.get_hub().loop.run_callback(hub)

in_hub = []
serving = [gevent.spawn(serve, f"request {number}") for number in range(5)]
gevent.get_hub().loop.run_callback(hub)
gevent.joinall(serving, raise_error=True)
assert len(in_hub) > 3 and set(in_hub) == {None}, in_hub
"""

CHILDREN = """
def child(seen):
    seen.append(now())
    gevent.sleep(0)
    seen.append(now())
    return now()

seen = []
with tracer.start_as_current_span("root"):
    gevent.spawn(child, seen).join()
    assert now() == "root"
    gevent.spawn_later(0.001, child, seen).join()
    assert now() == "root"
    thread = threading.Thread(target=child, args=(seen,))
    thread.start()
    thread.join()
    assert now() == "root"
    seen.append(gevent.get_hub().threadpool.apply(now))
    assert now() == "root"
assert seen == [None] * 7, seen
# Greenlets that start a span belong to it.
def traced():
    with tracer.start_as_current_span("own"):
        gevent.sleep(0)
        return now()
with tracer.start_as_current_span("root"):
    assert gevent.spawn(traced).get() == "own"
    assert now() == "root"
"""

IN_A_POOL_THREAD = """
from gevent import monkey
sleep = monkey.get_original("time", "sleep")

def job():
    # A job of the pool is a greenlet of an OS thread without a running hub.
    with tracer.start_as_current_span("job"):
        seen = now()
        # The thread that waits for it may still be on its way into its hub.
        while len(recorder.left_behind()) > 1:
            sleep(0.001)
        return seen, len(recorder.left_behind())

with tracer.start_as_current_span("root"):
    assert gevent.get_hub().threadpool.apply(job) == ("job", 1)
    assert now() == "root"
"""

TWO_HUBS = """
from gevent import monkey
start_new_thread = monkey.get_original("_thread", "start_new_thread")
allocate_lock = monkey.get_original("_thread", "allocate_lock")

def serve(prefix):
    def request(name):
        assert now() is None
        with tracer.start_as_current_span(name):
            for _ in range(10):
                gevent.sleep(0)
                assert now() == name, (now(), name)
        seen.append(name)
    requests = [gevent.spawn(request, f"{prefix} {number}") for number in range(5)]
    gevent.joinall(requests, raise_error=True)
    assert now() is None

def second():
    try:
        serve("second")
        gevent.get_hub().destroy(destroy_loop=True)
    finally:
        done.release()

seen = []
done = allocate_lock()
done.acquire()
# gevent imports modules while it makes a process's first hub, which fails in two
# threads at once.
gevent.get_hub()
gevent.sleep(0)
start_new_thread(second, ())
serve("first")
# The lock is not gevent's: this hub must go on, as the other may need it.
while not done.acquire(False):
    gevent.sleep(0)
assert len(seen) == 10, seen
"""


@pytest.mark.parametrize("order", [PATCH + IMPORT, IMPORT + PATCH], ids=["before", "after"])
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(INTERLEAVED, id="interleaved, scenario 42"),
        pytest.param(CHILDREN, id="children, scenario 43"),
        pytest.param(IN_A_POOL_THREAD, id="pool thread, scenario 44"),
        pytest.param(TWO_HUBS, id="two hubs, scenario 45"),
    ],
)
def test_gevent(order, case, attribution):
    """Scenarios 42 to 45: gevent patches before or after our import."""
    mode = f"STATE.labels_only = {attribution == 'thread'}\n"
    assert run(order + mode + case + END) == ["done"]


def test_gevent_imported_after_the_processor(attribution):
    """Scenario 44: we hook greenlet when it is imported, and do not import it."""
    mode = f"STATE.labels_only = {attribution == 'thread'}\n"
    late = IMPORT.replace("import gevent\n", "") + "assert 'greenlet' not in sys.modules\n"
    assert run(late + "import gevent\n" + PATCH + mode + INTERLEAVED + END) == ["done"]
