"""The arguments that the agent is started with, and its end. A fake agent takes its place."""

import functools
import os
import socket
import sys
import types

import pyroscope
import pytest
from pyroscope import _native

from pyroscope_otel.relay import agent_start
from pyroscope_otel.relay import relay as relay_module
from pyroscope_otel.relay.destination import Destination
from pyroscope_otel.setup.uploads import UPLOADS
from tests.relay.links import Link
from tests.relay.rows import body, row
from tests.relay.test_relay import push
from tests.support.push_server import Server, closed_port


class Agent:
    """Takes the place of the compiled functions and keeps their arguments."""

    def __init__(self):
        self.calls = []
        self.answer = True
        self.on_start = self.on_drop = lambda: None

    def initialize_agent(  # noqa: PLR0913, PLR0917  the agent's own
        self, application_name, server_address, basic_auth_username, basic_auth_password,
        sample_rate, oncpu, gil_only, report_pid, report_thread_id, report_thread_name,
        runtime_name, runtime_version, tags, tenant_id, http_headers, line_no, upload_interval,
        mem_enabled, mem_max_nframe, mem_heap_sample_size, mem_enable_mem_domain, cpu_enabled,
        *further,
    ):  # fmt: skip
        self.calls.append({k: v for k, v in locals().items() if k not in ("self", "further")})
        self.on_start()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def drop_agent(self):
        self.on_drop()
        return self.answer


@pytest.fixture
def agent(monkeypatch):
    agent = Agent()
    # The package's import has installed its own.
    agent_start.uninstall()
    monkeypatch.setattr(_native, "initialize_agent", agent.initialize_agent)
    monkeypatch.setattr(_native, "drop_agent", agent.drop_agent)
    yield agent
    agent.answer = True
    if agent_start.state() is not None:
        _native.drop_agent()
    agent_start.uninstall()
    assert _native.initialize_agent == agent.initialize_agent
    monkeypatch.undo()
    agent_start.install(UPLOADS)


@pytest.fixture
def link(agent):  # noqa: ARG001  its functions are replaced first
    link = Link()
    agent_start.install(link)
    return link


pytestmark = pytest.mark.usefixtures("link")

ADDRESS = "http://profiles.example:4040/prefix/"
SECRETS = {
    "basic_auth_username": "user",
    "basic_auth_password": "secret",
    "tenant_id": "tenant",
    "http_headers": {"X-Key": "secret"},
}


def start(**changes):
    return pyroscope.configure(**{"application_name": "shop", "server_address": ADDRESS, **changes})


def test_agent_gets_the_relay_instead_of_the_server(agent, link):
    assert start(**SECRETS, tags={"a": "b"}, upload_interval=7) is True
    (given,) = agent.calls
    relay = agent_start._process.relay
    assert given["server_address"] == relay.url
    assert given["http_headers"] == relay.headers
    assert [given[name] for name in SECRETS if name != "http_headers"] == ["", "", ""]
    assert (given["application_name"], given["tags"]) == ("shop", {"a": "b"})
    assert given["upload_interval"] == 7
    assert link.told == ["started through the relay"]


def test_relay_gets_the_agents_arguments(link, monkeypatch):
    made = []

    def relay(destination, **options):
        made.append((destination, options))
        return original(destination, **options)

    original = relay_module.Relay
    monkeypatch.setattr(relay_module, "Relay", relay)
    start(**SECRETS)
    ((destination, options),) = made
    assert destination == Destination(ADDRESS, "user", "secret", "tenant", {"X-Key": "secret"})
    assert options == {
        "labels_of": link.labels_of,
        "pushed": link.pushed,
        "upload_buffer": 2**25,
        "without_lines": False,
    }


def test_every_call_of_configure_uses_the_relay(link):
    from pyroscope import configure

    assert configure(application_name="shop", server_address=ADDRESS) is True
    pyroscope.lib.drop_agent()
    assert start() is True
    assert link.told == ["started through the relay", "stopped", "started through the relay"]


def test_relay_leaves_lines_out_when_asked(agent):
    start(line_no=pyroscope.LineNo.NoLine)
    assert agent.calls[0]["line_no"] == pyroscope.LineNo.LastInstruction
    assert agent_start._process.relay._without_lines is True


def test_other_line_settings_are_passed_on(agent):
    start(line_no=pyroscope.LineNo.First)
    assert agent.calls[0]["line_no"] == pyroscope.LineNo.First
    assert agent_start._process.relay._without_lines is False


def test_state():
    assert agent_start.state() is None
    start(server_address="http://user:secret@profiles.example")
    assert agent_start.state().server == "http://profiles.example"
    assert "secret" not in repr(agent_start.state())
    pyroscope.shutdown()
    assert agent_start.state() is None


@pytest.mark.parametrize("answer", [False, TypeError("argument 'tags'")])
def test_relay_stops_if_the_agent_does_not_start(agent, link, answer):
    agent.answer = answer
    relays = []
    agent.on_start = lambda: relays.append(agent.calls[-1]["server_address"])
    if answer is False:
        assert start() is False
    else:
        with pytest.raises(TypeError, match="tags") as raised:
            start()
        assert raised.value.__context__ is None
    assert link.told == []
    assert agent_start.state() is None
    (url,) = relays
    assert not is_listening(url)


def is_listening(url):
    host, _, port = url.removeprefix("http://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=30).close()
    except ConnectionRefusedError:
        return False
    return True


def test_second_start_does_not_change_the_first(agent):
    start()
    first = agent_start._process.relay
    agent.answer = False
    assert start() is False
    assert agent_start._process.relay is first
    assert is_listening(first.url)


def test_agent_starts_without_a_relay_if_none_is_wanted(agent, link):
    link.wants = False
    assert start(**SECRETS) is True
    assert {name: agent.calls[0][name] for name in SECRETS} == SECRETS
    assert agent.calls[0]["server_address"] == ADDRESS
    assert link.told == ["started"]
    assert pyroscope.shutdown() is True
    assert link.told == ["started", "stopped"]


def failing(monkeypatch, error):
    def start(_):
        raise error

    monkeypatch.setattr(relay_module.Relay, "start", start)


@pytest.mark.parametrize(
    "error",
    [OSError(99, "Cannot assign requested address"), RuntimeError("can't start new thread")],
)
def test_agent_sends_itself_if_the_relay_does_not_start(agent, link, monkeypatch, caplog, error):
    failing(monkeypatch, error)
    assert start(**SECRETS) is True
    assert {name: agent.calls[0][name] for name in SECRETS} == SECRETS
    assert agent.calls[0]["server_address"] == ADDRESS
    assert link.told == ["started"]
    (record,) = caplog.records
    assert (record.levelname, str(error) in record.getMessage()) == ("WARNING", True)


@pytest.mark.parametrize("address", ["localhost:4040", "mailto:a@b", "", "http://[::1", None])
def test_invalid_address_is_passed_on_to_the_agent(agent, link, caplog, address):
    assert start(server_address=address, **SECRETS) is True
    assert agent.calls[0]["server_address"] == address
    assert link.told == ["started"]
    (record,) = caplog.records
    assert "secret" not in record.getMessage()


def test_error_of_the_agent_has_no_context_of_ours(agent):
    agent.answer = TypeError("argument 'server_address'")
    with pytest.raises(TypeError, match="server_address") as raised:
        start(server_address=None)
    assert raised.value.__context__ is None


def test_uwsgi_without_threads_has_no_relay(agent, monkeypatch, caplog):
    uwsgi = types.ModuleType("uwsgi")
    monkeypatch.setitem(sys.modules, "uwsgi", uwsgi)
    uwsgi.opt = {"http": b":8080", "master": True}
    assert start() is True
    assert agent.calls[0]["server_address"] == ADDRESS
    assert "enable-threads" in caplog.records[0].getMessage()
    pyroscope.shutdown()
    for option in ("enable-threads", b"threads"):
        uwsgi.opt = {option: b"1"}
        assert start() is True
        assert agent.calls[-1]["server_address"] != ADDRESS
        pyroscope.shutdown()
    uwsgi.opt = {"http": b":8080", "master": True}
    uwsgi.version_info = (2, 0, 31, 0, "")
    assert start() is True
    assert agent.calls[-1]["server_address"] != ADDRESS


def test_unknown_agent_starts_unchanged(link, monkeypatch, caplog):
    """A later release may have other arguments."""
    agent_start.uninstall()
    given = []
    with monkeypatch.context() as other:
        other.setattr(_native, "initialize_agent", lambda *all_of: given.append(all_of) or True)
        agent_start.install(link)
        assert start() is True
        agent_start.uninstall()
    assert given[0][:2] == ("shop", ADDRESS)
    assert link.told == ["started"]
    assert len(caplog.records) == 1


class TestProxies:
    """The agent's client reads the environment once, while it starts."""

    @pytest.mark.parametrize(
        ("before", "meanwhile"),
        [
            ({}, "127.0.0.1"),
            ({"NO_PROXY": "a,b"}, "a,b,127.0.0.1"),
            ({"no_proxy": "a,b"}, "a,b,127.0.0.1"),
            ({"NO_PROXY": "a", "no_proxy": "b"}, "a,127.0.0.1"),
            ({"NO_PROXY": ""}, "127.0.0.1"),
        ],
    )
    def test_relay_is_exempt_during_the_start(self, agent, monkeypatch, before, meanwhile):
        for name, value in before.items():
            monkeypatch.setenv(name, value)
        environment = dict(os.environ)
        seen = []
        agent.on_start = lambda: seen.extend(os.environ[name] for name in ("NO_PROXY", "no_proxy"))
        start()
        assert seen == [meanwhile] * 2
        assert dict(os.environ) == environment

    def test_environment_is_restored_if_the_start_fails(self, agent):
        environment = dict(os.environ)
        agent.answer = OSError("from the agent")
        with pytest.raises(OSError, match="from the agent"):
            start()
        assert dict(os.environ) == environment


class TestEnd:
    def test_flushed_and_waiting_pushes_are_sent(self, agent, link):
        with Server(503, 200) as server:
            start(server_address=server.url)
            relay = agent_start._process.relay
            push(relay, body(row("first")))
            server.wait_for(1)
            agent.on_drop = lambda: push(relay, body(row("last")))
            assert pyroscope.shutdown() is True
            assert relay.state().sent == 2
        assert link.told == ["started through the relay", "stopped"]
        assert not is_listening(relay.url)

    def test_agent_that_does_not_stop_keeps_its_relay(self, agent, link):
        """Another thread is stopping it."""
        start()
        agent.answer = False
        assert pyroscope.shutdown() is False
        assert agent_start.state() is not None
        assert link.told == ["started through the relay"]


class TestInstalling:
    def test_installing_twice_installs_once(self, agent, link):
        ours = _native.initialize_agent
        agent_start.install(link)
        assert _native.initialize_agent is ours
        start()
        assert len(agent.calls) == 1

    def test_last_link_counts(self, link):
        other = Link()
        agent_start.install(other)
        start()
        assert (link.told, other.told) == ([], ["started through the relay"])

    def test_removal_restores_the_agent(self, agent):
        agent_start.uninstall()
        assert _native.initialize_agent == agent.initialize_agent
        assert _native.drop_agent == agent.drop_agent
        agent_start.uninstall()
        start()
        assert agent.calls[0]["server_address"] == ADDRESS

    def test_later_patch_of_another_tool_stays(self, agent, link, monkeypatch):
        ours = _native.initialize_agent
        with monkeypatch.context() as other:
            other.setattr(_native, "initialize_agent", functools.partial(ours))
            start()
            pyroscope.shutdown()
            agent_start.uninstall()
            start()
            assert agent.calls[-1]["server_address"] == ADDRESS
            agent_start.install(link)
            start()
            assert agent.calls[-1]["server_address"] != ADDRESS

    def test_removed_while_the_agent_runs(self, link):
        start()
        relay = agent_start._process.relay
        agent_start.uninstall()
        assert is_listening(relay.url)
        agent_start.install(link)
        assert pyroscope.shutdown() is True
        assert not is_listening(relay.url)

    @pytest.mark.usefixtures("reported")
    def test_failing_link_does_not_break_the_agent(self, agent, link):
        link.agent_started = lambda _: 1 / 0
        link.agent_stopped = lambda: 1 / 0
        assert start() is True
        assert pyroscope.shutdown() is True
        link.wants_relay = lambda: 1 / 0
        assert start() is True
        assert agent.calls[-1]["server_address"] == ADDRESS


def test_port_of_an_absent_server_causes_no_error():
    start(server_address=f"http://127.0.0.1:{closed_port()}")
    assert pyroscope.shutdown() is True
