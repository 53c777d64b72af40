"""All parts of a process's end share one bounded time."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from pyroscope_otel.relay import ending
from pyroscope_otel.relay.ending import SECONDS, Ending, seconds_until
from tests.support.child import PRELUDE
from tests.support.push_server import SILENT, Server


@pytest.fixture
def clock(monkeypatch):
    """Return a function that advances the time."""
    now = [1000.0]
    monkeypatch.setattr(ending.time, "monotonic", lambda: now[0])

    def go_on(seconds):
        now[0] += seconds

    return go_on


def test_each_end_has_the_time_left_by_earlier_ends(clock):
    ends = Ending()
    with ends.step() as deadline:
        assert seconds_until(deadline) == SECONDS
        clock(2)
        assert seconds_until(deadline) == SECONDS - 2
    clock(60)  # Nothing ends in the meantime.
    with ends.step() as deadline:
        assert seconds_until(deadline) == SECONDS - 2
        clock(10)
        assert seconds_until(deadline) == 0
    with ends.step() as deadline:
        assert seconds_until(deadline) == 0


def test_overlapping_ends_count_once(clock):
    ends = Ending()
    with ends.step() as outer:
        clock(1)
        with ends.step() as inner:
            assert inner == outer
            clock(1)
        clock(1)
    with ends.step() as deadline:
        assert seconds_until(deadline) == SECONDS - 3


def test_own_timeout_counts_against_the_rest(clock):
    ends = Ending()
    with ends.step(2) as deadline:
        assert seconds_until(deadline) == 2
        clock(1.5)
    with ends.step(60) as deadline:
        assert seconds_until(deadline) == 60
    with ends.step() as deadline:
        assert seconds_until(deadline) == SECONDS - 1.5


def test_failing_end_counts_too(clock):
    ends = Ending()

    def fail():
        with ends.step():
            clock(4)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with ends.step() as deadline:
        assert seconds_until(deadline) == SECONDS - 4


def test_new_agent_resets_the_time(clock):
    ends = Ending()
    with ends.step():
        clock(4)
    ends.renew()
    with ends.step() as deadline:
        assert seconds_until(deadline) == SECONDS


# Processes whose servers do not answer

BEGIN = """
from wsgiref.util import setup_testing_defaults
from pyroscope_otel import shutdown
from pyroscope_otel.setup.configuration import flush
from pyroscope_otel.wsgi import PyroscopeMiddleware

def index(environ, start_response):
    burn(1)
    start_response("200 OK", [])
    return [b"x"]

app = PyroscopeMiddleware(index, application_name="shop", upload_interval=UPLOAD_INTERVAL)
environ = {}
setup_testing_defaults(environ)
list(app(environ, lambda *_: None))
print(time.monotonic(), flush=True)
"""

EVERY_END = "flush(); shutdown(); pyroscope.shutdown()"


def end(program, profiles, traces):
    """Run a program to its end; return how long its end took, and what it logged."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("PYROSCOPE_", "OTEL_"))}
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + program],
        env=environ
        | {
            "PYTHONPATH": os.pathsep.join(sys.path),
            "PYROSCOPE_SERVER_ADDRESS": profiles,
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_ENDPOINT": traces,
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    ended = time.monotonic()
    assert done.returncode == 0, done.stderr
    return ended - float(done.stdout), done.stderr


@pytest.mark.parametrize(
    ("interval", "ends"),
    [
        pytest.param(600, "", id="the exit alone"),
        pytest.param(600, EVERY_END, id="one after the other"),
        pytest.param(1, EVERY_END, id="one after the other, and a push is under way"),
    ],
)
def test_silent_servers_delay_all_ends_once(interval, ends):
    begin = BEGIN.replace("UPLOAD_INTERVAL", str(interval))
    with Server(SILENT) as profiles, Server(SILENT) as traces:
        took, _ = end(begin + ends, profiles.url, traces.url)
        assert traces.requests
        profiles.stopping.set()
        traces.stopping.set()
    # An exporter alone waits for 10 s. All ends together would take 15 s or more.
    assert took < SECONDS + 4


# At the exit they wait one after the other.


def test_silent_trace_server_loses_no_profiles():
    with Server(200) as profiles, Server(SILENT) as traces:
        _, log = end(BEGIN.replace("UPLOAD_INTERVAL", "600"), profiles.url, traces.url)
        assert profiles.requests
        traces.stopping.set()
    assert "did not take before the end" not in log


def test_silent_profile_server_loses_no_traces():
    with Server(SILENT) as profiles, Server(200) as traces:
        end(BEGIN.replace("UPLOAD_INTERVAL", "600"), profiles.url, traces.url)
        assert traces.requests
        profiles.stopping.set()
