"""The route template that answered a request, ``/users/<id>`` and not ``/users/17``: a label must not grow with the visitors.

Flask, FastAPI and Starlette (1.7 and newer) need nothing. Django: put ``metrifold.gunicorn.routes.DjangoMiddleware`` into
MIDDLEWARE. Pyramid: ``config.include("metrifold.gunicorn.routes")``. Anything else:
``environ[metrifold.gunicorn.routes.KEY] = "/users/<id>"``, or the same in an ASGI scope.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

#: Where a request's environment, or its ASGI scope, holds the route template.
KEY = "metrifold.route"
#: Where a request of gunicorn's does, after it has failed.
ATTRIBUTE = "_metrifold_route"


def of_scope(scope: Any) -> str | None:
    """The route of an ASGI request that was answered."""
    if (route := scope.get(KEY)) is not None:
        return str(route)
    # FastAPI and, from 1.7 on, Starlette leave the route here. The prefix of a mounted application is left out: where it has
    # parameters, the scope holds what the visitor wrote there.
    path = getattr(scope.get("route"), "path", None)
    return None if path is None else str(path)


def follow_frameworks() -> None:
    """Connects to what the application has imported. Called after it was loaded, and harmless when called again."""
    if (flask := sys.modules.get("flask")) is not None:
        # By a signal of Flask's own; a weak reference to a function of a module lasts.
        flask.request_started.connect(_of_flask)


def _of_flask(_application: Any, **_: Any) -> None:
    from flask import request

    if request.url_rule is not None:
        request.environ[KEY] = request.url_rule.rule


class DjangoMiddleware:
    """For Django's MIDDLEWARE, at any place."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response

    def __call__(self, request: Any) -> Any:
        """Passes the request on."""
        return self._get_response(request)

    def process_view(self, request: Any, _view: Any, _arguments: Any, _keywords: Any) -> None:
        """Called once the route is known."""
        # An ASGI request's META is made up by Django; the server sees its scope.
        place = getattr(request, "scope", None) or request.META
        place[KEY] = "/" + request.resolver_match.route.lstrip("/^")


def includeme(config: Any) -> None:
    """For Pyramid's ``config.include``."""
    config.add_subscriber(_of_pyramid, "pyramid.events.ContextFound")


def _of_pyramid(event: Any) -> None:
    if (route := getattr(event.request, "matched_route", None)) is not None:
        event.request.environ[KEY] = route.pattern
