# gunicorn --config gunicorn.conf.py wsgi_app:app
#
# The application listens at port 8000, its metrics at port 9090 (PROMETHEUS_METRICS_PORT).
bind = "0.0.0.0:8000"
workers = 4
worker_class = "metrifold.gunicorn.PrometheusWorker"
# Workers come and go; the totals do not care.
max_requests = 1000
max_requests_jitter = 100
