"""The beginning of programs that start the agent through a relay."""

# `spans` prints the span names of the samples of `burn`, and fails if a mark remains.
PROGRAM = """
import signal, types
from pyroscope_otel import relay
from tests.relay.links import Link

link = Link()

def request(call, *arguments): return call(*arguments)

def mark(number):
    code = request.__code__.replace(co_firstlineno=number, co_filename="<pyroscope-otel>")
    return types.FunctionType(code, {})

def burn_until(condition, mark=lambda function, *arguments: function(*arguments)):
    # Work a little and let no greenlet run, until a condition holds. No library patches this wait.
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        mark(burn, 0.05)
        signal.sigtimedwait([], 0.1)

def configure(address=os.environ.get("SERVER"), **options):
    relay.install(link)
    return pyroscope.configure(**{
        "application_name": "shop", "server_address": address, "upload_interval": 1, **options
    })
"""


def spans(profiles, kind="cpu", function="burn"):
    """Return the span names of the samples that have this function on their stack."""
    names = set()
    for profile in profiles:
        for sample in profile.samples:
            assert not [frame for frame in sample.stack if frame.file == "<pyroscope-otel>"]
            assert sample.label("pyroscope_otel") is None
            if profile.sample_type == kind and function in {f.function for f in sample.stack}:
                names.add(sample.label("span_name"))
    return names
