"""metrifold.MultiProcessCollector where prometheus_client's own raises, or depends on chance."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from prometheus_client import CollectorRegistry, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector as Theirs

import metrifold


class Workers:
    """A directory that prometheus_client's values of several processes write."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, process: str, typ: str, name: str, value: float, mode: str = "", help_text: str = "Help") -> None:
        """One value of one process."""
        sample = f"{name}_total" if typ == "counter" else name
        value_class = values.MultiProcessValue(lambda: process)
        value_class(typ, name, sample, [], [], help_text, multiprocess_mode=mode).set(value)
        values.close_all_multiprocess_files()

    def scrape(self) -> str:
        return metrifold.generate_latest().decode()


@pytest.fixture
def workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    yield Workers(tmp_path)


def test_a_damaged_file_costs_itself_and_is_named_once(workers, caplog):
    workers.write("1", "counter", "c", 1)
    workers.write("2", "counter", "c", 2)
    workers.write("3", "counter", "c", 4)
    damaged = workers.directory / "counter_2.db"
    damaged.write_bytes(b"\xff\x00\x00\x00" + damaged.read_bytes()[4:200])
    with pytest.raises(Exception):  # noqa: B017, PT011 (whatever it raises: there is no scrape)
        list(Theirs(None).collect())
    with caplog.at_level(logging.WARNING, logger="metrifold"):
        assert "c_total 5.0\n" in workers.scrape()
        assert "c_total 5.0\n" in workers.scrape()
    assert [str(damaged) in record.getMessage() for record in caplog.records] == [True]


def test_files_that_are_not_prometheus_clients_are_left_out(workers):
    workers.write("1", "counter", "c", 1)
    for name in ("info_1.db", "gauge_1.db", "notes.db", "counter_1.txt", ".counter_9.db"):
        (workers.directory / name).write_bytes(b"anything")
    assert workers.scrape().count("\n") == 3


def test_a_file_that_was_made_a_moment_ago_is_empty_and_not_damaged(workers, caplog):
    workers.write("1", "counter", "c", 1)
    (workers.directory / "counter_2.db").touch()
    with caplog.at_level(logging.WARNING, logger="metrifold"):
        assert "c_total 1.0\n" in workers.scrape()
    assert not caplog.records


def test_the_first_file_by_name_gives_the_help(workers):
    workers.write("2", "counter", "c", 1, help_text="second")
    workers.write("1", "counter", "c", 1, help_text="first")
    assert "# HELP c_total first\n" in workers.scrape()


def test_a_scrape_follows_its_directory(workers):
    for process in ("1", "2"):
        workers.write(process, "counter", "c", 1)
        workers.write(process, "gauge", "g", 3, mode="livesum")
        workers.write(process, "gauge", f"of_{process}", 3, mode="livemax")
    assert "g 6.0\n" in workers.scrape()
    metrifold.mark_process_dead(1)
    scrape = workers.scrape()
    assert "c_total 2.0\n" in scrape
    assert "g 3.0\n" in scrape
    assert "of_1" not in scrape
    workers.write("7", "counter", "c", 5)
    assert "c_total 7.0\n" in workers.scrape()
    for file in workers.directory.glob("*.db"):
        file.unlink()
    assert workers.scrape() == ""


def test_a_process_that_is_marked_dead_twice_or_has_no_files_is_no_error(workers):
    workers.write("web-1", "gauge", "g", 1, mode="liveall")
    workers.write("web-1", "gauge", "h", 1, mode="all")
    for _ in range(2):
        metrifold.mark_process_dead("web-1")
    assert [file.name for file in workers.directory.iterdir()] == ["gauge_all_web-1.db"]


def test_more_files_than_a_wave_and_more_keys_than_a_block_all_count(workers):
    expected = {}
    for process in range(600):
        value_class = values.MultiProcessValue(lambda process=process: process)
        for series in range(process % 7, 130, 7):
            value_class("counter", "c", "c_total", ["series"], [str(series)], "Help").set(series)
            expected[str(series)] = expected.get(str(series), 0) + series
        values.close_all_multiprocess_files()
    for _ in range(2):
        (family,) = metrifold.MultiProcessCollector(None).collect()
        assert {sample.labels["series"]: sample.value for sample in family.samples} == expected


def test_a_fork_scrapes_as_its_parent_does(workers):
    workers.write("1", "counter", "c", 1)
    before = workers.scrape()
    child = os.fork()
    if child == 0:
        os._exit(0 if workers.scrape() == before else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_the_text_is_what_prometheus_client_prints(workers):
    for process in ("1", "2"):
        workers.write(process, "counter", "c", 1.5)
        workers.write(process, "gauge", "g", -2, mode="all")
    registry = CollectorRegistry()
    Theirs(registry)
    assert sorted(workers.scrape().splitlines()) == sorted(generate_latest(registry).decode().splitlines())


def test_a_missing_directory_is_an_error_that_names_the_variable(monkeypatch):
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    for call in (metrifold.generate_latest, lambda: metrifold.MultiProcessCollector(None), lambda: metrifold.mark_process_dead(1)):
        with pytest.raises(ValueError, match="PROMETHEUS_MULTIPROC_DIR"):
            call()


def test_a_missing_file_is_an_error_only_if_it_was_named(workers):
    with pytest.raises(FileNotFoundError, match="counter_9.db"):
        metrifold.MultiProcessCollector.merge([str(workers.directory / "counter_9.db")])
