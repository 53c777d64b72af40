"""Streaming responses: they belong to their request until they are closed.

OpenTelemetry's instrumentation ends the span before Django requests the first chunk. Under WSGI
the server's thread runs the iterator. Under ASGI the event loop does, or a worker thread for a
sync iterator.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from django.core.handlers.asgi import ASGIRequest

from pyroscope_otel.link import failure
from pyroscope_otel.link.held_request import release, run_held, run_held_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

    from pyroscope_otel.link.attribution import Hold


def hold_until_closed(
    request: HttpRequest, response: HttpResponseBase, hold: Hold
) -> HttpResponseBase:
    """Return the response, and release its request's profile when it is closed.

    A body that does not stream runs no more code, so the request ends now.
    """
    if not getattr(response, "streaming", False) or hold.profile_id is None:
        release(hold)
        return response
    try:
        # Under ASGI, Django does not close a response whose content failed.
        _hold(response, hold, is_closed_after_failure=not isinstance(request, ASGIRequest))
    except Exception:
        release(hold)
        failure.report("hold a streaming response")
    return response


def _hold(response: Any, hold: Hold, *, is_closed_after_failure: bool) -> None:
    # Not through `streaming_content` and an overridden `close`: both would create cycles, so an
    # unclosed response would stay alive. `FileResponse` would also lose its file, which the
    # server may send directly.
    kind = _AsyncContent if response.is_async else _Content
    response._iterator = kind(response._iterator, hold, is_closed_after_failure)  # noqa: SLF001  see above
    closers = response._resource_closers  # noqa: SLF001  Django's handlers append to it too
    closers[:] = [*(partial(_call, hold, closer) for closer in closers), partial(release, hold)]


def _call(hold: Hold, closer: Callable[[], object]) -> None:
    run_held(hold, closer)


class _Held:
    """The remaining content of a response.

    If nothing closes the response, because another replaced it or the client left before it was
    sent, the request is over when the content is dropped.
    """

    def __init__(self, iterator: Any, hold: Hold, is_closed_after_failure: bool) -> None:  # noqa: FBT001  passed on
        self._iterator = iterator
        self._hold = hold
        self._is_closed_after_failure = is_closed_after_failure

    def _fail(self) -> None:
        if not self._is_closed_after_failure:
            release(self._hold)

    def __del__(self) -> None:
        release(self._hold)


class _Content(_Held):
    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return run_held(self._hold, next, self._iterator)  # type: ignore[no-any-return]
        except StopIteration:
            raise
        except BaseException:
            self._fail()
            raise


class _AsyncContent(_Held):
    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await run_held_async(self._hold, _anext, self._iterator)  # type: ignore[no-any-return]
        except StopAsyncIteration:
            raise
        except BaseException:
            self._fail()
            raise


async def _anext(iterator: AsyncIterator[bytes]) -> bytes:
    return await anext(iterator)
