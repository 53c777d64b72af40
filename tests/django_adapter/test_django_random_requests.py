"""Views at random, in each variant: each sample has its request's id, or its own root's."""

import anyio
import pytest
from django.http import StreamingHttpResponse

from tests.django_adapter.django_project import each_variant
from tests.support.asgi_server import Exchange, http
from tests.support.event_loops import each_loop, run
from tests.support.random_requests import AsyncUserCode, UserCode
from tests.support.wsgi_server import Exchange as WsgiExchange

COUNT = 9

# Django warns that it converts one kind of iterator into the other.
pytestmark = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")


def sync_view(code):
    def view(_request, item):  # noqa: ARG001
        return StreamingHttpResponse(code.stream(code.handle()))

    return view


def async_view(code):
    async def view(_request, item):  # noqa: ARG001
        return StreamingHttpResponse(code.stream(await code.handle()))

    return view


VIEWS = {UserCode: sync_view, AsyncUserCode: async_view}


@pytest.fixture
def code(request, provider, journal, recorder):
    return getattr(request, "param", UserCode)(provider, journal, recorder)


@each_variant
def test_wsgi(project, code):
    app = project(sync_view(code)).wsgi()
    for number in range(COUNT):
        WsgiExchange(take=(None, 1, 2)[number % 3]).serve(app)
        code.check_outside()
    assert code.requests == COUNT
    assert code.wrong == []


@each_loop
@pytest.mark.parametrize("code", VIEWS, indirect=True)
@each_variant
def test_asgi(project, code, new_loop):
    app = project(VIEWS[type(code)](code)).asgi()

    async def serve():
        await app(http(), *Exchange().ends)
        code.check_outside()

    async def main():
        async with anyio.create_task_group() as group:
            for _ in range(COUNT):
                group.start_soon(serve)
        code.check_outside()

    run(main, new_loop)
    assert code.requests == COUNT
    assert code.wrong == []
