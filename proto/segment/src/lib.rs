//! Worker memory: slots in prometheus_client's .db layout, in mapped segments with a header and a lock.
