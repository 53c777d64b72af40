"""A forked child has the labels of the thread that forked, and no other threads and no agent."""

import pytest

from tests.support.child import run

FORK = """
import traceback
from tests.support.recorder import Recorder

recorder = Recorder()

def configure(**_):
    # As the agent: it starts again in a forked child, and never beside a running one.
    if recorder.running:
        return False
    recorder.start()
    from pyroscope_otel.setup.uploads import UPLOADS
    UPLOADS.agent_started(["process_cpu"])
    return True

pyroscope.add_thread_tag, pyroscope.remove_thread_tag = recorder.add, recorder.remove
pyroscope.configure = configure

from opentelemetry import context as otel_context, trace
from opentelemetry.sdk.trace import TracerProvider
from pyroscope_otel.link import failure, thread_labels
from pyroscope_otel.link.processor import PyroscopeSpanProcessor
failure.reraise = True
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(PyroscopeSpanProcessor())
tracer = provider.get_tracer("tests")

def now():
    return recorder.now().get("span_name")

def in_child(check, agent_is_there=False):
    # Fork, check in the child, and return the result.
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if not agent_is_there:
                recorder.stop()
            check()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

class Labelled(threading.Thread):
    # A thread inside a root span, until the test lets it go on.
    def __init__(self, name):
        super().__init__(name=name)
        self.inside, self.go_on = threading.Event(), threading.Event()

    def run(self):
        with tracer.start_as_current_span(self.name):
            self.inside.set()
            self.go_on.wait()

    def __enter__(self):
        self.start()
        self.inside.wait()

    def __exit__(self, *_):
        self.go_on.set()
        self.join()
"""

CURRENT_ROOT = """
def check():
    # The parent's agent does not run there.
    assert now() is None
    with tracer.start_as_current_span("child"):
        assert now() is None
    recorder.log.clear()
    # The child's own agent gets the labels of the current root span alone.
    pyroscope.configure()
    assert recorder.log == []
    with tracer.start_as_current_span("child"):
        assert now() == "root"
        assert set(recorder.on_thread) == {threading.get_ident()}
    assert now() == "root"
    assert {key for _, key, _ in recorder.log} == {"pyroscope_otel"}
    otel_context.attach(otel_context.Context())
    assert recorder.left_behind() == {}

with Labelled("other"), tracer.start_as_current_span("root"):
    assert now() == "root"
    assert in_child(check) == 0
    assert now() == "root"
assert recorder.wrong == [] and recorder.left_behind() == {}
print("done")
"""

# No thread removes the labels of the other threads: the thread that held the
# agent's lock during the fork is gone too.
OTHER_THREADS = """
import gc

def check():
    gc.collect()
    # Before the fork we checked whether an agent runs.
    labels = [one for one in recorder.log if one[2] != "probe"]
    assert labels == before, recorder.log
    assert recorder.wrong == []

with Labelled("one"), Labelled("two"):
    before = list(recorder.log)
    assert len(before) == 2
    assert in_child(check, agent_is_there=True) == 0
assert recorder.wrong == [] and recorder.left_behind() == {}
print("done")
"""

FROM_A_THREAD = """
def check():
    pyroscope.configure()
    with tracer.start_as_current_span("child"):
        assert now() == "worker"
    assert now() == "worker"
    # And its threads have their own labels again.
    seen = []
    def thread():
        with tracer.start_as_current_span("new"):
            seen.append(now())
    new = threading.Thread(target=thread)
    new.start()
    new.join()
    assert seen == ["new"]

def worker():
    with tracer.start_as_current_span("worker"):
        codes.append(in_child(check))

codes = []
with tracer.start_as_current_span("root"):
    thread = threading.Thread(target=worker)
    thread.start()
    thread.join()
    assert now() == "root"
assert codes == [0]
assert recorder.wrong == [] and recorder.left_behind() == {}
print("done")
"""

# A worker of a pre-forking server is forked outside any request.
WORKER = """
def check():
    pyroscope.configure()
    recorder.log.clear()
    for name in ("one", "two"):
        assert now() is None
        with tracer.start_as_current_span(name):
            assert now() == name
    assert recorder.left_behind() == {}
    assert recorder.wrong == []

with tracer.start_as_current_span("at start-up"):
    pass
assert [in_child(check) for _ in range(3)] == [0, 0, 0]
print("done")
"""

# A child that forks while labels change: `busy` is its own thread.
WHILE_CHANGING = """
codes = []

def check():
    pass

def fork(key, value):
    recorder.before_add = None
    pid = os.fork()
    if pid == 0:
        return
    codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

parent = os.getpid()
recorder.before_add = fork
with tracer.start_as_current_span("root"):
    inside = now()
after = now()
if os.getpid() != parent:
    os._exit(0 if (inside, after, recorder.wrong) == ("root", None, []) else 1)
assert (inside, after) == ("root", None)
assert codes == [0]
print("done")
"""


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(CURRENT_ROOT, id="current root"),
        pytest.param(OTHER_THREADS, id="other threads"),
        pytest.param(FROM_A_THREAD, id="from a thread"),
        pytest.param(WORKER, id="worker"),
        pytest.param(WHILE_CHANGING, id="while changing"),
    ],
)
def test_child_has_only_the_current_root(case):
    """Scenario 46: the child has its current root span, and nothing of the other threads."""
    # From 3.12 on Python warns of each fork in a process with threads.
    assert run(FORK + case, python_arguments=["-W", "ignore::DeprecationWarning"]) == ["done"]


REAL_AGENT = """
import faulthandler
from opentelemetry.sdk.trace import TracerProvider
from pyroscope_otel.link.processor import PyroscopeSpanProcessor
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(PyroscopeSpanProcessor())
tracer = provider.get_tracer("tests")

def switch(count):
    for _ in range(count):
        with tracer.start_as_current_span("root"):
            pass

def keep_switching():
    while not stop.is_set():
        switch(100)

assert pyroscope.configure(application_name="shop", server_address="http://127.0.0.1:9")
# The forking thread gets its turn soon, in the middle of whatever the others do.
sys.setswitchinterval(0.0005)
stop = threading.Event()
threads = [threading.Thread(target=keep_switching) for _ in range(4)]
for thread in threads:
    thread.start()
stuck = 0
with tracer.start_as_current_span("forking"):
    for _ in range(100):
        pid = os.fork()
        if pid == 0:
            # A failure names the place where the child is stuck.
            faulthandler.dump_traceback_later(15, file=sys.stdout)
            switch(100)
            os._exit(0)
        end = time.monotonic() + 20
        while not (done := os.waitpid(pid, os.WNOHANG))[0] and time.monotonic() < end:
            time.sleep(0.001)
        if not done[0]:
            stuck += 1
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            break
stop.set()
for thread in threads:
    thread.join()
print(stuck, "stuck")
sys.stdout.flush()
# The agent's exit handler would wait for a server that is not there.
os._exit(0)
"""


def test_fork_does_not_deadlock_with_the_real_agent():
    """Scenario 46: the parent's threads change labels all the time."""
    lines = run(
        REAL_AGENT,
        # A coverage that measures this program has locks and a database of its own.
        env={"COVERAGE_PROCESS_CONFIG": None},
        python_arguments=["-W", "ignore::DeprecationWarning"],
    )
    assert lines == ["0 stuck"]
