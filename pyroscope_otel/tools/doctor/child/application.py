"""Loads an application, sends it requests, and reports what happened."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyroscope
from opentelemetry import trace

from pyroscope_otel.link import thread_labels
from pyroscope_otel.setup import configuration
from pyroscope_otel.setup.agent import AGENT
from pyroscope_otel.setup.findings.spans import sdk_is_disabled
from pyroscope_otel.setup.setting_table import BY_NAME
from pyroscope_otel.setup.settings import SettingsError
from pyroscope_otel.tools.doctor.child.calling import call_asgi, call_wsgi
from pyroscope_otel.tools.doctor.child.exchange import payload, report
from pyroscope_otel.tools.doctor.child.exporters import ExporterWatch
from pyroscope_otel.tools.doctor.child.loading import CannotLoad, load
from pyroscope_otel.tools.doctor.child.watching import AgentStarts, Providers, SwitchedOff
from pyroscope_otel.tools.doctor.settings_check import AT_RUN_TIME, as_arguments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyroscope_otel.tools.doctor.child.loading import Loaded

_NOWHERE = "http://127.0.0.1:9"
"""The discard port, which refuses at once. Used if the receiver cannot be imported."""
_EXPORT_MILLISECONDS = 10_000
_TRACEBACK_PLACES = 6
_HERE = str(Path(__file__).parent)


def main() -> None:
    """Run the program, reporting each stage."""
    task = payload()
    with contextlib.ExitStack() as stack:
        receiver = _receiver(stack)
        facts = _examine(task, receiver)
        report(facts)
    sys.stdout.flush()
    sys.stderr.flush()
    # The application's threads could block a normal exit.
    os._exit(0)


def _receiver(stack: contextlib.ExitStack) -> Any | None:
    try:
        from pyroscope_otel.tools.receiver import Receiver
    except ImportError:
        return None
    return stack.enter_context(Receiver())


def _examine(task: dict[str, Any], receiver: Any | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"stage": "it was loaded"}
    report(facts)
    providers = Providers()
    agent = AgentStarts(_NOWHERE if receiver is None else receiver.url)
    exporters = ExporterWatch()
    off = SwitchedOff()
    try:
        loaded = load(task["app"])
    except (Exception, SystemExit) as error:
        return {**facts, "load_error": _error(error), "settings": _settings(agent, off)}

    facts |= {
        "stage": "it got a request",
        "is_asgi": loaded.is_asgi,
        "starts_while_loading": len(agent.arguments),
    }
    report(facts)
    call = call_asgi if loaded.is_asgi else call_wsgi
    positions: list[int] = []

    @contextlib.contextmanager
    def around() -> Iterator[None]:
        positions.append(len(providers.spans))
        # Start-up may have made providers, and shutdown flushes them.
        exporters.watch(providers.known)
        yield
        # Check now: the application's shutdown stops the agent.
        facts["agent_runs"] = thread_labels.agent_is_running()
        agent.remember_relay()

    # The first request starts the agent and everything else that starts lazily.
    requests, facts["startup"] = call(
        loaded.app,
        task["path"],
        _host(loaded),
        times=2,
        around_each=around,
    )
    exporters.watch(providers.known)

    facts["stage"] = "profiles and spans were flushed"
    report(facts)
    if thread_labels.agent_is_running():
        pyroscope.shutdown()
    for provider in providers.known:
        # The application's own span processors may not implement it.
        with contextlib.suppress(Exception):
            provider.force_flush(_EXPORT_MILLISECONDS)
    return {
        **facts,
        "stage": "",
        "settings": _settings(agent, off),
        "is_below_instrument": _is_below_instrument(),
        "is_configured": configuration._process.installed is not None,  # noqa: SLF001  it has no public name
        "sdk_is_disabled": sdk_is_disabled(os.environ),
        "providers": providers.facts(),
        "global_provider": type(trace.get_tracer_provider()).__name__,
        "agent": agent.facts(),
        "uploads": agent.upload_facts(),
        "requests": [request.facts() for request in requests],
        "spans": providers.span_facts(positions[-1], len(providers.spans)) if positions else [],
        "exporters": exporters.facts(),
        "samples": None if receiver is None else _samples(receiver),
        "django_checks": _django_checks() if loaded.is_django else [],
    }


def _is_below_instrument() -> bool:
    """Return whether `opentelemetry-instrument` started this process."""
    return any(
        Path(path).parts[-2:] == ("instrumentation", "auto_instrumentation")
        for path in os.environ.get("PYTHONPATH", "").split(os.pathsep)
    )


def _error(error: BaseException) -> dict[str, Any]:
    places = [
        one
        for one in traceback.extract_tb(error.__traceback__)
        if not one.filename.startswith((_HERE, "<frozen", importlib.__file__))
    ]
    return {
        "is_settings_error": isinstance(error, SettingsError),
        # Our own messages need no exception type.
        "message": str(error)
        if isinstance(error, (CannotLoad, SettingsError))
        else f"{type(error).__name__}: {error}",
        # Locations only: a source line may contain a password.
        "places": [
            f"{one.filename}:{one.lineno} in {one.name}" for one in places[-_TRACEBACK_PLACES:]
        ],
    }


def _host(loaded: Loaded) -> str:
    """Return a host name that the application accepts."""
    if loaded.is_django:
        from django.conf import settings

        for host in settings.ALLOWED_HOSTS:
            if host != "*":
                return str(host).lstrip(".")
    return "localhost"


def _settings(agent: AgentStarts, off: SwitchedOff) -> dict[str, Any] | None:
    """Return the settings in force, not masked, as only the doctor reads them."""
    installed = configuration._process.installed  # noqa: SLF001  it has no public name
    # An agent that the application started itself takes precedence over our settings.
    if installed is not None and not agent.last_start_differs(AGENT.arguments):
        return {
            "arguments": as_arguments(installed.settings),
            "sources": dict(installed.settings.sources),
        }
    if agent.arguments:
        arguments = {
            name: value
            for name, value in agent.arguments[-1].items()
            if name in BY_NAME and name not in AT_RUN_TIME
        }
        source = "the application's call of pyroscope.configure"
        return {"arguments": arguments, "sources": dict.fromkeys(arguments, source)}
    if off.settings is not None:
        return {"arguments": as_arguments(off.settings), "sources": dict(off.settings.sources)}
    return None


def _samples(receiver: Any) -> dict[str, int]:
    """Return the CPU time in nanoseconds by profile id, with "" for samples without one."""
    samples: dict[str, int] = {}
    for profile in receiver.profiles:
        if profile.sample_type != "cpu":
            continue
        for sample in profile.samples:
            span_id = sample.label("span_id") or ""
            samples[span_id] = samples.get(span_id, 0) + sample.value
    return samples


def _django_checks() -> list[dict[str, Any]]:
    """Return this package's messages from `manage.py check`."""
    from django.core import checks

    return [
        {
            "id": str(message.id),
            "is_error": message.level >= checks.ERROR,
            "message": str(message.msg),
            "hint": str(message.hint or ""),
        }
        for message in checks.run_checks()
        if str(message.id).startswith("pyroscope_otel_django.")
    ]


if __name__ == "__main__":
    main()
