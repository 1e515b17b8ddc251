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
