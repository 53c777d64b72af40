"""How tools show a mark: its frame explains itself, and every tool works as before."""

from __future__ import annotations

import cProfile
import faulthandler
import inspect
import io
import logging
import pdb  # noqa: T100  it is what is tested
import pstats
import sys
import tempfile
import traceback
import warnings

import pytest
from sentry_sdk.utils import event_from_exception

from pyroscope_otel.link.marks import FILENAME, MARKS
from tests.support.child import run

NAME = "pyroscope_otel_mark"


class AppError(Exception):
    """An error of the application."""


@pytest.fixture
def mark():
    mark = MARKS.take()
    yield mark
    MARKS.give_back(mark)


def fail():
    raise AppError


def caught(mark, call=fail):
    with pytest.raises(AppError) as raised:
        mark.run(call)
    return raised.value


# Python's own tools


def test_traceback_has_one_line_for_a_mark(mark):
    lines = traceback.format_exception(caught(mark))
    assert [line for line in lines if FILENAME in line] == [
        f'  File "{FILENAME}", line {mark.number}, in {NAME}\n'
    ]


def test_logging_prints_the_traceback(mark, caplog):
    logging.getLogger("app").error("it failed", exc_info=caught(mark))
    assert NAME in caplog.text


def test_inspect_stack(mark):
    frame = mark.run(lambda: inspect.stack())[1]  # noqa: PLW0108  in its own frame
    assert (frame.filename, frame.lineno, frame.function) == (FILENAME, mark.number, NAME)
    assert frame.code_context is None
    assert frame.frame.f_globals["__name__"] == "pyroscope_otel"
    with pytest.raises(OSError, match="could not get source code"):
        inspect.getsource(frame.frame)


def test_faulthandler(mark):
    with tempfile.TemporaryFile("w+") as file:
        mark.run(faulthandler.dump_traceback, file, False)  # noqa: FBT003  marks pass no names on
        file.seek(0)
        assert f'File "{FILENAME}", line {mark.number} in {NAME}\n' in file.read()


def test_pdb_where(mark):
    output = io.StringIO()
    debugger = pdb.Pdb(stdin=io.StringIO("where\nup\nup\nlist\np 6 * 7\n"), stdout=output)
    debugger.use_rawinput = False
    debugger.reset()
    error = caught(mark)
    debugger.interaction(None, error.__traceback__)
    assert f"{FILENAME}({mark.number}){NAME}()" in output.getvalue()
    assert "42" in output.getvalue()


def test_settrace(mark):
    seen = []

    def trace(frame, event, _):
        if frame.f_code.co_filename == FILENAME:
            seen.append((event, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        mark.run(int)
    finally:
        sys.settrace(before)
    assert seen == [(event, mark.number) for event in ("call", "line", "return")]


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 12),
    reason="new in Python 3.12; on 3.13.0 no line event came, for an unknown reason",
)
def test_monitoring(mark):
    tool, seen = sys.monitoring.PROFILER_ID, []
    events = sys.monitoring.events
    sys.monitoring.use_tool_id(tool, "tests")
    try:
        sys.monitoring.register_callback(
            tool, events.LINE, lambda code, line: seen.append((code.co_filename, line))
        )
        sys.monitoring.set_events(tool, events.LINE)
        mark.run(int)
    finally:
        sys.monitoring.set_events(tool, 0)
        sys.monitoring.free_tool_id(tool)
    assert (FILENAME, mark.number) in seen


def test_cprofile_has_a_row_for_each_number(mark):
    other = MARKS.take()
    profile = cProfile.Profile()
    with profile:
        mark.run(int)
        other.run(int)
    rows = {row for row in pstats.Stats(profile).stats if row[0] == FILENAME}
    MARKS.give_back(other)
    assert rows == {(FILENAME, each.number, NAME) for each in (mark, other)}


def test_stacklevel_counts_the_frame(mark):
    """As it counts any framework's function between caller and callee."""

    def warn():
        warnings.warn("is old", stacklevel=2)

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        mark.run(warn)
        mark.run(lambda: warn())  # noqa: PLW0108  its own frame
    by_mark, by_lambda = seen
    assert (by_mark.filename, by_mark.lineno) == (FILENAME, mark.number)
    assert by_lambda.filename == __file__


def test_logging_finds_its_caller(mark, caplog):
    mark.run(lambda: logging.getLogger("app").warning("here"))
    mark.run(logging.getLogger("app").warning, "by the mark itself")
    here, by_mark = caplog.records
    assert here.pathname == __file__
    assert (by_mark.pathname, by_mark.funcName) == (FILENAME, NAME)


# Error pages


def test_flask_debug_page(mark):
    """Werkzeug makes it."""
    from werkzeug.debug.tbtools import DebugTraceback

    frames = [frame.name for frame in DebugTraceback(caught(mark)).all_frames]
    assert frames[-1] == "fail"
    assert NAME not in frames


def test_django_debug_page():
    code = """
import django
from django.conf import settings
settings.configure(DEBUG=True, SECRET_KEY="none", ROOT_URLCONF="urls")
urls = type(sys)("urls")
urls.urlpatterns = []
sys.modules["urls"] = urls
django.setup()
from django.test import RequestFactory
from django.views.debug import technical_500_response
from pyroscope_otel.link.marks import MARKS

def fail():
    raise LookupError

try:
    MARKS.take().run(fail)
except LookupError:
    page = technical_500_response(RequestFactory().get("/"), *sys.exc_info()).content.decode()
    page = page.partition("Traceback Switch")[0].partition('id="pastebinTraceback"')[0]
print("fail" in page, "pyroscope_otel_mark" in page)
"""
    assert run(code) == ["True False"]


def test_starlette_debug_page(mark):
    """It shows the frame without source."""
    from starlette.middleware.errors import ServerErrorMiddleware

    page = ServerErrorMiddleware(None, debug=True).generate_html(caught(mark))
    assert NAME in page
    assert "fail" in page


def test_sentry(mark):
    event, _ = event_from_exception(caught(mark))
    frames = event["exception"]["values"][-1]["stacktrace"]["frames"]
    assert [frame["function"] for frame in frames][-1] == "fail"
    assert NAME not in {frame["function"] for frame in frames}


# Coverage


COVERED = """
import coverage
measured = coverage.Coverage(data_file=None, source=None, branch=True)
measured.start()
from pyroscope_otel.link.marks import MARKS

with open("app.py", "w") as file:
    file.write("def view(flag):\\n    if flag:\\n        return 1\\n    return 2\\n")
sys.path.insert(0, ".")
import app
for _ in range(3):
    MARKS.take().run(app.view, True)
measured.stop()
data = measured.get_data()
(measured_app,) = [name for name in data.measured_files() if name.endswith("app.py")]
print(sorted(data.lines(measured_app)))
print([name for name in data.measured_files() if "<" in name])
report = measured.report(include=["*/app.py"], file=open(os.devnull, "w"))
print(report)
"""


def test_coverage(tmp_path):
    code = f"import os; os.chdir({str(tmp_path)!r})\n" + COVERED
    lines, names, _ = run(code)
    assert lines == "[1, 2, 3]"
    assert names == "[]"
