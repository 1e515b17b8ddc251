//! Harness and suites for the whole path: real Redis, gunicorn, Prometheus.
