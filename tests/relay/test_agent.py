"""The real agent, its relay, and a server: each case in its own process."""

import json

import pyroscope
import pytest

from pyroscope_otel.tools.receiver import Receiver
from tests.relay.agents import PROGRAM, spans
from tests.support.child import run
from tests.support.push_server import Server, closed_port


@pytest.fixture
def server():
    with Receiver() as receiver:
        yield receiver


def environment(server, **further):
    return {"SERVER": server.url, **further}


MARKED = """
assert configure(mem_enabled=True, OPTIONS)
keep = []

def use(seconds):
    burn(seconds)
    keep.append(bytearray(10**7))

for number in (1, 2, 3):
    mark(number)(use, 0.3)
use(0.3)
assert pyroscope.shutdown() is True
print(link.told)
"""


SAMPLERS = {"PySpy": "", "Stack": "cpu_implementation=pyroscope.ProfilerImplementation.Stack"}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samples_arrive_with_the_labels_of_their_mark(server, sampler):
    if sampler == "Stack" and not hasattr(pyroscope, "ProfilerImplementation"):
        pytest.skip("this release of the agent has one sampler")
    program = PROGRAM + MARKED.replace("OPTIONS", SAMPLERS[sampler])
    assert run(program, env=environment(server)) == ["['started through the relay', 'stopped']"]
    expected = {"GET /1", "GET /2", "GET /3", None}
    assert spans(server.profiles) == expected
    assert spans(server.profiles, "alloc_space", "use") == expected
    assert {profile.labels["service_name"] for profile in server.profiles} == {"shop"}


LIVE = """
assert configure(mem_enabled=True)
keep = mark(7)(lambda: [bytearray(2**20) for _ in range(50)])
mark(8)(lambda: [bytearray(2**20) for _ in range(50)])
assert pyroscope.shutdown() is True
print(sorted(frozenset().union(*(live for _, live in link.pushes))))
"""


def test_link_gets_the_numbers_of_memory_in_use(server):
    (told,) = run(PROGRAM + LIVE, env=environment(server))
    assert 7 in json.loads(told)


LABELLED = """
assert configure()
for number, label in ((1, "1-5"), (2, "7-6"), (3, "3-0"), (0, "0-4")):
    pyroscope.add_thread_tag("pyroscope_otel", label)
    pyroscope.add_thread_tag("mine", "kept")
    mark(number)(burn) if number else burn()
    pyroscope.remove_thread_tag("pyroscope_otel", label)
assert pyroscope.shutdown() is True
"""


def test_labels_of_the_thread_decide_under_their_mark(server):
    run(PROGRAM + LABELLED, env=environment(server))
    assert spans(server.profiles) >= {"GET /5", "GET /2", None, "GET /4"}
    assert not spans(server.profiles) & {"GET /6", "GET /7"}
    burnt = [
        sample
        for profile in server.profiles
        for sample in profile.samples
        if "burn" in {frame.function for frame in sample.stack}
    ]
    # Not each sample: those taken between the agent's start and the label have none.
    assert {sample.label("mine") for sample in burnt} == {"kept"}


NO_LINES = """
assert configure(line_no=pyroscope.LineNo.NoLine)
mark(7)(burn)
assert pyroscope.shutdown() is True
"""


def test_lines_are_left_out(server):
    run(PROGRAM + NO_LINES, env=environment(server))
    assert spans(server.profiles) == {"GET /7"}
    lines = {f.line for p in server.profiles for s in p.samples for f in s.stack}
    assert lines == {0}


AGAIN = """
for number in (1, 2):
    assert configure()
    assert configure() is False
    mark(number)(burn)
    assert pyroscope.shutdown() is True
    assert pyroscope.shutdown() is False
assert relay.state() is None
"""


def test_agent_starts_again_after_its_end(server):
    run(PROGRAM + AGAIN, env=environment(server))
    assert spans(server.profiles) == {"GET /1", "GET /2"}


PROXY = """
assert configure(mem_enabled=True)
mark(7)(burn)
assert pyroscope.shutdown() is True
"""


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_only_the_relay_uses_the_proxy(name):
    with Server(200) as proxy:
        run(PROGRAM + PROXY, env={"SERVER": "http://profiles.example", name: proxy.url})
        targets = {request.target for request in proxy.requests}
    assert targets == {"http://profiles.example/push.v1.PusherService/Push"}


def test_absent_proxy_does_not_matter_if_the_server_is_exempt(server):
    proxy = f"http://127.0.0.1:{closed_port()}"
    run(
        PROGRAM + PROXY,
        env=environment(server, HTTP_PROXY=proxy, ALL_PROXY=proxy, NO_PROXY="127.0.0.1"),
    )
    assert spans(server.profiles) == {"GET /7"}


SECRETS = """
import io
out = io.StringIO()
logging.basicConfig(stream=out, level=logging.DEBUG)
assert configure(basic_auth_username="user", basic_auth_password="hush1",
                 http_headers={"X-Key": "hush2"})
burn_until(lambda: relay.state().last_answer == "503")
secret = list(relay.agent_start._process.relay.headers.values())[0]
shown = repr(relay.state()) + repr(relay.agent_start._process.relay)
assert pyroscope.shutdown() is True
assert relay.log.wait_until_logged(30)
shown += out.getvalue()
import base64
coded = base64.b64encode(b"user:hush1").decode()
for word in ("hush1", "hush2", "hush3", secret, coded):
    assert word not in shown, word
print("answers 503" in shown)
"""


def test_secrets_are_shown_nowhere():
    with Server(503) as server:
        address = server.url.replace("//", "//other:hush3@")
        assert run(PROGRAM + SECRETS, env={"SERVER": address}) == ["True"]
        assert all("Authorization" in request.headers for request in server.requests)
        assert all("X-Pyroscope-Otel-Secret" not in request.headers for request in server.requests)


OUTAGE = """
logging.basicConfig(stream=sys.stdout, format="%(message)s")
assert configure(enable_logging=False)
burn_until(lambda: relay.state().sent)
assert pyroscope.shutdown() is True
from pyroscope_otel.relay.log import wait_until_logged
assert wait_until_logged(20)
"""


def test_outage_is_two_lines_in_a_default_log():
    """At Python's own level, and with the agent's logging off, as it is by default."""
    with Server(503, 200) as server:
        begin, end = run(PROGRAM + OUTAGE, env={"SERVER": server.url})
    assert begin.startswith(f"Cannot send profiles to {server.url}: it answers 503. ")
    assert end.startswith(f"{server.url} takes profiles again after ")
    assert end.endswith(" s. Nothing was lost")
