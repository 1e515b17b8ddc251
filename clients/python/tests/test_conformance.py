"""The same numbers as prometheus_client: its oldest supported release, the newest, and in large runs some between.

Each runs in interpreters of its own.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tarfile
import urllib.request
from importlib.metadata import version
from pathlib import Path

import pytest
from conformance import deviations, upstream
from conformance.worker_sets import Child, Counter, Gauge, Worker, write
from conftest import AMPLE_SECONDS, BINARY, WHY_NO_BINARY

import metrifold

REPOSITORY = Path(__file__).parents[3]
CACHE = REPOSITORY / "target" / "conformance"
OLDEST, NEWEST = "0.20.0", version("prometheus_client")
# METRIFOLD_ORACLE_SETS=10000 for the whole of it.
SETS = os.environ.get("METRIFOLD_ORACLE_SETS", "300")
# The same sets at each run, so that a change is not blamed for what was there before; `random` looks for more.
SEED = os.environ.get("METRIFOLD_ORACLE_SEED", "1")
# A large run has releases between them too; METRIFOLD_ORACLE_RELEASES names others, and has any run take them.
IS_LARGE = int(SETS) >= 1_000
BETWEEN = os.environ.get("METRIFOLD_ORACLE_RELEASES", "0.21.1,0.22.1,0.23.1,0.24.1,0.25.0" if IS_LARGE else "")
RELEASES = [*dict.fromkeys([OLDEST, *filter(None, BETWEEN.split(",")), NEWEST])]
# The part of all sets that may go without a comparison; it is some 0.02.
NOT_COMPARED_MAX = 0.05


def pip(*arguments: str) -> None:
    """Gets something of prometheus_client, or skips for want of a registry."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", *arguments, "--quiet", "--no-deps"], stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"prometheus_client is not to be had from a package registry: {done.stderr.strip()[-300:]}")


def environment(release: str, **variables: str) -> dict[str, str]:
    """One in which that release is imported, and nothing is inherited that would change what is tested."""
    paths = [str(Path(__file__).parent)]
    if release != NEWEST:
        installed = CACHE / f"prometheus_client-{release}-installed"
        if not installed.exists():
            pip("install", "--target", str(installed), f"prometheus_client=={release}")
        paths.insert(0, str(installed))
    ours = ("METRIFOLD_", "PROMETHEUS_", "REDIS_", "PYTEST_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"PYTHONPATH": os.pathsep.join(paths)} | variables


def source_tests(release: str) -> Path:
    """The tests in the source distribution of a release."""
    unpacked = CACHE / f"prometheus_client-{release}"
    if not unpacked.exists():
        pip("download", "--no-binary", ":all:", "--dest", str(CACHE), f"prometheus_client=={release}")
        with tarfile.open(CACHE / f"prometheus_client-{release}.tar.gz") as archive:
            # Only the tests: the package itself would be imported in place of the installed one.
            wanted = [member for member in archive.getmembers() if member.name.startswith(f"{unpacked.name}/tests/")]
            archive.extractall(CACHE / "unpacking", members=wanted)
        (CACHE / "unpacking" / unpacked.name / "tests" / "__init__.py").touch()
        (CACHE / "unpacking" / unpacked.name).rename(unpacked)
    return unpacked


@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("release", RELEASES)
def test_random_sets_of_workers_show_no_unlisted_difference(release, record_property):
    done = subprocess.run(
        [sys.executable, "-m", "conformance.random_sets", "--sets", SETS] + ["--seed", SEED] * (SEED != "random"),
        env=environment(release),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    seed, _, counts = done.stdout.strip().rpartition("\n")
    assert release in seed
    record_property("random sets", done.stdout)
    hits = json.loads(counts)
    assert hits.pop(deviations.NOT_COMPARED, 0) <= int(SETS) * NOT_COMPARED_MAX, done.stdout
    assert hits.pop(deviations.COMPARED) >= int(SETS) * (1 - NOT_COMPARED_MAX), done.stdout
    if IS_LARGE and release == NEWEST:
        # A deviation that no set shows is listed in vain.
        assert set(hits) == {*deviations.REWRITES, deviations.ROUNDING, deviations.OVERFLOW}


@pytest.mark.timeout(7_200)
@pytest.mark.skipif(not BINARY, reason=WHY_NO_BINARY)
def test_random_sets_of_workers_look_alike_from_the_server_and_the_collector(record_property):
    # A server is started for each.
    sets = max(100, int(SETS) // 10)
    done = subprocess.run(
        [sys.executable, "-m", "conformance.server_pages", BINARY, "--sets", str(sets)] + ["--seed", SEED] * (SEED != "random"),
        env=environment(NEWEST),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    record_property("random sets", done.stdout)
    counts = json.loads(done.stdout.strip().splitlines()[-1])
    assert counts["sets"] >= sets // 2 and counts["samples"] >= sets // 2, done.stdout


@pytest.mark.parametrize("planted", ["another value", "a sample less", "another family", "another help"])
def test_a_planted_difference_is_found(planted, tmp_path, monkeypatch):
    # write() sets it.
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    from conformance import random_sets

    workers = [Worker(str(process), (Child("c", (), "Help", Counter(2.0)),)) for process in (1, 2)]
    merge = metrifold.MultiProcessCollector.merge
    random_sets.check(workers, {})

    def wrong(files, accumulate=True):
        (metric,) = merge(files, accumulate)
        match planted:
            case "another value":
                metric.samples = [sample._replace(value=sample.value + 4 * math.ulp(sample.value)) for sample in metric.samples]
            case "a sample less":
                metric.samples = metric.samples[:-1]
            case "another family":
                metric.name = "d"
            case "another help":
                metric.documentation = "other"
        return [metric]

    monkeypatch.setattr(metrifold.MultiProcessCollector, "merge", staticmethod(wrong))
    with pytest.raises(AssertionError):
        random_sets.check(workers, {})


@pytest.mark.timeout(300)
@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("over", upstream.TESTS)
def test_its_own_tests_pass_but_for_those_that_are_listed(release, over, segments):
    variables = {"METRIFOLD_UPSTREAM": over, "METRIFOLD_TARGET": f"local:{segments.directory}"}
    tests = source_tests(release) / "tests"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "conformance.upstream", "-p", "no:cacheprovider", "-c", os.devnull]
        + [f"--rootdir={tests.parent}", *(str(tests / name) for name in upstream.TESTS[over])],
        env=environment(release, **variables),
        cwd=tests.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
    xfailed = len(upstream.CANNOT_PASS[over])
    assert (f"{xfailed} xfailed" in done.stdout) == (xfailed > 0), done.stdout


@pytest.mark.parametrize(
    ("ours", "addends", "agrees"),
    [
        (None, [2.0**1023, 2.0**1023], True),
        (None, [2.0**1023, math.inf, 2.0**1023], True),
        (None, [2.0**1023, 2.0**1023, -(2.0**1023)], False),
        (2.0**1023, [2.0**1023, 2.0**1023, -(2.0**1023)], True),
        (5.0, [2.0**1023, 2.0**1023, -(2.0**1023)], False),
        (math.inf, [2.0**1023, 2.0**1023], False),
        (math.inf, [2.0**1023, -(2.0**1023), math.inf], True),
        (1.0, [2.0**1023, -(2.0**1023), math.inf], False),
    ],
)
def test_a_wrong_sum_of_huge_numbers_is_no_overflow(ours, addends, agrees):
    assert deviations.overflowing_sum_agrees(ours, addends) is agrees


def test_a_page_of_the_server_differs_from_the_collectors_as_the_manual_says(segments, tmp_path, monkeypatch):
    if not BINARY:
        pytest.skip(WHY_NO_BINARY)

    def worker(process: str, **metrics: Counter | Gauge) -> Worker:
        return Worker(process, tuple(Child(family, (), "Help", what) for family, what in metrics.items()))

    directory = tmp_path / "multiproc"
    directory.mkdir()
    # write() sets it.
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(directory))
    write(
        [
            worker("1", c=Counter(math.nan), s=Gauge("sum", math.inf, 0.0), m=Gauge("max", 1.0, 0.0)),
            worker("2", c=Counter(3.0), s=Gauge("sum", 4.0, 0.0), m=Gauge("max", math.inf, 0.0)),
            worker("3", unset=Gauge("mostrecent", 0.0, None), plain=Gauge("all", 5.0, 0.0)),
        ],
        directory,
    )
    collectors = set(metrifold.generate_latest(str(directory)).decode().splitlines())
    command = [BINARY, "serve", "--listen", "127.0.0.1:0"]
    command += ["--segment-dir", str(segments.directory), "--multiproc-dir", str(directory)]
    environment = segments.environment(METRIFOLD_AGENT__LIVENESS="off")
    del environment["METRIFOLD_TARGET"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            url = process.stdout.readline().split("listening on ")[1].split()[0]
            with urllib.request.urlopen(f"{url}/metrics", timeout=AMPLE_SECONDS) as answer:
                servers = set(answer.read().decode().splitlines())
        finally:
            process.terminate()
    assert collectors - servers == {"c_total NaN", "s +Inf", "# HELP unset Help", "# TYPE unset gauge"}
    assert servers - collectors == {"c_total 3.0", "s 4.0"}
    assert {"m +Inf", 'plain{pid="3"} 5.0'} <= collectors & servers


def test_the_manual_lists_exactly_these_deviations():
    manual = (REPOSITORY / "docs" / "conformance.md").read_text()
    listed = {line.split("`")[1] for line in manual.splitlines() if line.startswith("| `")}
    assert listed == {*deviations.REWRITES, deviations.ROUNDING, deviations.OVERFLOW, deviations.QUOTED_NAMES, *deviations.OTHERS}
