"""METRIFOLD_TARGET=http://…: a thread inside the process pushes."""


def test_counts_arrive_by_the_end_of_the_process_also_from_forks(segments, server):
    segments.run(
        """
        import os, sys
        import metrifold
        from prometheus_client import Counter, Histogram
        counter, histogram = Counter("c", "h"), Histogram("s", "h", buckets=[1])
        counter.inc(10)
        assert metrifold.install().segment is None
        counter.inc(3)
        for amount in (1, 2):
            if os.fork() == 0:
                counter.inc(amount)
                histogram.observe(0.25)
                sys.exit(0)
        for _ in range(2):
            assert os.wait()[1] == 0
        """,
        METRIFOLD_TARGET=server.url,
        METRIFOLD_EXIT_TIMEOUT="10s",
        PYTHONWARNINGS="ignore",
    )
    assert not segments.directory.exists()
    assert server.sample("c_total") == 16
    assert server.sample('s_bucket{le="1.0"}') == 2
    assert server.sample("s_sum") == 0.5


def test_counts_arrive_while_the_process_lives(segments, server):
    segments.run(
        """
        import os, time, urllib.request
        import metrifold
        from prometheus_client import Counter
        metrifold.install()
        Counter("c", "h").inc()
        deadline = time.monotonic() + 20
        while b"c_total 1.0" not in urllib.request.urlopen(os.environ["METRIFOLD_TARGET"] + "/metrics").read():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        """,
        METRIFOLD_TARGET=server.url,
        METRIFOLD_PUSH_INTERVAL="50ms",
    )


def test_a_daemoniser_that_closes_every_descriptor_stops_no_push_and_none_goes_into_its_files(segments, server, tmp_path):
    """Pushes are 10 ms apart, so that some are under way when the descriptors are closed, and when their numbers are taken."""
    (tmp_path / "files").mkdir()
    segments.run(
        f"""
        import os, time
        import metrifold
        from prometheus_client import Counter
        counter = Counter("c", "h")
        metrifold.install()
        counter.inc()
        if os.fork() == 0:
            os.setsid()
            counter.inc(5)
            for _ in range(100):
                counter.inc(); time.sleep(0.005)
            os.closerange(3, 4096)
            files = [os.open(f"{tmp_path}/files/{{index}}", os.O_RDWR | os.O_CREAT) for index in range(50)]
            for _ in range(100):
                counter.inc(); time.sleep(0.005)
            assert files == list(range(3, 53)), "nobody else has descriptors here"
            assert [os.fstat(file).st_size for file in files] == [0] * 50
            os._exit(0)
        assert os.wait()[1] == 0
        """,
        METRIFOLD_TARGET=server.url,
        METRIFOLD_PUSH_INTERVAL="10ms",
        METRIFOLD_EXIT_TIMEOUT="10s",
        PYTHONWARNINGS="ignore",
    )
    assert server.sample("c_total") == 206
