"""A FastAPI application. Nothing in it knows of Metrifold.

gunicorn --worker-class metrifold.gunicorn.PrometheusAsgiWorker fastapi_app:app

With a gunicorn that has no asgi worker yet: metrifold.gunicorn.PrometheusUvicornWorker.
"""

from fastapi import APIRouter, FastAPI
from prometheus_client import Counter

VISITS = Counter("example_visits", "Visits of users' pages.")

app = FastAPI()
users = APIRouter(prefix="/users")


@app.get("/")
async def home() -> str:
    return "home"


@users.get("/{user}")
async def show(user: int) -> str:
    VISITS.inc()
    return f"user {user}"


@app.get("/fail")
async def fail() -> str:
    raise LookupError("this page fails")


app.include_router(users)
