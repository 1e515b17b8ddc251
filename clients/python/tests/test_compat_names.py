"""The names that gunicorn_prometheus_exporter 0.2.4 has, at their places."""

from __future__ import annotations

import importlib
import os
import subprocess
import textwrap

import pytest
from conftest import BINARY, WHY_NO_BINARY
from gunicorn_prometheus_exporter import plugin
from running import eventually, get, interpreter, start  # noqa: F401

from metrifold.gunicorn import WorkerClassError

needs_binary = pytest.mark.skipif(not BINARY, reason=WHY_NO_BINARY)

CONFIGURATION = """
    ExporterConfig ConfigManager ConfigState get_config_manager initialize_config get_config cleanup_config load_yaml_config
"""
SERVICE = """
    RedisStorageManager get_redis_storage_manager setup_redis_metrics teardown_redis_metrics is_redis_enabled get_redis_client
    cleanup_redis_keys get_redis_collector
"""
# What each module lists in its __all__, or else has in public. Left out is what compat/README.md says.
NAMES = {
    "": f"""
        PrometheusWorker PrometheusThreadWorker PrometheusEventletWorker PrometheusGeventWorker PrometheusMaster registry
        get_prometheus_eventlet_worker get_prometheus_gevent_worker EVENTLET_AVAILABLE GEVENT_AVAILABLE RedisStorageManager
        get_redis_storage_manager setup_redis_metrics teardown_redis_metrics is_redis_enabled {CONFIGURATION}
    """,
    ".backend": f"{SERVICE} RedisMultiProcessCollector RedisStorageClient RedisStorageDict RedisValueClass",
    ".backend.core": """
        redis_key RedisValue get_redis_value_class mark_process_dead_redis cleanup_process_keys_for_pid CleanupUtilsMixin
        RedisStorageClient RedisStorageDict RedisValueClass RedisMultiProcessCollector REDIS_COLLECTOR_AVAILABLE
    """,
    ".backend.core.client": "RedisStorageClient RedisStorageDict RedisValueClass",
    ".backend.core.collector": "RedisMultiProcessCollector",
    ".backend.core.dict": "redis_key",
    ".backend.core.values": """
        RedisValue get_redis_value_class mark_process_dead_redis cleanup_process_keys_for_pid CleanupUtilsMixin
    """,
    ".backend.service": f"{SERVICE} FactoryUtilsMixin",
    ".backend.service.manager": f"{SERVICE} FactoryUtilsMixin",
    ".config": CONFIGURATION,
    ".config.loader": "load_yaml_config",
    ".config.manager": "ConfigManager ConfigState get_config_manager initialize_config get_config cleanup_config",
    ".config.settings": "ExporterConfig",
    ".hooks": """
        HookContext HookManager EnvironmentManager MetricsServerManager WorkerManager ProcessManager default_on_starting
        default_post_fork default_when_ready default_worker_int default_on_exit redis_when_ready redis_sidecar_when_ready
        load_yaml_config
    """,
    ".master": "PrometheusMaster",
    ".metrics": """
        registry get_shared_registry MASTER_METRICS WORKER_METRICS
        WORKER_REQUESTS WORKER_REQUEST_DURATION WORKER_MEMORY WORKER_CPU WORKER_UPTIME WORKER_FAILED_REQUESTS
        WORKER_ERROR_HANDLING WORKER_STATE WORKER_REQUEST_SIZE WORKER_RESPONSE_SIZE WORKER_RESTART_REASON
        WORKER_RESTART_COUNT MASTER_WORKER_RESTARTS MASTER_WORKER_RESTART_COUNT
        WorkerRequests WorkerRequestDuration WorkerMemory WorkerCPU WorkerUptime WorkerFailedRequests
        WorkerErrorHandling WorkerState WorkerRequestSize WorkerResponseSize WorkerRestartReason
        WorkerRestartCount MasterWorkerRestarts MasterWorkerRestartCount
    """,
    ".plugin": """
        PrometheusWorker PrometheusThreadWorker PrometheusEventletWorker PrometheusGeventWorker
        get_prometheus_eventlet_worker get_prometheus_gevent_worker EVENTLET_AVAILABLE GEVENT_AVAILABLE
    """,
    ".utils": "get_multiprocess_dir ensure_multiprocess_dir",
}
# That package has None under these names where gunicorn has no such worker.
NOT_EVERYWHERE = {worker for available, worker in plugin.AVAILABLE.items() if not getattr(plugin, available)}


@pytest.mark.parametrize("module", NAMES)
def test_every_name_is_where_it_was(module):
    found = importlib.import_module(f"gunicorn_prometheus_exporter{module}")
    for name in set(NAMES[module].split()) - NOT_EVERYWHERE:
        assert hasattr(found, name), name
    for name in set(NAMES[module].split()) & NOT_EVERYWHERE:
        with pytest.raises(WorkerClassError):
            getattr(found, name)


def test_a_worker_class_is_one_wherever_it_is_named():
    package = importlib.import_module("gunicorn_prometheus_exporter")
    assert package.PrometheusWorker is plugin.PrometheusWorker is importlib.import_module("metrifold.gunicorn").PrometheusWorker


def test_what_is_not_there_is_no_attribute():
    with pytest.raises(AttributeError, match="Nonsense"):
        _ = importlib.import_module("gunicorn_prometheus_exporter").Nonsense


@pytest.mark.parametrize("version", ["20.1", "23", "newest"])
def test_a_star_import_has_the_workers_that_there_are_and_the_others_can_be_asked_for(version):
    program = """
        import gunicorn_prometheus_exporter as package
        from gunicorn_prometheus_exporter import *

        assert PrometheusWorker is package.PrometheusWorker and PrometheusThreadWorker is package.PrometheusThreadWorker
        try:
            from gunicorn_prometheus_exporter import PrometheusEventletWorker as guarded
        except ImportError:
            guarded = None
        assert guarded is get_prometheus_eventlet_worker()
        assert ("PrometheusEventletWorker" in globals()) == EVENTLET_AVAILABLE
        assert ("PrometheusGeventWorker" in globals()) == GEVENT_AVAILABLE
        print(EVENTLET_AVAILABLE)
    """
    command = [interpreter(version), "-c", textwrap.dedent(program)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    # gunicorn 23's environment has eventlet; the others' eventlet workers cannot be.
    assert run.stdout == f"{version == '23'}\n", run.stderr


def test_a_worker_class_that_cannot_be_had_is_an_import_that_failed():
    if "PrometheusEventletWorker" not in NOT_EVERYWHERE:
        pytest.skip("this gunicorn has an eventlet worker")
    for package in ("metrifold.gunicorn", "gunicorn_prometheus_exporter", "gunicorn_prometheus_exporter.plugin"):
        with pytest.raises(ImportError, match="use PrometheusGeventWorker"):
            exec(f"from {package} import PrometheusEventletWorker")


def test_the_configurations_constants_are_what_the_environment_says_when_they_are_asked_for(monkeypatch, tmp_path):
    from gunicorn_prometheus_exporter.config import ExporterConfig

    constants = ("METRICS_PORT", "BIND_ADDRESS", "MULTIPROC_DIR")
    for name in (*(f"PROMETHEUS_{name}" for name in constants), "GUNICORN_WORKERS", "GUNICORN_TIMEOUT", "GUNICORN_KEEPALIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert (ExporterConfig.PROMETHEUS_METRICS_PORT, ExporterConfig.PROMETHEUS_BIND_ADDRESS) == (9090, "0.0.0.0")
    assert ExporterConfig.PROMETHEUS_MULTIPROC_DIR == str(tmp_path / ".gunicorn_prometheus")
    assert (ExporterConfig.GUNICORN_WORKERS, ExporterConfig.GUNICORN_TIMEOUT, ExporterConfig.GUNICORN_KEEPALIVE) == (1, 30, 2)
    monkeypatch.setenv("GUNICORN_TIMEOUT", "40")
    assert ExporterConfig.GUNICORN_TIMEOUT == 40


def test_the_directory_is_told_and_made(monkeypatch, tmp_path):
    from gunicorn_prometheus_exporter.utils import ensure_multiprocess_dir, get_multiprocess_dir

    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "new"))
    assert ensure_multiprocess_dir(get_multiprocess_dir())
    assert os.path.isdir(tmp_path / "new")
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR")
    assert get_multiprocess_dir() is None
    assert not ensure_multiprocess_dir(None)


def test_the_names_of_the_workers_metrics_mean_nothing_outside_gunicorn():
    from gunicorn_prometheus_exporter.metrics import WORKER_REQUESTS

    with pytest.raises(RuntimeError, match="before gunicorn makes its first"):
        WORKER_REQUESTS.inc(worker_id="1")


@needs_binary
def test_what_an_application_counts_in_the_workers_metrics_is_shown_with_theirs(start, tmp_path):
    (tmp_path / "application.py").write_text(
        textwrap.dedent("""
            from gunicorn_prometheus_exporter.metrics import (
                MASTER_METRICS, WORKER_METRICS, WORKER_MEMORY, WORKER_REQUEST_DURATION, WORKER_REQUESTS
            )
            def app(environ, start_response):
                start_response("200 OK", [])
                if environ["PATH_INFO"] == "/count":
                    WORKER_METRICS["worker_restart_total"].inc(worker_id="own", reason="wish")
                    MASTER_METRICS["worker_restart_total"].inc(reason="wish")
                    WORKER_MEMORY.set(7, worker_id="own")
                    WORKER_MEMORY.dec(worker_id="own")
                    WORKER_REQUEST_DURATION.observe(0.2, worker_id="own")
                    assert WORKER_REQUESTS.describe()["name"] == "gunicorn_worker_requests"
                    assert any(sample.value for family in WORKER_REQUESTS.collect() for sample in family.samples)
                return [b"counted"]
        """)
    )
    gunicorn = start(worker_class="gunicorn_prometheus_exporter.PrometheusWorker")
    gunicorn.serves()
    get(gunicorn.port, "/count")
    eventually(lambda: gunicorn.samples("gunicorn_worker_restart_total") == {'{reason="wish",worker_id="own"}': 1})
    page = gunicorn.page()
    assert gunicorn.samples("gunicorn_master_worker_restart_total", page)['{reason="wish"}'] == 1
    assert gunicorn.samples("gunicorn_worker_memory_bytes", page)['{worker_id="own"}'] == 6
    assert gunicorn.samples("gunicorn_worker_request_duration_seconds_count", page)['{worker_id="own"}'] == 1
