"""Runs Python code in its own process.

For things that a process has once: the agent, the global tracer provider, the environment. The
suite's own process stays unchanged, whatever the order of tests.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

# Keeps the programs of tests short.
PRELUDE = """
import logging, os, sys, time, threading
import pyroscope

def burn(seconds=0.3):
    # Of CPU time: on a busy machine the sampler would see too little of a moment.
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(1000))
"""

# Nothing listens at these addresses. A program that is sampled before it ends logs that, and
# whether it is sampled is chance: on a busy machine more often than not.
_UNSENT = re.compile(
    r"(WARNING )?(Cannot send|Pushes of) profiles .*http://(localhost:4040|127\.0\.0\.1:9)\b"
)


def run(code, *, env=None, python_arguments=()):
    """Run `code` and return the lines it prints; fail if it fails.

    Lines of the relay about a server that does not exist are left out, see `_UNSENT`.

    The environment has no variables of ours or of OpenTelemetry except those in `env`, in
    which None removes one.
    """
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYROSCOPE_", "OTEL_"))
    }
    environ |= {"PYTHONPATH": os.pathsep.join(filter(None, [str(Path.cwd()), *sys.path]))}
    environ |= env or {}
    environ = {name: value for name, value in environ.items() if value is not None}
    done = subprocess.run(
        [sys.executable, *python_arguments, "-c", PRELUDE + code],
        env=environ,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if not _UNSENT.match(line)]
