# The example application under gunicorn, with the wheel built from this source.
FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN python3 -m venv /build && PATH=/build/bin:$PATH clients/python/build_wheel.sh /wheels

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 app
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir gunicorn /wheels/*.whl && rm -r /wheels
COPY clients/python/examples /app
WORKDIR /app
USER app
EXPOSE 8000 9090
CMD ["gunicorn", "--config", "gunicorn.conf.py", "wsgi_app:app"]
