"""The table of settings, compared with the agent's settings and with `Settings`."""

from __future__ import annotations

import dataclasses
import inspect

import pyroscope

from pyroscope_otel.setup.setting_table import TABLE, settings_table_markdown
from pyroscope_otel.setup.settings import Settings

NAMES = [row.name for row in TABLE]


def test_table_has_the_agents_settings_and_ours():
    theirs = set(inspect.signature(pyroscope.configure).parameters)
    assert {row.name for row in TABLE if not row.ours} == theirs - {"app_name", "native"}
    assert {row.name for row in TABLE if row.ours} == {
        "attribution",
        "auth_token",
        "enabled",
        "max_span_names",
        "span_labels",
        "start",
        "tracer_provider",
        "upload_buffer",
    }


def test_defaults_are_those_of_pyroscope_configure():
    """Except for the name, which has no default there, and the sampler, which is chosen."""
    parameters = inspect.signature(pyroscope.configure).parameters
    for row in TABLE:
        if not row.ours and row.name not in ("application_name", "cpu_implementation"):
            assert row.default == (parameters[row.name].default or type(row.default)()), row.name


def test_settings_has_one_attribute_for_each_row_in_the_same_order():
    fields = [field.name for field in dataclasses.fields(Settings)]
    assert fields == [*NAMES, "sources", "given"]


def test_environment_names_belong_to_one_setting_each():
    variables = [name for row in TABLE for name in row.environment]
    assert len(variables) == len(set(variables))
    assert all(name.startswith("PYROSCOPE_") for name in variables)


def test_every_default_but_the_absent_provider_is_an_allowed_value():
    for row in TABLE:
        if row.name != "tracer_provider":
            assert row.kind.check(row.default) == row.default


def test_markdown_has_a_row_for_each_setting():
    lines = settings_table_markdown().splitlines()
    assert len(lines) == 2 + len(TABLE)
    assert (
        "| `upload_interval` | `PYROSCOPE_UPLOAD_INTERVAL` | `10` | Seconds between two uploads. "
        "The environment variable includes the unit: `10s`. |"
    ) in lines
