//! A merged view to bytes: Prometheus text format 0.0.4; pure.
