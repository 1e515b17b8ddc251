"""app.py under uWSGI as prometheus_client's manual has it: files are named for worker ids, which are used again."""

import uwsgi
from prometheus_client import values

values.ValueClass = values.MultiProcessValue(uwsgi.worker_id)

from app import app as application  # noqa: E402, F401
