"""A Flask application. Nothing in it knows of Metrifold.

gunicorn --worker-class metrifold.gunicorn.PrometheusThreadWorker --threads 4 flask_app:app
"""

from flask import Flask
from prometheus_client import Counter

VISITS = Counter("example_visits", "Visits of users' pages.")

app = Flask(__name__)


@app.get("/")
def home() -> str:
    return "home\n"


@app.get("/users/<int:user>")
def show(user: int) -> str:
    VISITS.inc()
    return f"user {user}\n"


@app.get("/fail")
def fail() -> str:
    raise LookupError("this page fails")
