"""Views at random, in each variant: each sample has its request's id, or its own root's."""

import pytest
from django.http import StreamingHttpResponse

from tests.django_adapter.django_project import each_variant
from tests.support.event_loops import each_loop, run
from tests.support.random_requests import AsyncUserCode, UserCode

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
    code.serve_in_turn(project(sync_view(code)).wsgi())
    code.check()


@each_loop
@pytest.mark.parametrize("code", VIEWS, indirect=True)
@each_variant
def test_asgi(project, code, new_loop):
    app = project(VIEWS[type(code)](code)).asgi()
    run(lambda: code.serve_at_once(app), new_loop)
    code.check()
