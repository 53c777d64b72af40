"""Starts an example with its documented command, and finds its spans and profiles.

```python
with started("example_apps/flask_app.py") as example:
    example.get("/invoice/7")
    link = example.link("GET /invoice/<number>")
assert "render_invoice" in link.functions
```

The command is in the example's docstring. The environment is from the compose file, except
for ports and addresses. A profile is found as Grafana finds it, with the query of the
provisioned data source.
"""

from __future__ import annotations

import ast
import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from pyroscope_otel.tools.receiver import Receiver
from tests.examples.trace_receiver import Span, TraceReceiver

if TYPE_CHECKING:
    from pyroscope_otel.pprof.pushes import Sample

ROOT = Path(__file__).parents[2]
OBSERVABILITY = ROOT / "example_apps" / "observability"
COMPOSE = yaml.safe_load((OBSERVABILITY / "compose.yaml").read_text())
DATA_SOURCES = {
    source["uid"]: source
    for source in yaml.safe_load((OBSERVABILITY / "grafana" / "datasources.yaml").read_text())[
        "datasources"
    ]
}
TRACES_TO_PROFILES = DATA_SOURCES["tempo"]["jsonData"]["tracesToProfiles"]
PATIENCE_SECONDS = 60.0
_REPEAT_SECONDS = 5.0

_FOREIGN = ("PYROSCOPE_", "OTEL_", "FASTAPI_", "UVICORN_", "GUNICORN_", "FLASK_", "DJANGO_")

ANY_FREE_PORT = {
    "UVICORN_HOST": "127.0.0.1",
    "FLASK_RUN_HOST": "127.0.0.1",
    "UVICORN_PORT": "0",
    "FLASK_RUN_PORT": "0",
    # All gunicorns of a user share one control socket.
    "GUNICORN_CMD_ARGS": "--bind=127.0.0.1:0 --no-control-socket",
}

# How uvicorn, gunicorn, Flask and Django report that they listen.
_LISTENING = re.compile(
    r"(?:running on|listening at:|server at) http://127\.0\.0\.1:([1-9]\d*)", re.IGNORECASE
)


def command_of(file):
    """Return the command in an example's docstring: "Start it with `...`"."""
    docstring = ast.get_docstring(ast.parse((ROOT / file).read_text())) or ""
    (command,) = re.findall(r"Start it with\s+`([^`]+)`", docstring)
    return shlex.split(command)


@dataclass(frozen=True)
class Link:
    """A root span, and the samples that carry its profile id."""

    span: Span
    samples: tuple[Sample, ...]
    profile_labels: dict[str, str]

    @property
    def functions(self):
        return {frame.function for sample in self.samples for frame in sample.stack}


class Example:
    """A running example."""

    def __init__(self, process, log, traces, profiles):
        self._process = process
        self._log = log
        self._traces = traces
        self._profiles = profiles
        self._sent = []
        self.url = f"http://127.0.0.1:{self._wait(self._port, 'printed its address')}"

    @property
    def log(self):
        """The output so far."""
        # Not read(): it would move the position at which the child process writes.
        return os.pread(self._log.fileno(), 1_000_000, 0).decode(errors="replace")

    @property
    def spans(self):
        return list(self._traces.spans)

    @property
    def profiles(self):
        return self._profiles.profiles

    def request(self, path, method="GET"):
        """Send a request and return the response body; raise if the status is not 2xx."""
        self._sent.append((path, method))
        return self._send(path, method)

    def _send(self, path, method):
        request = urllib.request.Request(self.url + path, method=method)  # noqa: S310  ours
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310  same
            return answer.read()

    def get(self, path):
        return self.request(path)

    def link(self, name):
        """Wait for a span with this name and its samples, and return both.

        On a busy machine, the sampler may not have seen a short request. So the requests are
        sent again while their samples are missing.
        """
        repeat_at = time.monotonic() + _REPEAT_SECONDS

        def find():
            nonlocal repeat_at
            if time.monotonic() > repeat_at:
                for path, method in self._sent:
                    self._send(path, method)
                repeat_at = time.monotonic() + _REPEAT_SECONDS
            return self.find_link(name)

        return self._wait(find, f"sent a span {name} and its samples")

    def find_link(self, name):
        """Return the same, or None if it has not arrived yet."""
        for span in self.spans:
            if span.name != name or span.profile_id is None:
                continue
            found = [
                (profile, sample)
                for profile in self.profiles
                if _matches(profile, span)
                for sample in profile.samples
                if sample.label("span_id") == span.profile_id
            ]
            if found:
                labels = dict(found[0][0].labels)
                return Link(span, tuple(sample for _, sample in found), labels)
        return None

    def _port(self):
        match = _LISTENING.search(self.log)
        return match and match[1]

    def _wait(self, find, what):
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while not (found := find()):
            if self._process.poll() is not None:
                raise AssertionError(f"It ended before it {what}:\n{self.log}")
            if time.monotonic() > give_up_at:
                names = [span.name for span in self.spans]
                labels = [profile.labels for profile in self.profiles]
                raise AssertionError(
                    f"It has not {what}. Spans: {names}, profiles: {labels}\n{self.log}"
                )
            time.sleep(0.05)
        return found


def _matches(profile, span):
    """Return whether Grafana's query for a span selects this profile.

    The query has the profile type, and each tag that the span or its resource has.
    """
    kind = f"{profile.labels['__name__']}:{profile.sample_type}:{profile.unit}:"
    has = span.resource | span.attributes
    return TRACES_TO_PROFILES["profileTypeId"].startswith(kind) and all(
        profile.labels.get(tag["value"]) == has[tag["key"]]
        for tag in TRACES_TO_PROFILES["tags"]
        if tag["key"] in has
    )


@contextlib.contextmanager
def started(file, *arguments, environment=None, command=None, folder=ROOT, stop=signal.SIGINT):
    """Run an example inside the `with` block, then stop it as Ctrl-C does.

    Args:
        file: The file with its docstring, relative to the repository.
        *arguments: Added to its command, such as Django's port, which has no variable.
        environment: Additional environment variables.
        command: Replaces the command of the docstring.
        folder: The working directory.
        stop: The signal that stops it, sent to all of its processes as a terminal does.
    """
    with tempfile.TemporaryFile() as log, TraceReceiver() as traces, Receiver() as profiles:
        process = subprocess.Popen(
            [*(command or command_of(file)), *arguments],
            cwd=folder,
            env=_environment(traces, profiles) | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            example = Example(process, log, traces, profiles)
            yield example
            assert "Traceback" not in example.log, example.log
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, stop)
            process.wait(PATIENCE_SECONDS)
        finally:
            # The whole process group: workers may outlive their master.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _environment(traces, profiles):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return (
        inherited
        | COMPOSE["x-example"]["environment"]
        | ANY_FREE_PORT
        | {
            # For the uvicorn, gunicorn and flask of this Python.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONUNBUFFERED": "1",
            "PYROSCOPE_SERVER_ADDRESS": profiles.url,
            "PYROSCOPE_UPLOAD_INTERVAL": "1s",
            "OTEL_EXPORTER_OTLP_ENDPOINT": traces.url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
    )
