"""A Django application in one file. Its only line for Metrifold is the middleware, which tells the route's name.

gunicorn --worker-class metrifold.gunicorn.PrometheusWorker django_app:app
"""

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from prometheus_client import Counter

settings.configure(
    ALLOWED_HOSTS=["*"],
    MIDDLEWARE=["metrifold.gunicorn.routes.DjangoMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="an example has no secrets",
)

VISITS = Counter("example_visits", "Visits of users' pages.")


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse("home\n")


def show(request: HttpRequest, user: int) -> HttpResponse:
    VISITS.inc()
    return HttpResponse(f"user {user}\n")


def fail(request: HttpRequest) -> HttpResponse:
    raise LookupError("this page fails")


urlpatterns = [path("", home), path("users/<int:user>", show), path("fail", fail)]

app = get_wsgi_application()
