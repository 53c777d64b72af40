"""The agent through the relay, each case in a process of its own."""

import pytest
from child import run

AGENT = """
import types
from pyroscope_otel import failure, relay
from pyroscope_otel.receiver import Receiver
from relay.links import Link

failure.reraise = True
link = Link()

def request(call, *arguments): return call(*arguments)

def mark(number):
    code = request.__code__.replace(co_firstlineno=number, co_filename="<pyroscope-otel>")
    return types.FunctionType(code, {})

def spans(receiver, kind="cpu"):
    # The span names of the samples of `burn`, and how often.
    names = {}
    for profile in receiver.profiles:
        for sample in profile.samples:
            assert not [frame for frame in sample.stack if frame.file == "<pyroscope-otel>"]
            assert sample.label("pyroscope_otel") is None
            if profile.sample_type == kind and "burn" in {frame.function for frame in sample.stack}:
                name = sample.label("span_name")
                names[name] = names.get(name, 0) + 1
    return names
"""

HAPPY = """
from pyroscope import configure
relay.install(link)
with Receiver() as receiver:
    assert relay.state() is None
    assert configure(application_name="shop", server_address=receiver.url, upload_interval=1,
                     mem_enabled=True, cpu_implementation=IMPLEMENTATION)
    assert relay.state().taken == 0
    for number in (1, 2, 3):
        mark(number)(burn, 0.6)
    burn(0.3)
    assert pyroscope.shutdown() is True
    assert relay.state() is None
    print(link.told, sorted(map(str, spans(receiver))))
    kinds = frozenset().union(*(kinds for kinds, _ in link.pushes))
    print(sorted(kinds), {profile.labels["service_name"] for profile in receiver.profiles})
"""


@pytest.mark.parametrize("implementation", ["PySpy", "Stack"])
def test_samples_arrive_with_the_labels_of_their_mark(implementation):
    implementation = f"pyroscope.ProfilerImplementation.{implementation}"
    assert run(AGENT + HAPPY.replace("IMPLEMENTATION", implementation)) == [
        "['started through the relay', 'stopped'] ['GET /1', 'GET /2', 'GET /3', 'None']",
        "['memory', 'process_cpu'] {'shop'}",
    ]
