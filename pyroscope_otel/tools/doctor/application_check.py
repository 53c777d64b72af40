"""Checks an application: loads it as its server would, and sends it requests."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import NoOpTracerProvider

from pyroscope_otel.relay.relay import RelayState
from pyroscope_otel.setup.findings.exporting import Exports, judge_exports
from pyroscope_otel.setup.findings.finding import Finding, fine, note, problem
from pyroscope_otel.setup.findings.names import DOCTOR_ATTRIBUTE
from pyroscope_otel.setup.findings.spans import judge_spans
from pyroscope_otel.setup.findings.upload_state import agent_rows, by_thread_labels
from pyroscope_otel.tools.doctor.isolated import Outcome, run_isolated
from pyroscope_otel.tools.doctor.request_check import check_request
from pyroscope_otel.tools.doctor.settings_check import refused
from pyroscope_otel.tools.doctor.traces_check import check_exporters

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SECONDS = 90.0
_EXPORT_SECONDS = "5"
_BREAK_THE_LINK = ("pyroscope_otel_django.W001",)
"""Django check warnings that leave requests without a profile, or with an incomplete one."""


@dataclass(frozen=True)
class ApplicationCheck:
    """What was found about an application.

    Attributes:
        findings: The findings.
        arguments: The settings in force in the application, not masked, or None.
        sources: The source of each setting.
        agent: The agent's sampler and the state of its uploads, in words, by row title.
    """

    findings: list[Finding]
    arguments: Mapping[str, Any] | None = None
    sources: Mapping[str, str] | None = None
    agent: Mapping[str, str] = field(default_factory=dict)


def check_application(app: str, path: str) -> ApplicationCheck:
    """Load an application in a separate process and send it requests.

    Args:
        app: See `doctor.child.loading.load`.
        path: The path of the requests.
    """
    outcome = run_isolated(
        "application",
        {"app": app, "path": path},
        seconds=_SECONDS,
        environ={
            "OTEL_EXPORTER_OTLP_TIMEOUT": _EXPORT_SECONDS,
            "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": _EXPORT_SECONDS,
            "OTEL_RESOURCE_ATTRIBUTES": _marked(os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")),
        },
    )
    facts = outcome.facts
    if facts is None or (facts["stage"] and "load_error" not in facts):
        return ApplicationCheck([_cut_short(app, outcome)])
    settings = facts["settings"] or {}
    findings = _judge(app, path, facts, outcome.output)
    return ApplicationCheck(
        findings, settings.get("arguments"), settings.get("sources"), _agent(facts)
    )


def _agent(facts: Mapping[str, Any]) -> dict[str, str]:
    if not facts.get("agent_runs"):
        return {}
    uploads = facts["uploads"]
    state = None if uploads["state"] is None else RelayState(**uploads["state"])
    return agent_rows(uploads["sampler"], "thread" if state is None else "stack", state)


def _marked(attributes: str) -> str:
    """Add the attribute by which the local server recognises and ignores the doctor's requests."""
    return ",".join(filter(None, [attributes, f"{DOCTOR_ATTRIBUTE}=true"]))


def _cut_short(app: str, outcome: Outcome) -> Finding:
    stage = (outcome.facts or {}).get("stage", "it was loaded")
    return problem(
        "app-cut-short",
        f"The process with {app} ended while {stage}: {outcome.ending}.",
        "Its last output shows where. Start the server under `if __name__ == '__main__':`, not "
        "while the module is imported; choose another request with --path.",
        outcome.output,
    )


def _judge(app: str, path: str, facts: Mapping[str, Any], output: str) -> list[Finding]:
    if "load_error" in facts:
        return [_not_loaded(app, facts["load_error"])]
    if facts["startup"] not in ("complete", "unsupported"):
        return [
            problem(
                "app-start-up-failed",
                f"The start-up of {app} failed (its ASGI lifespan): a server will not serve it.",
                "The application's message gives the reason.",
                facts["startup"],
            )
        ]
    if facts["sdk_is_disabled"]:
        # This explains everything else that is missing.
        return judge_spans(None, {"OTEL_SDK_DISABLED": "true"})
    if not ((facts["settings"] or {}).get("arguments") or {}).get("enabled", True):
        return []  # Likewise; `settings_check` reports it.
    findings = [
        *_judge_providers(app, facts, output),
        *_judge_agent(facts),
        *check_request(app, path, facts),
        *_judge_exporters(facts),
        *(_django_check(message) for message in facts["django_checks"]),
    ]
    if facts["spans"] and all(one.level is not one.level.PROBLEM for one in findings):
        findings.append(fine("app", f"{app} is set up well."))
    return findings


def _not_loaded(app: str, error: Mapping[str, Any]) -> Finding:
    if error["is_settings_error"]:
        return refused(error["message"])
    return problem(
        "app-not-loaded",
        f"{app} cannot be loaded: {error['message']}",
        "Run the doctor as the server runs: in its virtual environment, with its environment "
        "variables, from its directory. Name the application as the server does: module:app, or "
        "module:make_app() for a factory. For a Django project, name the directory of manage.py "
        "or the settings module.",
        "\n".join(error["places"]),
    )


def _no_provider(app: str, facts: Mapping[str, Any], output: str) -> Iterator[Finding]:
    if facts["global_provider"] == "NoOpTracerProvider":
        yield from judge_spans(NoOpTracerProvider(), {})
        return
    if facts["is_below_instrument"]:
        yield problem(
            "app-zero-code-failed",
            "opentelemetry-instrument starts the application, but did not set up a tracer "
            "provider: there are no spans, and nothing was instrumented.",
            "Its output gives the reason. It needs opentelemetry-distro and the exporters that "
            "are configured: for OTLP over HTTP, pip install "
            "opentelemetry-exporter-otlp-proto-http, and set "
            "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf. Set OTEL_METRICS_EXPORTER and "
            "OTEL_LOGS_EXPORTER to none if metrics and logs have no destination.",
            output,
        )
        return
    yield problem(
        "app-no-provider",
        "The application has no OpenTelemetry tracer provider, so there are no spans "
        f"(the global one is {facts['global_provider']}).",
        "If opentelemetry-instrument starts the application, let it start the doctor too: "
        f"opentelemetry-instrument pyroscope-otel doctor {app}. Otherwise add "
        "PyroscopeMiddleware, or call pyroscope_otel.configure: both make one.",
    )


def _judge_providers(app: str, facts: Mapping[str, Any], output: str) -> Iterator[Finding]:
    providers = facts["providers"]
    if not providers:
        yield from _no_provider(app, facts, output)
        return
    for name in sorted({name for one in providers for name in one["foreign_processors"]}):
        yield problem(
            "app-processor-of-another-version",
            f"A provider has a {name}, which is not this package's span processor.",
            "Repeat pip uninstall pyroscope-otel until none is left, then install it again.",
        )
    if not any(one["has_processor"] for one in providers):
        yield problem(
            "app-no-processor",
            "No tracer provider has a PyroscopeSpanProcessor: spans get no pyroscope.profile.id.",
            "Add PyroscopeMiddleware, or call pyroscope_otel.configure, or add the processor by "
            "hand: provider.add_span_processor(PyroscopeSpanProcessor()).",
        )


def _judge_agent(facts: Mapping[str, Any]) -> Iterator[Finding]:
    starts = facts["agent"]
    if not starts and not facts["providers"]:
        return  # Whatever makes the provider also starts the agent.
    if facts["agent_runs"]:
        yield from _judge_direct(facts["uploads"])
        if facts["starts_while_loading"] and not facts["is_configured"]:
            yield note(
                "app-agent-before-fork",
                "The application starts the Pyroscope agent while it is loaded. If a server forks "
                "its workers after that (gunicorn --preload, uWSGI without lazy-apps), the "
                "workers have no agent.",
                "With such a server, call pyroscope.configure in each worker (gunicorn: "
                "post_fork), or call pyroscope_otel.configure instead.",
            )
        return
    if not starts and not facts["spans"] and any(one["dropped"] for one in facts["providers"]):
        return  # The first sampled request starts it; `request_check` reports that there was none.
    if starts:
        yield problem(
            "app-agent-refused",
            "The application started the Pyroscope agent, but it does not run: no profile arrives.",
            "With enable_logging=True the agent logs the reason to stderr.",
            f"pyroscope.configure returned {starts[-1]['result']}",
        )
        return
    yield problem(
        "app-no-agent",
        "No request has started the Pyroscope agent: no profile arrives.",
        "The doctor does not run a server's hooks: if gunicorn's post_fork starts the agent, "
        "ignore this. Otherwise let PyroscopeMiddleware or pyroscope_otel.configure start it, or "
        "call pyroscope.configure in each process that serves: in gunicorn's post_fork, not "
        "under `if __name__ == '__main__':`.",
    )


def _judge_direct(uploads: Mapping[str, Any]) -> Iterator[Finding]:
    """Judge an agent that sends to the server itself."""
    if uploads["state"] is not None:
        return
    if uploads["sampler"] == "stack":
        yield problem(
            "app-stack-implementation",
            "The agent was started with ProfilerImplementation.Stack, which drops thread labels, "
            "and sends to the server directly, where nothing else names a request: the profile "
            "of every span is empty.",
            "Leave cpu_implementation out of pyroscope.configure, or set it to PySpy.",
        )
    # If the settings ask for it, `settings_check` reports it.
    if not uploads["is_chosen"]:
        yield by_thread_labels(is_chosen=False)


def _judge_exporters(facts: Mapping[str, Any]) -> list[Finding]:
    providers = facts["providers"]
    if not providers:
        return []
    if facts["exporters"]:
        return check_exporters(facts["exporters"])
    others = {name for one in providers for name in one["other_processors"]}
    return judge_exports(Exports((), tuple(others)))


def _django_check(message: Mapping[str, Any]) -> Finding:
    is_problem = message["is_error"] or message["id"] in _BREAK_THE_LINK
    make = problem if is_problem else note
    return make(
        "django-check",
        f"manage.py check says ({message['id']}): {message['message']}",
        message["hint"],
    )
