"""A program with loops nested by `nest_asyncio`, for `test_asyncio_loops`.

The recorder takes the agent's place before our package is imported.
"""

# ruff: noqa: E402

from __future__ import annotations

import asyncio
import warnings

warnings.simplefilter("ignore")

import nest_asyncio
import pyroscope
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider

from tests.support.recorder import Recorder

recorder = Recorder()
pyroscope.add_thread_tag, pyroscope.remove_thread_tag = recorder.add, recorder.remove

from pyroscope_otel import PyroscopeSpanProcessor
from pyroscope_otel.link import failure

failure.reraise = True
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(PyroscopeSpanProcessor())
tracer = provider.get_tracer("tests")
nest_asyncio.apply()


def now():
    return recorder.now().get("span_name")


async def beside():
    with tracer.start_as_current_span("beside", context=Context()):
        for _ in range(5):
            assert now() == "beside"
            await asyncio.sleep(0)


async def inner(outer):
    assert now() == "outer"
    with tracer.start_as_current_span("inner", context=Context()):
        await asyncio.sleep(0)
        assert now() == "inner"
        outer.end()
    await asyncio.sleep(0)
    assert now() is None


async def main():
    other = asyncio.ensure_future(beside())
    with tracer.start_as_current_span("outer", end_on_exit=False) as outer:
        loop = asyncio.get_running_loop()
        loop.run_until_complete(inner(outer))
        assert now() is None, now()
        await asyncio.sleep(0)
        assert now() is None, now()
    await other


asyncio.new_event_loop().run_until_complete(main())
assert recorder.wrong == []
assert recorder.left_behind() == {}
print("right")
