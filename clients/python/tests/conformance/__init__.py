"""The same files, merged by prometheus_client and by us."""
