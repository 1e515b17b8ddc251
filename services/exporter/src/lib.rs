//! The merged view over HTTP: /metrics, health and own metrics.
