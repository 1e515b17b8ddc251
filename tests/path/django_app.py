"""An ordinary Django application with django-prometheus, and the events of app.py beside it."""

import os

import app
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

settings.configure(
    SECRET_KEY="not one",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django_prometheus"],
    MIDDLEWARE=[
        "django_prometheus.middleware.PrometheusBeforeMiddleware",
        "django_prometheus.middleware.PrometheusAfterMiddleware",
    ],
)


def view(request):
    body = app.app({"PATH_INFO": request.path, "REQUEST_METHOD": request.method}, lambda *_: None)
    return HttpResponse(body)


urlpatterns = [path("", view), path("idle", view)]
REQUESTS = os.open(os.path.join(os.environ["LEDGER"], "django"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
django = get_wsgi_application()


def application(environ, start_response):
    response = django(environ, start_response)
    # The middlewares have counted the request by now.
    os.write(REQUESTS, b".")
    return response
