"""Reads and checks the settings.

`setting_table` lists each setting, its type and its allowed values.
"""

from __future__ import annotations

import difflib
import inspect
import logging
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pyroscope

from pyroscope_otel.setup import sampler
from pyroscope_otel.setup import setting_kinds as kinds
from pyroscope_otel.setup.setting_table import BY_NAME, TABLE, Setting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

logger = logging.getLogger("pyroscope_otel")


class SettingsError(ValueError):
    """A setting is wrong. The message names the setting, its source and what is allowed."""


_OUR_VARIABLES = frozenset(name for setting in TABLE for name in setting.environment)

# The intended variables for misspelt ones: our variables, and the names that a setting suggests
# where another agent's convention won (PYROSCOPE_SAMPLE_RATE).
_SUGGESTIONS = {
    f"PYROSCOPE_{setting.name.upper()}": setting.environment[0]
    for setting in TABLE
    if setting.environment
} | {name: name for name in _OUR_VARIABLES}

# Similar but legitimate variables: those of the Java, .NET and Node.js agents, and those that
# Kubernetes sets for services whose name begins with pyroscope.
_OTHER_AGENTS_VARIABLES = re.compile(
    r"PYROSCOPE_("
    r"AGENT_ENABLED|ADHOC_SERVER_ADDRESS|SAMPLING_(RATE|DURATION|EVENT_ORDER)|LOG_LEVEL"
    r"|PROFILER_\w+|PROFILING_\w+_ENABLED|PROFILING_(UPLOAD_PERIOD|LOG_DIR)"
    r"|FLUSH_INTERVAL_MS|PROFILE_EXPORT_TIMEOUT|EXPORT_COMPRESSION_LEVEL_(JFR|LABELS)"
    r"|(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_[0-9]+_(TCP|UDP)(_\w+)?)?)"
    r")"
)
_warned_variables: set[str] = set()


@dataclass(frozen=True, repr=False)
class Settings:
    """All settings, checked.

    Attributes:
        sources: The source of each value, in words, by setting name.
        given: The names of settings that came from an argument or the framework, which means
            from this call rather than from the process.

    The other attributes are the settings of the table, in its units.
    """

    application_name: str
    server_address: str
    basic_auth_username: str
    basic_auth_password: str
    auth_token: str
    tenant_id: str
    http_headers: Mapping[str, str]
    tags: Mapping[str, str]
    sample_rate: int
    upload_interval: int
    oncpu: bool
    gil_only: bool
    cpu_enabled: bool
    cpu_implementation: str
    line_no: Any
    mem_enabled: bool
    mem_max_nframe: int
    mem_heap_sample_size: int
    mem_enable_mem_domain: bool
    report_pid: bool
    report_thread_id: bool
    report_thread_name: bool
    enable_logging: bool
    enabled: bool
    span_labels: tuple[str, ...]
    attribution: str
    max_span_names: int
    upload_buffer: int
    start: str
    tracer_provider: Any
    sources: Mapping[str, str] = field(compare=False)
    given: frozenset[str] = field(compare=False)

    def __repr__(self) -> str:
        shown = ", ".join(f"{row.name}={self.shown(row.name)}" for row in TABLE)
        return f"Settings({shown})"

    def shown(self, name: str) -> str:
        """Return a setting's value in a form without secrets."""
        value = getattr(self, name)
        if value == BY_NAME[name].default:
            return repr(value)
        kind = BY_NAME[name].kind
        return "'***'" if kind is kinds.HIDDEN else kind.show(value)

    def agent_arguments(self) -> dict[str, Any]:
        """Return the arguments for `pyroscope.configure`, except the sampler.

        Default values are omitted, because older releases do not know every argument.
        """
        arguments = {
            row.name: value
            for row in TABLE
            if not row.ours and (value := getattr(self, row.name)) != row.default
        }
        arguments.pop("cpu_implementation", None)
        arguments["application_name"] = self.application_name
        if self.auth_token:
            headers = {**self.http_headers, "Authorization": f"Bearer {self.auth_token}"}
            arguments["http_headers"] = headers
        return arguments


def read_settings(
    arguments: Mapping[str, object],
    *,
    framework: Mapping[str, object] | None = None,
    framework_name: str = "framework setting {}",
    environ: Mapping[str, str] | None = None,
    resource: Mapping[str, object] | None = None,
) -> Settings:
    """Read and check the settings.

    The order of precedence: arguments, the framework's settings, the environment, the
    OpenTelemetry resource, defaults.

    Args:
        arguments: Settings by name. None counts as not given.
        framework: The framework's settings, by name in lower case. None counts as not given.
        framework_name: How errors name one of the framework's settings, with `{}` for its name
            in upper case, such as "Django setting PYROSCOPE['{}']".
        environ: Environment variables. Default: those of the process. Empty ones count as not
            set.
        resource: The attributes of the tracer provider's OpenTelemetry resource, for
            `service.name` and `service.namespace`.

    Raises:
        SettingsError: If a name is unknown, a value is not allowed or two settings contradict
            each other.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for row in TABLE:
        values[row.name], sources[row.name] = row.default, "default"

    _read_resource(resource or {}, values, sources)
    _read_environment(environ, values, sources)
    given: set[str] = set()
    for named, called in (
        (framework or {}, lambda name: framework_name.replace("{}", name.upper())),
        (arguments, "argument {}".format),
    ):
        for name, value in named.items():
            row = _known(name, called)
            if value is None:
                continue
            sources[name] = called(name)
            values[name] = _checked(row, value, sources[name])
            given.add(name)

    _add_namespace(resource or {}, values)
    _refuse_contradictions(values, sources)
    _refuse_unsupported(values, sources)
    _warn_of_near_misses(environ)
    return Settings(**values, sources=sources, given=frozenset(given))


def _read_resource(
    resource: Mapping[str, object], values: dict[str, Any], sources: dict[str, str]
) -> None:
    service_name = resource.get("service.name")
    if service_name:
        values["application_name"] = str(service_name)
        sources["application_name"] = "OpenTelemetry resource attribute service.name"


def _read_environment(
    environ: Mapping[str, str], values: dict[str, Any], sources: dict[str, str]
) -> None:
    for row in TABLE:
        variable = next((name for name in row.environment if environ.get(name, "").strip()), None)
        if variable is None:
            continue
        source = f"environment variable {variable}"
        text = environ[variable].strip()
        allowed = row.kind.allowed_as_text or row.kind.allowed
        try:
            parsed = row.kind.parse(text)
        except (ValueError, RecursionError):
            raise _refusal(row, text, source, allowed) from None
        values[row.name] = _checked(row, parsed, source, text)
        sources[row.name] = source


def _known(name: str, called: Callable[[str], str]) -> Setting:
    row = BY_NAME.get(name)
    if row is not None:
        return row
    nearest = _named_like_variable(name) or difflib.get_close_matches(name.lower(), BY_NAME, n=1)
    meant = (
        f"did you mean {called(nearest[0])}?"
        if nearest
        else f"the settings are {', '.join(BY_NAME)}"
    )
    # The value is omitted: it may be a secret under a misspelt name.
    raise SettingsError(f"{called(name)} is not a setting; {meant}")


def _named_like_variable(name: str) -> list[str]:
    variable = f"PYROSCOPE_{name.upper()}"
    return [row.name for row in TABLE if variable in row.environment]


def _checked(row: Setting, value: object, source: str, text: str | None = None) -> Any:
    try:
        return row.kind.check(value)
    except ValueError:
        if text is None:
            raise _refusal(row, value, source, row.kind.allowed) from None
        allowed = row.kind.allowed_as_text or row.kind.allowed
        raise _refusal(row, text, source, allowed) from None


def _refusal(row: Setting, value: object, source: str, allowed: str) -> SettingsError:
    return SettingsError(f"{row.name} must be {allowed}; {source} is {row.kind.show(value)}")


def _add_namespace(resource: Mapping[str, object], values: dict[str, Any]) -> None:
    # Grafana's default link queries both labels. It finds nothing if the resource has a
    # namespace and the profiles do not.
    namespace = resource.get("service.namespace")
    if namespace:
        values["tags"] = {"service_namespace": str(namespace), **values["tags"]}


def _refuse_contradictions(values: Mapping[str, Any], sources: Mapping[str, str]) -> None:
    headers = {name.lower() for name in values["http_headers"]}
    user, password = values["basic_auth_username"], values["basic_auth_password"]
    _refuse_incomplete_login(user, password, sources)

    ways = []
    if user:
        ways.append(f"basic_auth_username ({sources['basic_auth_username']})")
    if values["auth_token"]:
        ways.append(f"auth_token ({sources['auth_token']})")
    if "authorization" in headers:
        ways.append(f"the header Authorization in http_headers ({sources['http_headers']})")
    if urlsplit(values["server_address"]).username is not None:
        ways.append(f"the user in server_address ({sources['server_address']})")
    if len(ways) > 1:
        raise SettingsError(
            f"only one way of authentication is allowed; given {' and '.join(ways)}"
        )

    if values["tenant_id"] and "x-scope-orgid" in headers:
        raise SettingsError(
            f"tenant_id ({sources['tenant_id']}) and the header X-Scope-OrgID in http_headers "
            f"({sources['http_headers']}) are the same thing; only one is allowed"
        )
    _refuse_stack_conflicts(values, sources)
    if not values["cpu_enabled"] and not values["mem_enabled"]:
        raise SettingsError(
            f"cpu_enabled ({sources['cpu_enabled']}) and mem_enabled ({sources['mem_enabled']}) "
            "are both False; at least one must be True, or enabled must be False"
        )


def _refuse_stack_conflicts(values: Mapping[str, Any], sources: Mapping[str, str]) -> None:
    if values["cpu_implementation"] != sampler.STACK:
        return
    for name, value, reason in (
        ("attribution", "thread", "it does not read thread labels"),
        ("oncpu", False, "it samples by CPU time"),
    ):
        if values[name] == value:
            raise SettingsError(
                f"cpu_implementation 'stack' ({sources['cpu_implementation']}) cannot be used with "
                f"{name} {value!r} ({sources[name]}): {reason}"
            )


def _refuse_incomplete_login(user: str, password: str, sources: Mapping[str, str]) -> None:
    if bool(user) == bool(password):
        return
    there, missing = "basic_auth_username", "basic_auth_password"
    if password:
        there, missing = missing, there
    variable = BY_NAME[missing].environment[0]
    raise SettingsError(
        f"{there} ({sources[there]}) needs {missing} (environment variable {variable}) as well"
    )


def _refuse_unsupported(values: Mapping[str, Any], sources: Mapping[str, str]) -> None:
    known = inspect.signature(pyroscope.configure).parameters
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in known.values()):
        return  # It is wrapped, so its parameters are unknown.
    for row in TABLE:
        if row.name == "cpu_implementation" and values[row.name] != sampler.STACK:
            continue  # An agent without this argument uses PySpy.
        if not row.ours and values[row.name] != row.default and row.name not in known:
            raise SettingsError(
                f"{row.name} ({sources[row.name]}) needs a newer release of pyroscope-io"
            )


def _warn_of_near_misses(environ: Mapping[str, str]) -> None:
    for name in environ:
        if not name.startswith("PYROSCOPE_") or name in _OUR_VARIABLES:
            continue
        if name in _warned_variables or _OTHER_AGENTS_VARIABLES.fullmatch(name):
            continue
        nearest = difflib.get_close_matches(name, _SUGGESTIONS, n=1, cutoff=0.85)
        if nearest:
            _warned_variables.add(name)
            logger.warning(
                "Environment variable %s is not read; did you mean %s?",
                name,
                _SUGGESTIONS[nearest[0]],
            )
