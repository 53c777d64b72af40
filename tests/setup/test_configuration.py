"""`configure` and `shutdown` with the real agent and provider, in processes of their own."""

from __future__ import annotations

import inspect

import pytest

from pyroscope_otel.setup import configuration
from pyroscope_otel.setup.arguments import Arguments
from pyroscope_otel.setup.setting_table import TABLE
from tests.setup.configured_process import BEGIN
from tests.support.child import run


def test_there_is_an_argument_for_each_setting():
    assert [*Arguments.__annotations__] == [row.name for row in TABLE]


def test_configure_documents_each_argument():
    lines = inspect.getdoc(configuration.configure).splitlines()
    for row in TABLE:
        assert any(line.startswith(f"    {row.name}: ") for line in lines), row.name


def test_configure_sets_up_provider_processor_and_agent():
    assert run(
        BEGIN
        + """
print(configure(application_name="shop"))
provider = trace.get_tracer_provider()
print(provider.resource.attributes["service.name"], processors())
print(agent.AGENT.needed, thread_labels.agent_is_running())
print(shutdown(20))
"""
    ) == ["None", "shop ['PyroscopeSpanProcessor']", "True False", "True"]


def test_settings_come_from_the_environment_and_the_resource():
    assert run(
        BEGIN
        + """
settings = apply({})
print(settings.application_name, settings.sample_rate, dict(settings.tags))
""",
        env={
            "PYROSCOPE_PROFILING_INTERVAL": "20ms",
            "OTEL_RESOURCE_ATTRIBUTES": "service.name=shop,service.namespace=web",
        },
    ) == ["shop 50 {'service_namespace': 'web'}"]


def test_processor_gets_the_span_labels():
    assert run(
        BEGIN
        + """
configure(application_name="shop", span_labels=["span_id", "trace_id"])
(processor,) = trace.get_tracer_provider()._active_span_processor._span_processors
print(processor._span_labels)
"""
    ) == ["('trace_id', 'span_id')"]


def test_settings_come_from_the_framework():
    assert run(
        BEGIN
        + """
settings = apply(
    {"sample_rate": None, "upload_interval": 5},
    {"application_name": "shop", "sample_rate": 20, "upload_interval": 7},
    "Django setting PYROSCOPE['{}']",
)
print(settings.application_name, settings.sample_rate, settings.upload_interval)
print(settings.sources["sample_rate"])
"""
    ) == ["shop 20 5", "Django setting PYROSCOPE['SAMPLE_RATE']"]


def test_start_now_starts_the_agent():
    assert run(
        BEGIN
        + """
configure(application_name="shop", start="now")
print(thread_labels.agent_is_running())
"""
    ) == ["True"]


@pytest.mark.parametrize(
    ("arguments", "env"),
    [("enabled=False", {}), ("", {"PYROSCOPE_ENABLED": "false"})],
)
def test_nothing_is_installed_when_disabled(arguments, env):
    assert run(
        BEGIN
        + f"""
from pyroscope_otel import following
configure({arguments})
print(type(trace.get_tracer_provider()).__name__, agent.AGENT.needed)
print([hook for hook in following.HOOKS if hook.active])
print(shutdown())
""",
        env=env,
    ) == ["ProxyTracerProvider False", "[]", "True"]


def test_wrong_settings_are_refused_when_disabled():
    assert run(BEGIN + "refused(enabled=False, sample_rate=0)") == [
        (
            "sample_rate must be a whole number of samples per second, 1 to 1000000; "
            "argument sample_rate is 0"
        )
    ]


def test_misspelt_argument_is_refused_with_a_suggestion():
    assert run(BEGIN + "refused(sample_rat=5)") == [
        "argument sample_rat is not a setting; did you mean argument sample_rate?"
    ]


def test_wrong_setting_installs_nothing():
    assert run(
        BEGIN
        + """
refused(application_name="")
print(type(trace.get_tracer_provider()).__name__, agent.AGENT.needed)
"""
    ) == [
        "application_name must be text that is not empty; argument application_name is ''",
        "ProxyTracerProvider False",
    ]


def test_other_settings_are_accepted_after_shutdown():
    assert run(
        BEGIN
        + """
configure(application_name="shop", start="now")
print(shutdown(20), processors(), thread_labels.agent_is_running(), agent.AGENT.needed)
configure(application_name="shop", sample_rate=50, span_labels=["span_id"])
print(processors())
agent.ensure_running()
print(thread_labels.agent_is_running())
"""
    ) == ["True [] False False", "['PyroscopeSpanProcessor']", "True"]


def test_shutdown_keeps_the_processor_and_agent_of_the_application():
    assert run(
        BEGIN
        + """
use()
trace.get_tracer_provider().add_span_processor(PyroscopeSpanProcessor())
pyroscope.configure(application_name="own")
configure(application_name="unknown_service")
agent.ensure_running()
print(shutdown(20), processors(), thread_labels.agent_is_running())
"""
    )[-1:] == ["True ['PyroscopeSpanProcessor'] True"]


def test_shutdown_without_configure_does_nothing():
    assert run(BEGIN + "print(shutdown())") == ["True"]


def test_fork_during_configure_does_not_lock_the_child():
    assert run(
        BEGIN
        + """
from pyroscope_otel.setup import configuration
configuration._process.lock.acquire()
pid = os.fork()
if pid == 0:
    configure(application_name="shop")
    print(agent.AGENT.needed, flush=True)
    os._exit(0)
os.waitpid(pid, 0)
"""
    ) == ["True"]


# Secrets


def test_secrets_are_in_no_log_line():
    output = "\n".join(
        run(
            BEGIN
            + """
logging.getLogger("pyroscope_otel").setLevel("DEBUG")
configure(server_address="http://p/?key=hunter1", auth_token="hunter2",
          http_headers={"a": "hunter3"}, start="now")
refused(auth_token="hunter4")
print(shutdown(20))
""",
            env={"PYROSCOPE_AUTH_TOKN": "hunter5"},
        )
    )
    assert "started" in output
    assert "PYROSCOPE_AUTH_TOKN" in output
    assert "hunter" not in output


# Processes without an agent


def test_process_without_an_agent_arms_none_whatever_start_is():
    assert run(
        BEGIN
        + """
settings = {"application_name": "shop", "server_address": "http://127.0.0.1:9", "start": "now"}
apply(settings, with_agent=False)
apply(settings, with_agent=False)
print(agent.AGENT.needed, thread_labels.agent_is_running(), processors())
apply(settings)
print(agent.AGENT.needed, thread_labels.agent_is_running(), processors())
"""
    ) == ["False False ['PyroscopeSpanProcessor']", "False True ['PyroscopeSpanProcessor']"]


# Ends


def test_shutdown_inside_configure_does_not_wait_forever():
    """A signal handler may call it on the thread that configures."""
    assert run(
        BEGIN
        + """
from pyroscope_otel.setup import configuration
with configuration._process.lock:
    print(shutdown(0.1))
print(shutdown(0.1))
"""
    ) == ["False", "True"]


def test_flush_stops_the_agent_when_no_thread_can_start():
    assert run(
        BEGIN
        + """
from pyroscope_otel.setup.configuration import flush

def refuse(self):
    raise RuntimeError("can't start new thread")

configure(application_name="shop", server_address="http://127.0.0.1:9", start="now")
print(thread_labels.agent_is_running())
threading.Thread.start = refuse
flush(20)
print(thread_labels.agent_is_running())
"""
    )[-1:] == ["False"]
