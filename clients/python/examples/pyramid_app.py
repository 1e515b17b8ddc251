"""A Pyramid application. Its only line for Metrifold is the include, which tells the route's name.

gunicorn --worker-class metrifold.gunicorn.PrometheusWorker pyramid_app:app
"""

from prometheus_client import Counter
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

VISITS = Counter("example_visits", "Visits of users' pages.")


def home(request: Request) -> Response:
    return Response("home\n")


def show(request: Request) -> Response:
    VISITS.inc()
    return Response(f"user {request.matchdict['user']}\n")


def fail(request: Request) -> Response:
    raise LookupError("this page fails")


with Configurator() as config:
    config.include("metrifold.gunicorn.routes")
    config.add_route("home", "/")
    config.add_route("show", "/users/{user}")
    config.add_route("fail", "/fail")
    config.add_view(home, route_name="home")
    config.add_view(show, route_name="show")
    config.add_view(fail, route_name="fail")
    app = config.make_wsgi_app()
