"""The real agent pushes to the receiver."""

import subprocess
import sys
import time

from pyroscope_otel.tools.receiver import Receiver

PROGRAM = """
import sys, time
import pyroscope

def burn(until):
    while time.monotonic() < until:
        sum(range(200))

def serve():
    burn(time.monotonic() + 1.5)

assert pyroscope.configure(
    application_name="shop", server_address=sys.argv[1], upload_interval=1, tags={"region": "eu"}
)
pyroscope.add_thread_tag("request", "r1")
serve()
pyroscope.remove_thread_tag("request", "r1")
assert pyroscope.shutdown()
"""


def test_real_agent(tmp_path):
    """Labels, functions and values arrive."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    with Receiver() as receiver:
        start = time.monotonic()
        subprocess.run([sys.executable, program, receiver.url], check=True, timeout=50)
        elapsed = time.monotonic() - start
        profiles = receiver.profiles

    for profile in profiles:
        assert profile.labels["service_name"] == "shop"
        assert profile.labels["region"] == "eu"
        assert profile.labels["__name__"] == "process_cpu"
        assert (profile.sample_type, profile.unit) == ("cpu", "nanoseconds")
        assert 0 < profile.duration_nanos < elapsed * 1e9
        assert abs(profile.time_nanos - time.time_ns()) < 600e9

    samples = [sample for profile in profiles for sample in profile.samples]
    burned = [sample for sample in samples if sample.label("request") == "r1"]
    assert all(sample.label_values("request") == ("r1",) for sample in burned)
    stacks = [[frame.function for frame in sample.stack] for sample in burned]
    assert ["burn", "serve", "<module>"] in stacks  # leaf first
    leaf = next(sample for sample in burned if sample.stack[0].function == "burn").stack[0]
    assert leaf.file.endswith("program.py")
    assert leaf.line in {6, 7}
    # A sample is 10 ms (100 Hz). The sum depends on the load of the machine; its order of
    # magnitude tells nanoseconds from other units.
    assert all(sample.value % 10_000_000 == 0 for sample in burned)
    assert 100_000_000 <= sum(sample.value for sample in burned) <= 2 * elapsed * 1e9
