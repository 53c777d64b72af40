"""Short forms for the arguments and results of the doctor's checks."""

from __future__ import annotations

from pyroscope_otel.setup.findings.finding import Level
from pyroscope_otel.tools.doctor.settings_check import check_settings
from pyroscope_otel.tools.doctor.target import target_of


def settings_of(**given):
    """Return settings from arguments."""
    checked = check_settings(given, environ={}, resource={})
    assert checked.settings is not None, checked.findings
    return checked.settings


def target(address, read_from=None, **given):
    """Return the target that follows from settings."""
    return target_of(settings_of(server_address=address, **given), read_from)


def codes(findings):
    """Return the codes of findings, with a `!` after those of problems."""
    return [finding.code + "!" * (finding.level is Level.PROBLEM) for finding in findings]


def the_finding(code, findings):
    """Return the one finding with this code."""
    (found,) = [finding for finding in findings if finding.code == code]
    return found
