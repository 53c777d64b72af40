"""A mark's frame in tracebacks and debuggers: its name, and its number as the line."""

from __future__ import annotations

import faulthandler
import inspect
import io
import linecache
import pdb  # noqa: T100  what it shows is tested
import sys
import traceback
import warnings

import pytest

from pyroscope_otel.link.marks import FILENAME, NUMBERS, Mark

NAME = "pyroscope_otel_mark"

# Small and large: lines are stored by their distance from the first.
each_number = pytest.mark.parametrize("number", [1, 2, 127, 128, 40_000, NUMBERS - 1])


def run(mark, call, *arguments):
    return mark.run(call, *arguments)


each_kind = pytest.mark.parametrize("through", [run])


def frames():
    """Return the frames of marks below the caller."""
    found, frame = [], sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename == FILENAME:
            found.append(frame)
        frame = frame.f_back
    return found


def fail():
    raise LookupError


def failure(through, mark):
    with pytest.raises(LookupError) as caught:
        through(mark, fail)
    return caught.value


@each_number
@each_kind
def test_frame_of_a_mark(through, number):
    (frame,) = through(Mark(number), frames)
    code = frame.f_code
    assert code.co_firstlineno == number
    # At its start and end a coroutine may have no line (CPython 3.12): it calls nothing there.
    assert {line for _, _, line in code.co_lines()} - {None} == {number}
    assert code.co_name == NAME
    if sys.version_info >= (3, 11):
        assert code.co_qualname == NAME
        assert {position[0] for position in code.co_positions()} - {None} == {number}
    assert frame.f_globals["__name__"] == "pyroscope_otel"


@each_number
@each_kind
def test_running_frame_has_the_number_as_its_line(through, number):
    assert through(Mark(number), lambda: [frame.f_lineno for frame in frames()]) == [number]


def test_frames_of_two_marks():
    """The nearest comes first."""
    outer, inner = Mark(300), Mark(7)
    assert [frame.f_lineno for frame in outer.run(inner.run, frames)] == [7, 300]


def test_every_mark_has_the_same_strings():
    """The agent keeps each string that it has seen."""
    codes = [mark.run.__code__ for mark in (Mark(7), Mark(300))]
    assert len({(code.co_filename, code.co_name) for code in codes}) == 1


@each_number
@each_kind
def test_traceback(through, number):
    """It shows no source line."""
    error = failure(through, Mark(number))
    (entry,) = [one for one in traceback.extract_tb(error.__traceback__) if one.name == NAME]
    assert (entry.filename, entry.lineno, entry.line) == (FILENAME, number, "")
    lines = "".join(traceback.format_exception(error)).splitlines()
    shown = lines.index(f'  File "{FILENAME}", line {number}, in {NAME}')
    assert lines[shown + 1].lstrip().startswith('File "')


@each_kind
def test_inspect(through):
    def look():
        (found,) = [one for one in inspect.stack() if one.function == NAME]
        return found

    found = through(Mark(300), look)
    assert (found.filename, found.lineno, found.code_context) == (FILENAME, 300, None)
    with pytest.raises(OSError, match="source code"):
        inspect.getsource(found.frame)


@each_number
@each_kind
def test_faulthandler(through, number, tmp_path):
    with (tmp_path / "dump").open("w+") as file:
        through(Mark(number), lambda: faulthandler.dump_traceback(file, all_threads=False))
        file.seek(0)
        assert f'  File "{FILENAME}", line {number} in {NAME}\n' in file.read()


@each_kind
def test_trace_function(through):
    def trace(frame, event, _argument):
        if frame.f_code.co_filename == FILENAME:
            seen.append((event, frame.f_lineno))
        return trace

    seen, before = [], sys.gettrace()
    sys.settrace(trace)
    try:
        through(Mark(300), len, ())
    finally:
        sys.settrace(before)
    assert {line for _, line in seen} == {300}
    assert {event for event, _ in seen} >= {"call", "line", "return"}


def test_linecache():
    assert linecache.getline(FILENAME, 1) == linecache.getline(FILENAME, 300) == ""


@each_kind
def test_debugger(through):
    """`where` shows a frame without source."""

    def stop():
        debugger.set_trace()
        return 7

    out, before = io.StringIO(), sys.gettrace()
    commands = io.StringIO("where\nup\nup\ncontinue\n")
    debugger = pdb.Pdb(stdin=commands, stdout=out, nosigint=True, readrc=False)
    try:
        assert through(Mark(300), stop) == 7
    finally:
        sys.settrace(before)
    assert f"{FILENAME}(300){NAME}()" in out.getvalue()
    assert "Traceback" not in out.getvalue()


def test_warning_about_the_caller():
    """The caller of the code that warns is a mark."""
    with pytest.warns(DeprecationWarning, match="outdated") as caught:
        Mark(300).run(warnings.warn, "outdated", DeprecationWarning)
    (warning,) = caught
    assert (warning.filename, warning.lineno) == (FILENAME, 300)
    shown = warnings.formatwarning("outdated", warning.category, FILENAME, 300)
    assert shown == f"{FILENAME}:300: DeprecationWarning: outdated\n"
