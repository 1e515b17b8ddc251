"""The names of gunicorn_prometheus_exporter outside a running gunicorn."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from gunicorn_prometheus_exporter import config as package
from gunicorn_prometheus_exporter.config import ConfigManager, ConfigState, ExporterConfig
from gunicorn_prometheus_exporter.hooks import (
    EnvironmentManager,
    HookContext,
    HookManager,
    load_yaml_config,
)

PREFIXES = ("METRIFOLD_", "PROMETHEUS_", "REDIS_", "GUNICORN_", "CLEANUP_", "SIDECAR_")


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    """An environment without settings. What a test sets in it, by whatever way, ends with the test."""
    kept = dict(os.environ)
    for name in kept:
        if name.startswith(PREFIXES):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    yield monkeypatch
    package.cleanup_config()
    os.environ.clear()
    os.environ.update(kept)


def test_both_distributions_are_of_one_version():
    try:
        versions = {importlib.metadata.version(name) for name in ("metrifold", "metrifold-gunicorn-compat")}
    except importlib.metadata.PackageNotFoundError as error:
        pytest.skip(f"run from a source tree: {error}")
    assert len(versions) == 1


def test_defaults_are_those_of_the_guide():
    config = ExporterConfig()
    assert (config.prometheus_metrics_port, config.prometheus_bind_address) == (9090, "0.0.0.0")
    assert (config.gunicorn_workers, config.gunicorn_timeout, config.gunicorn_keepalive) == (1, 30, 2)
    assert (config.redis_enabled, config.redis_host, config.redis_port, config.redis_db) == (False, "127.0.0.1", 6379, 0)
    assert (config.redis_password, config.redis_key_prefix) == (None, "gunicorn")
    assert (config.redis_ttl_seconds, config.redis_ttl_disabled) == (300, False)
    assert (config.cleanup_db_files, config.prometheus_ssl_enabled) == (False, False)
    assert config.problems() == []
    os.environ["PROMETHEUS_METRICS_PORT"] = "9200"
    assert config.prometheus_metrics_port == 9200
    assert ExporterConfig.ENV_REDIS_HOST == "REDIS_HOST"


def test_the_directory_is_set_for_code_that_goes_by_it_unless_redis_is_used(bare, tmp_path):
    bare.delenv("PROMETHEUS_MULTIPROC_DIR")
    bare.setenv("HOME", str(tmp_path))
    ExporterConfig()
    # The home directory of now, not of when the package was imported.
    assert Path(os.environ.pop("PROMETHEUS_MULTIPROC_DIR")) == tmp_path / ".gunicorn_prometheus"
    assert (tmp_path / ".gunicorn_prometheus").is_dir()
    os.environ["REDIS_ENABLED"] = "true"
    ExporterConfig()
    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ


def test_the_guides_ways_to_the_configuration_work():
    given = dict(PROMETHEUS_METRICS_PORT="9091", PROMETHEUS_BIND_ADDRESS="0.0.0.0", GUNICORN_WORKERS="2")
    package.initialize_config(**given)
    config = package.get_config()
    assert (config.prometheus_metrics_port, config.redis_enabled, config.gunicorn_workers) == (9091, False, 2)
    with pytest.raises(RuntimeError, match="already initialized"):
        package.initialize_config(**given)
    import gunicorn_prometheus_exporter

    assert gunicorn_prometheus_exporter.get_config() is config
    manager = ConfigManager()
    manager.initialize(**given)
    assert manager.get_config().prometheus_metrics_port == 9091


def test_a_configuration_lives_as_the_guide_draws_it():
    manager = ConfigManager()
    assert manager.state is ConfigState.UNINITIALIZED
    with pytest.raises(RuntimeError, match="uninitialized"):
        manager.get_config()
    with pytest.raises(ValueError, match="PROMETHEUS_METRICS_PORT=many"):
        manager.initialize(PROMETHEUS_METRICS_PORT="many")
    assert manager.state is ConfigState.ERROR
    assert not manager.health_check()["healthy"]
    manager.initialize(PROMETHEUS_METRICS_PORT="9100")
    assert manager.is_initialized
    assert manager.health_check() == {"healthy": True, "state": "initialized", "errors": []}
    assert manager.get_config_summary()["prometheus_port"] == 9100
    manager.update_config(GUNICORN_WORKERS=8)
    assert manager.get_config().gunicorn_workers == 8
    with pytest.raises(ValueError, match="GUNICORN_WORKERS=0"):
        manager.update_config(GUNICORN_WORKERS=0)
    assert manager.state is ConfigState.ERROR
    os.environ["GUNICORN_WORKERS"] = "3"
    manager.reload_config()
    assert manager.get_config().gunicorn_workers == 3
    manager.cleanup()
    assert manager.state is ConfigState.CLEANUP
    manager.initialize()
    manager.reset()
    assert manager.state is ConfigState.UNINITIALIZED


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    manager = ConfigManager()
    wrong = dict(
        PROMETHEUS_METRICS_PORT="70000",
        GUNICORN_WORKERS="0",
        REDIS_ENABLED="perhaps",
        REDIS_DB="-1",
        PROMETHEUS_SSL_CERTFILE=tmp_path / "missing.pem",
    )
    with pytest.raises(ValueError) as caught:
        manager.initialize(**wrong)
    for name in [*wrong, "PROMETHEUS_SSL_KEYFILE must be set"]:
        assert name in str(caught.value)
    assert len(manager.validation_errors) == 6


def test_a_redis_that_is_down_is_no_error_of_the_configuration():
    ConfigManager().initialize(REDIS_ENABLED="true", REDIS_HOST="127.0.0.1", REDIS_PORT="1")


def test_many_threads_initialize_one_configuration():
    found, barrier = [], threading.Barrier(8)

    def ask() -> None:
        barrier.wait()
        found.append(package.get_config())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({id(config) for config in found}) == 1


YAML = """
exporter:
  prometheus:
    metrics_port: 9300
    bind_address: 127.0.0.1
    ssl: {enabled: false, certfile: /nowhere.pem}
  gunicorn: {workers: 3, timeout: 40}
  redis: {enabled: true, host: cache, port: 6380, ttl_disabled: true, password: ~}
  cleanup: {db_files: true}
"""


def test_a_file_gives_what_the_environment_does_not(tmp_path):
    path = tmp_path / "config.yml"
    path.write_text(YAML)
    os.environ["REDIS_HOST"] = "other"
    manager = ConfigManager()
    manager.initialize(config_file=str(path), GUNICORN_WORKERS="5")
    config = manager.get_config()
    assert (config.prometheus_metrics_port, config.gunicorn_workers, config.gunicorn_timeout) == (9300, 5, 40)
    assert (config.redis_host, config.redis_port, config.redis_ttl_disabled) == ("other", 6380, True)
    assert config.cleanup_db_files
    assert not config.prometheus_ssl_enabled


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[1]", "must have a section 'exporter'"),
        ("exporter: {prometheus: {metrics_port: 1}}", "exporter.prometheus.bind_address is missing"),
        ("exporter: {prometheus: [], gunicorn: {}}", "exporter.prometheus must be a section"),
        ("a: b: c", "is no YAML"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_the_place(tmp_path, text, problem):
    path = tmp_path / "config.yml"
    path.write_text(text)
    with pytest.raises(ValueError, match=problem):
        load_yaml_config(str(path))
    with pytest.raises(FileNotFoundError):
        load_yaml_config(str(tmp_path / "missing.yml"))


@pytest.mark.parametrize("place", ["exporter", "exporter.prometheus"])
def test_the_section_ssl_means_the_same_beside_prometheus_and_in_it(tmp_path, place):
    content: dict[str, Any] = {"prometheus": {"metrics_port": 9300, "bind_address": "127.0.0.1"}}
    section = {"enabled": True, "certfile": "/c.pem", "keyfile": "/k.pem", "client_auth_required": True}
    (content if place == "exporter" else content["prometheus"])["ssl"] = section
    path = tmp_path / "config.yml"
    path.write_text(yaml.safe_dump({"exporter": content}))
    load_yaml_config(str(path))
    config = ExporterConfig()
    assert (config.prometheus_ssl_certfile, config.prometheus_ssl_keyfile) == ("/c.pem", "/k.pem")
    assert config.prometheus_ssl_client_auth_required


def test_the_readmes_file_gives_what_it_says(caplog):
    load_yaml_config(str(Path(__file__).parent / "guide" / "gunicorn-prometheus-exporter.yml"))
    config = ExporterConfig()
    assert (config.prometheus_metrics_port, config.prometheus_bind_address) == (9091, "0.0.0.0")
    assert (config.gunicorn_workers, config.gunicorn_timeout, config.gunicorn_keepalive) == (2, 30, 2)
    assert (config.redis_enabled, config.prometheus_ssl_enabled, config.cleanup_db_files) == (False, False, True)
    assert not caplog.records


@pytest.mark.parametrize(
    ("unknown", "warning"),
    [
        ("colour: red", "exporter.colour is not known and counts for nothing"),
        ("metrics_port: 2", "exporter.metrics_port is not known […]; did you mean exporter.prometheus.metrics_port?"),
        ("gunicorn: {worker: 3}", "exporter.gunicorn.worker is not known […]; did you mean exporter.gunicorn.workers?"),
        ("redis: {certfile: x}", "exporter.redis.certfile is not known […]; did you mean exporter.ssl.certfile?"),
    ],
)
def test_a_key_that_is_not_known_is_warned_of_and_the_rest_counts(tmp_path, caplog, unknown, warning):
    path = tmp_path / "config.yml"
    path.write_text(f"exporter: {{prometheus: {{metrics_port: 9300, bind_address: x}}, {unknown}}}")
    load_yaml_config(str(path))
    expected = f"{path}: {warning.replace('[…]', 'and counts for nothing')}"
    assert [record.getMessage() for record in caplog.records] == [expected]
    assert ExporterConfig().prometheus_metrics_port == 9300


def test_hooks_managers_do_what_they_say(caplog):
    manager = HookManager()
    assert manager.safe_execute(lambda: None)
    assert not manager.safe_execute(lambda: 1 / 0)
    assert "division by zero" in caplog.text
    assert HookContext(server=None).logger is manager.get_logger()

    class Configuration:
        workers = 8
        bind = ["0.0.0.0:9000", "unix:/x"]
        timeout = 600

    EnvironmentManager(logging.getLogger("x")).update_from_cli(Configuration())
    assert os.environ["GUNICORN_WORKERS"] == "8"
    assert os.environ["GUNICORN_BIND"] == "0.0.0.0:9000,unix:/x"
    assert os.environ["GUNICORN_TIMEOUT"] == "600"


def test_children_that_were_left_are_ended_and_stubborn_ones_killed():
    program = """
        import logging, subprocess, sys
        from gunicorn_prometheus_exporter.hooks import ProcessManager
        stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
        children = [subprocess.Popen(["sleep", "60"]), subprocess.Popen([sys.executable, "-c", stubborn], stdout=-1)]
        children[1].stdout.readline()
        manager = ProcessManager(logging.getLogger())
        manager.timeout = 0.3
        manager.cleanup_processes()
        print(open(f"/proc/self/task/{__import__('os').getpid()}/children").read().split())
    """
    if not Path("/proc/self").exists():
        pytest.skip("needs /proc")
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=20)
    assert run.stdout == "[]\n", run.stderr


def test_what_writes_to_redis_records(segments):
    segments.run(
        """
        from prometheus_client import CollectorRegistry, Counter, values
        from gunicorn_prometheus_exporter.backend import setup_redis_metrics, is_redis_enabled, teardown_redis_metrics
        from gunicorn_prometheus_exporter.backend.core import (
            RedisDict, RedisStorageClient, RedisStorageDict, RedisValue, get_redis_value_class, mark_process_dead_redis, redis_key
        )
        from gunicorn_prometheus_exporter.backend.service import get_redis_storage_manager

        assert not is_redis_enabled()
        assert setup_redis_metrics() and is_redis_enabled()
        Counter("mine", "h").inc(3)
        value = RedisValue("gauge", "level", "level", ["a"], ["b"], "h", "max", redis_client=object())
        value.inc(); value.set(7)
        assert value.get() == 7 and value.get_timestamp() > 0
        store = RedisStorageDict(object(), "gunicorn")
        key = redis_key("jobs", "jobs_total", ["speed"], ["slow"], "h")
        store.write_value(key, 5.0, 0.0, "counter")
        assert store.read_value(key, "counter")[0] == 5
        assert any(value == 5 for _, value, _ in store.read_all_values())
        client = RedisStorageClient(object())
        client.get_value_class()("counter", "c", "c_total", [], [], "h").inc(2)
        client.cleanup_process_keys(1)
        mark_process_dead_redis(1, object())
        assert get_redis_value_class(object()) is RedisValue and RedisDict is RedisStorageDict
        teardown_redis_metrics()
        assert not is_redis_enabled()
        """,
        REDIS_ENABLED="true",
        PYTHONWARNINGS="default",
    )
    assert segments.values("counter", "mine_total") == [3]
    assert segments.values("gauge_max", "level", a="b") == [7]
    assert segments.values("counter", "jobs_total", speed="slow") == [5]
    assert segments.values("counter", "c_total") == [2]
