"""Shows what each request to the example service spent its CPU time on.

Run it with `make demo`. It starts the service and, in the same process, a
receiver in place of a Pyroscope server; sends concurrent requests; and joins the
spans that were exported with the profiles that were pushed, as Grafana would.
"""

from __future__ import annotations

import argparse
import logging
import sys
import threading
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import pyroscope_otel
from example_apps.fastapi_app import app
from pyroscope_otel.receiver import Receiver, Sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

REQUESTS = [
    *[("GET", f"/search/{word}") for word in ("tea", "cups", "kettle", "lemon")],
    *[("GET", f"/invoice/{number}") for number in (1001, 1002)],
    *[("POST", f"/thumbnail/{name}") for name in ("teapot", "saucer")],
    ("GET", "/health"),
]
"""One round: several searches share the event loop, the rest shares its threads."""

OUTRO = """
Each request is found twice: as a span, by its trace id, and as a profile, by
its profile id. The searches ran interleaved on one thread; below each request
are the functions that its own CPU time went to.

With a real Pyroscope (and Grafana), start the same service by itself:

  PYROSCOPE_SERVER_ADDRESS=http://localhost:4040 {python} -m uvicorn example_apps.fastapi_app:app
"""


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__, prog="make demo")
    parser.add_argument("--rounds", type=int, default=1, help="rounds of requests (default: 1)")
    rounds = parser.parse_args().rounds
    if rounds < 1:
        parser.error("--rounds must be 1 or more")
    logging.basicConfig(level=logging.WARNING)

    spans = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    provider.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(provider)

    with Receiver() as receiver:
        pyroscope_otel.configure(
            application_name="shop", server_address=receiver.url, upload_interval=1
        )
        say(f"Receiving profiles at {receiver.url}")
        with serving() as url:
            say(f"Serving example_apps.fastapi_app at {url}")
            send_requests(url, rounds)
            say("Stopping the service, which uploads the last samples")
        samples = [sample for profile in receiver.profiles for sample in profile.samples]

    print()
    print_requests(spans.get_finished_spans(), samples)
    print(
        OUTRO.format(python=sys.executable if sys.prefix == sys.base_prefix else ".venv/bin/python")
    )


def say(text: str) -> None:
    """Say what is going on."""
    print(text, flush=True)


@contextmanager
def serving() -> Iterator[str]:
    """Serve the example in a thread, as `uvicorn` would in a process."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            sys.exit("The service did not start.")
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def send_requests(url: str, rounds: int) -> None:
    """Send all rounds, a round at a time, each round's requests at once."""
    total = rounds * len(REQUESTS)
    done = 0
    with ThreadPoolExecutor(len(REQUESTS)) as clients:
        for _ in range(rounds):
            answers = [clients.submit(send, method, url + path) for method, path in REQUESTS]
            for answer in as_completed(answers):
                answer.result()
                done += 1
                show_progress(done, total)


def send(method: str, url: str) -> None:
    """Send one request and read its answer."""
    request = urllib.request.Request(url, method=method)  # noqa: S310  our own server
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  same
        answer.read()


def show_progress(done: int, total: int) -> None:
    """Show how many requests have been answered: in place on a terminal."""
    if sys.stdout.isatty():
        print(
            f"\rAnswered {done} of {total} requests", end="\n" if done == total else "", flush=True
        )
    elif done == total:
        say(f"Answered {total} requests")


def print_requests(spans: Iterable[ReadableSpan], samples: Iterable[Sample]) -> None:
    """Print a line for each request, and its hottest functions."""
    by_profile: dict[str | None, list[Sample]] = {}
    for sample in samples:
        by_profile.setdefault(sample.label("span_id"), []).append(sample)
    print(f"{'trace id':32}  {'route':23}  {'profile id':16}  {'CPU ms':>6}")
    roots = [span for span in spans if "pyroscope.profile.id" in (span.attributes or {})]
    for root in sorted(roots, key=lambda span: (span.name, span.start_time or 0)):
        profile_id = str((root.attributes or {})["pyroscope.profile.id"])
        mine = by_profile.get(profile_id, [])
        milliseconds = sum(sample.value for sample in mine) / 1e6
        print(
            f"{root.context.trace_id:032x}  {root.name:23}  {profile_id}  {milliseconds:6.0f}\n"
            f"    {', '.join(hottest(mine)) or 'hardly any CPU time: no sample hit it'}"
        )


def hottest(samples: Iterable[Sample], most: int = 3) -> list[str]:
    """Return the functions in which most of the time was spent, with their shares."""
    own = Counter[str]()
    for sample in samples:
        own[sample.stack[0].function] += sample.value
    return [f"{name} {value / sum(own.values()):.0%}" for name, value in own.most_common(most)]


if __name__ == "__main__":
    main()
