"""Following the greenlets in which SQLAlchemy's asyncio extension runs its sync code."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from contextlib import asynccontextmanager

import greenlet
import pytest
from opentelemetry.context import Context
from sqlalchemy import Column, Integer, MetaData, Table, event, insert, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.util import await_only, greenlet_spawn

from pyroscope_otel import following
from pyroscope_otel.link.held_request import hold_request, release, run_held_async
from pyroscope_otel.link.marks import MARKS, nearest_mark
from tests.support.child import run as run_child
from tests.support.event_loops import each_loop, run

THINGS = Table("things", MetaData(), Column("id", Integer, primary_key=True))


class GaveUp(BaseException):
    """A worker's timeout: not an `Exception`."""


@pytest.fixture(autouse=True)
def _no_trace_function():
    """Remove the thread's trace function: a thread gets it when it first gets labels."""
    before = greenlet.settrace(None)
    yield
    greenlet.settrace(before)


@pytest.fixture
def note(now):
    """Return a list, and a function that appends the name of the request here."""

    def note(*_, **__):
        note.seen.append(now())

    note.seen = []
    return note


async def serve_held(endpoint, *arguments):
    hold = hold_request({})
    try:
        return await run_held_async(hold, endpoint, *arguments)
    finally:
        release(hold)


@asynccontextmanager
async def engine_with(note):
    """Make an engine that calls `note` during each statement. Its own threads have no request."""
    engine = create_async_engine("sqlite+aiosqlite://")
    try:
        async with engine.begin() as connection:
            await connection.run_sync(THINGS.metadata.create_all)
        event.listen(engine.sync_engine, "before_cursor_execute", note)
        yield engine
    finally:
        await engine.dispose()


def in_use():
    """Return how many numbers are in use."""
    gc.collect()
    made, free = MARKS.count()
    return made - free


def root(tracer, name, **more):
    return tracer.start_as_current_span(name, context=Context(), **more)


@each_loop
def test_engine(tracer, note, new_loop):
    async def main():
        async with engine_with(note) as engine:
            with root(tracer, "A"):
                async with engine.begin() as connection:
                    await connection.execute(insert(THINGS).values(id=1))
                    assert list(await connection.execute(select(THINGS))) == [(1,)]
                    await connection.run_sync(note)
                note()
            note()

    run(main, new_loop)
    assert note.seen == ["A"] * 4 + [None]


@each_loop
def test_session(tracer, note, new_loop):
    async def main():
        async with engine_with(note) as engine:
            with root(tracer, "A"):
                async with AsyncSession(engine) as session, session.begin():
                    await session.execute(insert(THINGS).values(id=1))
                    assert await session.scalar(select(THINGS.c.id)) == 1
                    await session.run_sync(note)
                    stream = await session.stream(select(THINGS))
                    assert [row async for row in stream] == [(1,)]
                note()
            note()

    run(main, new_loop)
    assert note.seen == ["A"] * 5 + [None]


@each_loop
def test_interleaved_requests(tracer, now, new_loop):
    """Each has its own profile between switches, and the loop has none."""

    def work(name):
        for _ in range(5):
            seen.append(now() == name)
            await_only(asyncio.sleep(0))
            seen.append(now() == name)

    async def request(name):
        with root(tracer, name):
            await greenlet_spawn(work, name)
            seen.append(now() == name)

    async def main():
        asyncio.get_running_loop().call_soon(lambda: seen.append(now() is None))
        await asyncio.gather(*map(request, "ABC"))

    seen = []
    run(main, new_loop)
    assert seen == [True] * 34


@each_loop
@pytest.mark.usefixtures("marks_alone")
def test_held_request_never_calls_the_agent(tracer, note, recorder, new_loop):
    """The stack names the request, and greenlets are not traced."""

    async def request(engine, name):
        with tracer.start_as_current_span(name):
            async with engine.connect() as connection:
                await connection.execute(select(THINGS))
                await connection.run_sync(lambda _: marks.append(nearest_mark()))
            await asyncio.sleep(0)
            log.extend(recorder.log)
            traced.append(greenlet.gettrace())

    async def main():
        async with engine_with(note) as engine:
            await serve_held(request, engine, "A")

    marks, log, traced = [], [], []
    run(main, new_loop)
    assert note.seen == ["A"]
    assert None not in marks
    assert log == []
    assert traced == [None]


@each_loop
@pytest.mark.parametrize("held", [False, True], ids=["by_hand", "held"])
def test_spans_started_inside(tracer, note, new_loop, held):
    """A child span belongs to the request. Another root span ends before the next statement."""

    def work():
        # At once: the switch to the greenlet is followed before its mark is on the stack.
        with root(tracer, "B"):
            note()
        with tracer.start_as_current_span("child"):
            note()
            await_only(asyncio.sleep(0))
            note()
        with root(tracer, "B"):
            note()
            await_only(asyncio.sleep(0))
            note()
        note()

    async def serve():
        with root(tracer, "A"):
            await greenlet_spawn(work)
            note()

    async def main():
        await (serve_held(serve) if held else serve())
        note()

    run(main, new_loop)
    assert note.seen == ["B", "A", "A", "B", "B", "A", "A", None]


@each_loop
def test_arguments_and_result(tracer, new_loop):
    def work(*arguments, **named):
        return arguments, named

    async def main():
        with root(tracer, "A"):
            return await greenlet_spawn(work, 1, call=2, owner=3, host=4)

    assert run(main, new_loop) == ((1,), {"call": 2, "owner": 3, "host": 4})


@each_loop
@pytest.mark.parametrize("kind", [LookupError, GaveUp])
def test_errors_arrive_unchanged(tracer, note, new_loop, kind):
    def work():
        note()
        await_only(asyncio.sleep(0))
        raise error

    async def fail():
        raise error

    def wait_for_failure():
        try:
            await_only(fail())
        finally:
            note()

    async def main():
        with root(tracer, "A"):
            for function in (work, wait_for_failure):
                with pytest.raises(kind) as caught:
                    await greenlet_spawn(function)
                assert caught.value is error
                assert error.__context__ is None
                note()

    error = kind()
    run(main, new_loop)
    assert note.seen == ["A"] * 4


@each_loop
def test_cancelled_request(tracer, note, new_loop):
    def work():
        try:
            await_only(asyncio.sleep(60))
        finally:
            note()

    async def request():
        with root(tracer, "A"):
            await greenlet_spawn(work)

    async def main():
        task = asyncio.create_task(request())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        note()

    run(main, new_loop)
    assert note.seen == ["A", None]


@each_loop
def test_greenlet_of_no_request(recorder, note, new_loop):
    async def main():
        async with engine_with(note) as engine, engine.connect() as connection:
            await connection.run_sync(note)
            await connection.execute(select(THINGS))

    run(main, new_loop)
    assert note.seen == [None, None]
    assert recorder.log == []


@each_loop
def test_greenlet_made_after_the_root_ended(tracer, note, new_loop):
    """No hold keeps the profile open, so it belongs to none from its start."""

    async def main():
        with root(tracer, "A", end_on_exit=False) as span:
            span.end()
            await greenlet_spawn(note)

    run(main, new_loop)
    assert note.seen == [None]


@each_loop
@pytest.mark.parametrize("is_held", [True, False])
def test_greenlet_that_outlives_its_request(tracer, note, new_loop, is_held):
    """It belongs to the request until that ends, then to none."""

    def work():
        note()
        await_only(ended.wait())
        note()

    async def request():
        with root(tracer, "A") if not is_held else tracer.start_as_current_span("A"):
            task = asyncio.create_task(greenlet_spawn(work))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return task

    async def main():
        nonlocal ended
        ended = asyncio.Event()
        task = await (serve_held(request) if is_held else request())
        ended.set()
        await task

    ended = None
    run(main, new_loop)
    assert note.seen == ["A", None]


@each_loop
def test_numbers_are_free_again(tracer, note, new_loop):
    async def request(engine):
        with root(tracer, "A"):
            async with engine.connect() as connection:
                await connection.execute(select(THINGS))

    async def main():
        async with engine_with(note) as engine:
            await asyncio.gather(*(request(engine) for _ in range(3)))

    before = in_use()
    contextvars.Context().run(run, main, new_loop)
    assert note.seen == ["A"] * 3
    assert in_use() == before


@each_loop
def test_label_names_the_request_without_the_hook(tracer, note, recorder, new_loop):
    """A label is right for turns that are long enough."""

    async def main():
        async with engine_with(note) as engine:
            with root(tracer, "A"):
                async with engine.connect() as connection:
                    await connection.execute(select(THINGS))

    following.remove("SqlalchemyGreenlets")
    try:
        run(main, new_loop)
    finally:
        following.install()
    assert note.seen == ["A"]
    assert recorder.log != []


SYNCHRONOUS = """
import pyroscope_otel
from pyroscope_otel.link import failure
from pyroscope_otel import following
failure.reraise = True
pyroscope_otel.PyroscopeSpanProcessor()
before = "greenlet" in sys.modules
import sqlalchemy
hook = following.named("SqlalchemyGreenlets")
is_old = sqlalchemy.__version__.startswith("2.0")  # It imports greenlet itself.
print(before, is_old or "greenlet" not in sys.modules, hook.active)
import sqlalchemy.ext.asyncio
print("greenlet" in sys.modules, hook.active, len(hook._patches))
"""


def test_sqlalchemy_without_asyncio_imports_no_greenlet():
    """SQLAlchemy 2.1 imports greenlet to look up the class of its greenlets."""
    assert run_child(SYNCHRONOUS) == ["False True False", "True True 1"]


WITHOUT_GREENLET = """
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name == "greenlet":
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Hidden())
import pyroscope_otel
from pyroscope_otel.link import failure
failure.reraise = True
pyroscope_otel.PyroscopeSpanProcessor()
import sqlalchemy
print(sqlalchemy.create_engine("sqlite://").connect().scalar(sqlalchemy.text("select 7")))
try:
    import sqlalchemy.ext.asyncio
except ImportError as error:
    print("greenlet" in str(error))
else:
    print(True)
"""


def test_sqlalchemy_without_greenlet_installed():
    assert run_child(WITHOUT_GREENLET, python_arguments=["-W", "ignore"]) == ["7", "True"]
