//! The merged view over HTTP: /metrics, health and own metrics.
mod deadline;
mod flight;
