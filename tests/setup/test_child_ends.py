"""Child processes that end by `os._exit`: their own agent uploads their last samples."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time

import pytest

from pyroscope_otel.tools.receiver import Receiver
from tests.support.child import PRELUDE
from tests.support.push_server import SILENT, Server

PROGRAM = """
import concurrent.futures, multiprocessing
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
import pyroscope_otel

def begin():
    trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))
    pyroscope_otel.configure(application_name="shop", upload_interval=600)

def job(name, seconds=0.3):
    with trace.get_tracer("tests").start_as_current_span(name):
        burn(seconds)
    # In one piece: two processes write at the same time.
    os.write(1, f"{time.monotonic()}\\n".encode())

"""

PROCESS = """
if __name__ == "__main__":
    begin()
    context = multiprocessing.get_context("METHOD")
    for name in ("A", "B"):
        child = context.Process(target=job, args=(name,))
        child.start()
        child.join()
        assert child.exitcode == 0
else:
    begin()
"""

POOL = """
if __name__ == "__main__":
    begin()
    context = multiprocessing.get_context("METHOD")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        wait = [pool.submit(job, name) for name in ("A", "B")]
        for one in wait:
            one.result()
else:
    begin()
"""

METHODS = [one for one in ("fork", "spawn") if one in multiprocessing.get_all_start_methods()]


def run_file(path, program, server):
    """Run a program from a file, which `spawn` needs; return the last time that it printed."""
    path.write_text(PRELUDE + PROGRAM + program)
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("PYROSCOPE_", "OTEL_"))}
    done = subprocess.run(
        [sys.executable, str(path)],
        env=environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYROSCOPE_SERVER_ADDRESS": server},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    ended = time.monotonic()
    assert done.returncode == 0, done.stderr
    return ended - max(map(float, done.stdout.split()))


def names(profiles):
    return {sample.label("span_name") for one in profiles for sample in one.samples}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("program", [PROCESS, POOL], ids=["processes", "pool"])
def test_children_of_multiprocessing_upload_at_their_end(program, method, tmp_path):
    with Receiver() as receiver:
        run_file(tmp_path / "shop.py", program.replace("METHOD", method), receiver.url)
        assert names(receiver.profiles) >= {"A", "B"}


def test_silent_server_delays_such_an_end_for_a_short_time(tmp_path):
    one = PROCESS.replace("METHOD", "fork").replace('("A", "B")', '("A",)')
    with Server(SILENT) as server:
        took = run_file(tmp_path / "shop.py", one, server.url)
        assert server.requests
        server.stopping.set()
    # 2 s. Other ends take 5 s, and the agent's own 10 s.
    assert took < 4.5


NOT_RUNNING = """
def look(name):
    from pyroscope_otel.link import thread_labels
    from multiprocessing import util
    assert not [one for one in util._finalizer_registry.values() if "stop" in repr(one)]
    assert not thread_labels.agent_is_running()
    print(time.monotonic(), flush=True)

if __name__ == "__main__":
    begin()
    job("A")  # The parent's agent runs.
    child = multiprocessing.get_context("fork").Process(target=look, args=("B",))
    child.start()
    child.join()
    assert child.exitcode == 0
"""


def test_child_without_an_agent_uploads_nothing(tmp_path):
    with Receiver() as receiver:
        run_file(tmp_path / "shop.py", NOT_RUNNING, receiver.url)


# RQ's own process for a job. Its queue needs a Redis server, and is left out.
RQ = """
from rq.worker import Worker
from rq.worker.base import BaseWorker

BaseWorker.perform_job = lambda self, *_: job("A")

class OneJob(Worker):
    name, execution, _is_horse = "w", None, False

    def __init__(self):
        pass

    def setup_work_horse_signals(self):
        pass

begin()
"""

IN_A_CHILD = """
pid = os.fork()
if pid == 0:
    OneJob().main_work_horse(None, None)
assert os.waitpid(pid, 0)[1] == 0
"""

HERE = """
from pyroscope_otel.link import thread_labels
OneJob().perform_job(None, None)
assert thread_labels.agent_is_running()
"""


def test_rq_job_is_uploaded_when_its_process_ends(tmp_path):
    pytest.importorskip("rq")
    with Receiver() as receiver:
        run_file(tmp_path / "shop.py", RQ + IN_A_CHILD, receiver.url)
        assert "A" in names(receiver.profiles)


def test_rq_worker_that_runs_its_jobs_itself_goes_on(tmp_path):
    pytest.importorskip("rq")
    with Receiver() as receiver:
        run_file(tmp_path / "shop.py", RQ + HERE, receiver.url)
