"""The example applications, and the routes that each framework tells."""

from __future__ import annotations

import re
import shutil
import textwrap
from pathlib import Path

import pytest
from conftest import BINARY, WHY_NO_BINARY
from running import eventually, get, start  # noqa: F401

from metrifold.gunicorn import configure

pytestmark = [pytest.mark.skipif(not BINARY, reason=WHY_NO_BINARY), pytest.mark.timeout(120)]

EXAMPLES = Path(__file__).parents[1] / "examples"

# Example, worker, the route of a user's page.
CASES = [
    ("flask_app", "PrometheusThreadWorker", "/users/<int:user>"),
    ("django_app", "PrometheusWorker", "/users/<int:user>"),
    ("fastapi_app", "PrometheusAsgiWorker", "/users/{user}"),
    ("fastapi_app", "PrometheusUvicornWorker", "/users/{user}"),
    ("pyramid_app", "PrometheusGeventWorker", "/users/{user}"),
]


@pytest.mark.parametrize(("example", "worker", "route"), CASES)
def test_requests_are_told_apart_by_route_and_status_and_not_by_path(start, tmp_path, example, worker, route):
    shutil.copy(EXAMPLES / f"{example}.py", tmp_path)
    gunicorn = start(worker_class=f"metrifold.gunicorn.{worker}", module=example)
    gunicorn.serves()
    for user in range(5):
        get(gunicorn.port, f"/users/{user}")
    for path, status in (("/missing/1", "404"), ("/missing/2", "404"), ("/fail", "500")):
        with pytest.raises(OSError, match=status):
            get(gunicorn.port, path)

    def answers() -> dict[tuple[str, ...], float]:
        pattern = re.compile(r'endpoint="(.*)",method="(.*)",status="(.*)"')
        found = gunicorn.samples("gunicorn_requests_total").items()
        return {pattern.search(labels).groups(): value for labels, value in found}

    expected = {
        (route, "GET", "200"): 5,
        ("UNKNOWN", "GET", "404"): 2,
        ("/fail", "GET", "500"): 1,
        ("/", "GET", "200"): 1,
    }
    eventually(lambda: sum(answers().values()) == sum(expected.values()))
    assert answers() == expected
    assert gunicorn.total("example_visits_total") == 5
    assert "Warning" not in gunicorn.log()


STARLETTE = """
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route

    async def show(request):
        return PlainTextResponse("shown")

    admin = Starlette(routes=[Route("/jobs/{job}", show)])
    app = Starlette(routes=[Route("/", show), Route("/users/{user:int}", show), Mount("/admin", admin)])
"""


@pytest.mark.parametrize("worker", ["PrometheusAsgiWorker", "PrometheusUvicornWorker"])
def test_plain_starlette_tells_its_routes(start, tmp_path, worker):
    version = tuple(int(part) for part in pytest.importorskip("starlette").__version__.split(".")[:2])
    if version < (1, 7):
        pytest.skip("Starlette tells its routes from 1.7 on")
    (tmp_path / "application.py").write_text(textwrap.dedent(STARLETTE))
    gunicorn = start(worker_class=f"metrifold.gunicorn.{worker}")
    gunicorn.serves()
    for path in ("/users/1", "/users/2", "/admin/jobs/a", "/admin/jobs/b"):
        get(gunicorn.port, path)
    with pytest.raises(OSError, match="404"):
        get(gunicorn.port, "/missing")
    expected = {("/", "200"): 1, ("/users/{user:int}", "200"): 2, ("/jobs/{job}", "200"): 2, ("UNKNOWN", "404"): 1}
    expected = {f'{{endpoint="{route}",method="GET",status="{status}"}}': count for (route, status), count in expected.items()}
    eventually(lambda: gunicorn.total("gunicorn_requests_total") == sum(expected.values()))
    assert gunicorn.samples("gunicorn_requests_total") == expected


def test_the_plain_application_runs_with_the_example_configuration(start, tmp_path):
    for name in ("wsgi_app.py", "gunicorn.conf.py"):
        shutil.copy(EXAMPLES / name, tmp_path)
    gunicorn = start("--config", "gunicorn.conf.py", worker_class=None, module="wsgi_app")
    gunicorn.serves()
    eventually(lambda: gunicorn.samples("example_requests_total") == {'{path="/"}': 1.0})


@pytest.mark.parametrize(
    "line",
    [
        "from metrifold.gunicorn import *",
        "import metrifold.gunicorn; worker_class = metrifold.gunicorn.configure('gthread', namespace='shop')",
    ],
)
def test_one_line_of_a_configuration_is_enough(start, tmp_path, line):
    (tmp_path / "gunicorn.conf.py").write_text(line)
    gunicorn = start(worker_class=None)
    gunicorn.serves()
    eventually(lambda: gunicorn.total() == 1)
    assert gunicorn.total("gunicorn_worker_requests_total") == 1


def test_what_the_environment_says_stands_over_configure(monkeypatch):
    variables = {"PROMETHEUS_METRICS_PORT": "9200"}
    # A plain dictionary: what configure sets must end with the test.
    monkeypatch.setattr("os.environ", variables)
    assert configure("gevent", metrics_port=9100, namespace="shop") == "metrifold.gunicorn.PrometheusGeventWorker"
    assert variables == {"PROMETHEUS_METRICS_PORT": "9200", "METRIFOLD_NAMESPACE": "shop"}
    with pytest.raises(ValueError, match="there is no worker 'tornado'; use one of sync, gthread"):
        configure("tornado")
