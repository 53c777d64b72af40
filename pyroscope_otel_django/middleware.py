"""The middleware, which holds a request's profile open until its response is closed."""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured, MiddlewareNotUsed

from pyroscope_otel.link.held_request import (
    held_by,
    hold_request,
    no_leftover_span,
    release,
    run_held,
    run_held_async,
)
from pyroscope_otel.link.sampled import is_followed_here
from pyroscope_otel.setup.settings import SettingsError
from pyroscope_otel_django.configuration import configure
from pyroscope_otel_django.instrumentation import MIDDLEWARE, end_span, finish_span
from pyroscope_otel_django.streaming import hold_until_closed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

    from pyroscope_otel.link.attribution import Hold
    from pyroscope_otel.link.profile import Profile

APP = "pyroscope_otel_django"


class PyroscopeMiddleware:
    """Links the requests of a Django project with their profiles.

    Put it first in `MIDDLEWARE`: middleware above it is outside of the request's profile. Each
    request has its profile's id as `pyroscope_profile_id`. The id is None before the root span
    starts, if the span is not sampled, and if samples do not carry the id.

    Args:
        get_response: The rest of the middleware chain and the view, from Django.

    Raises:
        ImproperlyConfigured: If the app is not installed, or a setting is wrong.
        MiddlewareNotUsed: If the setting `ENABLED` is False.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        if not apps.is_installed(APP):
            raise ImproperlyConfigured(
                f"{MIDDLEWARE} is in MIDDLEWARE, but its app is not installed: "
                f"add {APP!r} to INSTALLED_APPS"
            )
        # Only processes that serve requests load the middleware: `runserver` does, but not its
        # reloader or other commands.
        try:
            is_enabled = configure()
        except (SettingsError, ImportError) as error:
            raise ImproperlyConfigured(str(error)) from error
        if not is_enabled:
            raise MiddlewareNotUsed("PYROSCOPE['ENABLED'] is False")
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Serve one request as Django middleware."""
        if self._is_async:
            return self._serve_async(request)
        hold = _hold(request)
        if hold is None:
            return self._respond(request)
        try:
            response = run_held(hold, self._respond, request)
        except BaseException:
            release(hold)
            raise
        return hold_until_closed(request, response, hold)

    def _respond(self, request: HttpRequest) -> HttpResponseBase:
        with no_leftover_span():
            try:
                response: HttpResponseBase = self._get_response(request)
            except BaseException as error:
                finish_span(request, error)
                raise
            return response

    async def _serve_async(self, request: HttpRequest) -> HttpResponseBase:
        hold = _hold(request)
        try:
            if hold is None:
                return await self._respond_async(request)
            response: HttpResponseBase = await run_held_async(hold, self._respond_async, request)
        except BaseException as error:
            # The instrumentation is never below us here, but may be above.
            end_span(request, error)
            if hold is not None:
                release(hold)
            raise
        return hold_until_closed(request, response, hold)

    async def _respond_async(self, request: HttpRequest) -> HttpResponseBase:
        with no_leftover_span():
            response: HttpResponseBase = await self._get_response(request)
        return response


def _hold(request: HttpRequest) -> Hold | None:
    """Return a hold on the request, or None if the server's side already holds it."""
    # Typed as a mapping, but it is the server's own dict.
    place = cast("dict[str, Any]", getattr(request, "scope", request.META))
    ours = hold_request(place)
    hold = ours or held_by(place)
    if hold is not None:
        shown = hold.profile_id if is_followed_here() else None
        request.pyroscope_profile_id = shown  # type: ignore[attr-defined]
        # Weak: tasks that outlive the request may keep its hold, but must not keep the request.
        hold.on_profile = partial(_set_profile_id, weakref.ref(request))
    return ours


def _set_profile_id(request: weakref.ref[HttpRequest], profile: Profile) -> None:
    target = request()
    if target is not None and is_followed_here():
        target.pyroscope_profile_id = profile.id  # type: ignore[attr-defined]
