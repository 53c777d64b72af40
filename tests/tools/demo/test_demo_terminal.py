"""Progress is shown on a terminal, and not elsewhere."""

from __future__ import annotations

import io
import sys

import pytest

from pyroscope_otel.tools.demo.terminal import Terminal


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self):
        return True


@pytest.fixture
def printed(request, monkeypatch):
    output = request.param()
    monkeypatch.setattr(sys, "stdout", output)
    terminal = Terminal()
    terminal.say("one")
    terminal.progress("two ...")
    terminal.progress("three ...")
    terminal.say("four")
    terminal.progress("five ...")
    terminal.clear()
    return output.getvalue()


@pytest.mark.parametrize("printed", [Screen], indirect=True)
def test_progress_is_updated_in_place_on_a_terminal(printed):
    clear = "\r\x1b[K"
    assert printed == f"one\ntwo ...{clear}three ...{clear}four\nfive ...{clear}"


@pytest.mark.parametrize("printed", [io.StringIO], indirect=True)
def test_only_whole_lines_are_printed_elsewhere(printed):
    assert printed == "one\nfour\n"
