"""Imports may come in any order. Each case runs in its own process."""

from __future__ import annotations

import pytest

from tests.support.child import run

SETUP = """
import contextvars, warnings
from opentelemetry.sdk.trace import TracerProvider
from tests.support.recorder import Recorder

recorder = Recorder()
pyroscope.add_thread_tag, pyroscope.remove_thread_tag = recorder.add, recorder.remove

def now():
    return recorder.now().get("span_name")
"""

PROCESSOR = """
from pyroscope_otel import PyroscopeSpanProcessor
from pyroscope_otel.link import failure
from pyroscope_otel.link.state import STATE
failure.reraise = True
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(PyroscopeSpanProcessor())
tracer = provider.get_tracer("tests")
"""

MODES = {"stack": "STATE.labels_only = False\n", "thread": "STATE.labels_only = True\n"}

INTERLEAVED = """
import asyncio
async def request(name):
    with tracer.start_as_current_span(name):
        for _ in range(3):
            assert now() == name, now()
            await asyncio.sleep(0)
            assert now() == name, now()
async def main():
    await asyncio.gather(request("A"), request("B"))
    assert now() is None
"""

# Code for each library that needs its hook.
USES = {
    "asyncio": INTERLEAVED + "asyncio.new_event_loop().run_until_complete(main())",
    "uvloop": INTERLEAVED + "import uvloop; uvloop.new_event_loop().run_until_complete(main())",
    "anyio": """
import anyio, anyio.to_thread
async def main():
    for name in "AB":
        with tracer.start_as_current_span(name):
            assert await anyio.to_thread.run_sync(now) == name
anyio.run(main)
""",
    "concurrent.futures": """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(1) as pool:
    for name in "AB":
        with tracer.start_as_current_span(name):
            assert pool.submit(now).result() == name
""",
    "asgiref.sync": """
from asgiref.sync import async_to_sync, sync_to_async
from opentelemetry.context import Context
async def main():
    with tracer.start_as_current_span("inner", context=Context()):
        assert await sync_to_async(now)() == "inner"
with tracer.start_as_current_span("outer"):
    async_to_sync(main)()
""",
    "greenlet": """
import greenlet
def work(name):
    with tracer.start_as_current_span(name):
        for _ in range(3):
            assert now() == name, now()
            greenlet.getcurrent().parent.switch()
            assert now() == name, now()
first, second = (greenlet.greenlet(work) for _ in range(2))
first.switch("A"); second.switch("B")
for _ in range(3):
    first.switch(); assert now() is None
    second.switch(); assert now() is None
""",
    "trio": """
import trio
async def request(name):
    with tracer.start_as_current_span(name):
        for _ in range(5):
            assert now() == name, now()
            await trio.lowlevel.checkpoint()
            assert now() == name, now()
            assert await trio.to_thread.run_sync(now) == name
async def main():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(request, "A")
        nursery.start_soon(request, "B")
trio.run(main)
""",
}

END = """
assert recorder.wrong == [] and recorder.left_behind() == {}, (recorder.wrong, recorder.on_thread)
print("right")
"""


@pytest.mark.parametrize("library", USES)
def test_imported_before_the_processor(library, attribution):
    pytest.importorskip(library)
    setup = SETUP + f"import {library}" + PROCESSOR + MODES[attribution]
    assert run(setup + USES[library] + END) == ["right"]


@pytest.mark.parametrize("library", USES)
def test_imported_after_the_processor(library, attribution):
    pytest.importorskip(library)
    setup = SETUP + PROCESSOR + MODES[attribution] + f"import {library}"
    assert run(setup + USES[library] + END) == ["right"]


def test_no_library_is_imported_by_us():
    """Neither by the package nor by the processor."""
    code = (
        SETUP
        + PROCESSOR
        + "print(*{'uvloop', 'anyio', 'asgiref', 'greenlet', 'trio', 'gevent'} & set(sys.modules))"
    )
    assert run(code) == [""]


def test_no_hook_is_installed_before_the_first_processor():
    code = (
        SETUP
        + """
import asyncio, concurrent.futures, opentelemetry.context
before = asyncio.Handle._run, concurrent.futures.ThreadPoolExecutor.submit, list(sys.meta_path)
import pyroscope_otel, pyroscope_otel.link.processor
after = asyncio.Handle._run, concurrent.futures.ThreadPoolExecutor.submit, list(sys.meta_path)
print(before == after)
"""
    )
    assert run(code) == ["True"]


@pytest.mark.parametrize("library", ["uvloop", "anyio.to_thread", "greenlet", "trio"])
def test_hooked_module_keeps_its_loader(library):
    """A reload works."""
    pytest.importorskip(library)
    code = f"""
import importlib, importlib.resources
import {library} as module
print(type(module.__loader__), type(module.__spec__.loader), module.__spec__.loader is module.__loader__)
"""  # noqa: E501
    reload = "" if library in ("uvloop", "greenlet", "trio") else "importlib.reload(module)\n"
    assert run(SETUP + PROCESSOR + code + reload) == run(SETUP + code + reload)


MODULE_DIRECTORY = """
import importlib, pathlib, tempfile
directory = tempfile.mkdtemp()
sys.path.insert(0, directory)
path = pathlib.Path(directory, "uvloop.py")
sys.modules.pop("uvloop", None)
"""


def test_library_that_is_not_installed():
    """Its import fails as usual."""
    code = """
class Nothing:
    def find_spec(self, name, path, target=None):
        if name == "uvloop":
            raise ModuleNotFoundError("No module named 'uvloop'", name="uvloop")
sys.meta_path.insert(1, Nothing())
for _ in range(2):
    try:
        import uvloop
    except ModuleNotFoundError as error:
        print(error, error.name)
"""
    assert run(SETUP + PROCESSOR + code) == ["No module named 'uvloop' uvloop"] * 2


def test_library_whose_import_fails():
    """Its exception arrives. A later import that works is hooked."""
    code = """
import asyncio
path.write_text("raise RuntimeError('broken')")
try:
    import uvloop
except RuntimeError as error:
    print(error, "uvloop" in sys.modules)
path.write_text('''
import asyncio
class Loop(asyncio.SelectorEventLoop):
    def run_forever(self):
        super().run_forever()
# Another length: the compiled file of the failed module must not be used.
''')
importlib.invalidate_caches()
import uvloop
print(uvloop.Loop.run_forever.__module__)
"""
    lines = run(SETUP + PROCESSOR + MODULE_DIRECTORY + code)
    assert lines == ["broken False", "pyroscope_otel.following.uvloop_steps"]


def test_library_that_the_hook_does_not_fit():
    """The application does not notice. The log says it once."""
    code = """
failure.reraise = False
class Printer(logging.Handler):
    def emit(self, record):
        print(record.name, record.levelname, record.getMessage().partition(";")[0])
logging.getLogger("pyroscope_otel").addHandler(Printer())
path.write_text("version = '9.0'")
import uvloop
print(uvloop.version)
"""
    lines = run(SETUP + PROCESSOR + MODULE_DIRECTORY + code)
    assert lines == ["pyroscope_otel ERROR pyroscope-otel failed to hook into uvloop", "9.0"]


def test_finding_a_spec_installs_no_hook():
    """The spec can be used."""
    code = """
import importlib.util
spec = importlib.util.find_spec("trio")
print("trio" in sys.modules, spec.loader.is_package("trio"), bool(spec.loader.get_code("trio")))
import trio
print(trio.to_thread.run_sync.__module__)
"""
    pytest.importorskip("trio")
    lines = run(SETUP + PROCESSOR + code)
    assert lines == ["False True True", "pyroscope_otel.following.worker_threads"]


def test_late_processor():
    """Scenario 47: made inside a running loop and a running trio, it works from there on."""
    pytest.importorskip("trio")
    code = """
import asyncio, trio
provider = TracerProvider(shutdown_on_exit=False)
tracer = provider.get_tracer("tests")
async def request(name, sleep):
    with tracer.start_as_current_span(name):
        for _ in range(4):
            assert now() == name, now()
            await sleep()
            assert now() == name, now()
async def asyncio_main():
    install()
    await asyncio.gather(*(request(name, lambda: asyncio.sleep(0)) for name in "AB"))
async def trio_main():
    install()
    async with trio.open_nursery() as nursery:
        for name in "AB":
            nursery.start_soon(request, name, trio.lowlevel.checkpoint)
def install():
    from pyroscope_otel import PyroscopeSpanProcessor
    from pyroscope_otel.link import failure
    failure.reraise = True
    provider.add_span_processor(PyroscopeSpanProcessor())
"""
    asyncio_first = "asyncio.new_event_loop().run_until_complete(asyncio_main())\n"
    assert run(SETUP + code + asyncio_first + END) == ["right"]
    assert run(SETUP + code + "trio.run(trio_main)\n" + END) == ["right"]
