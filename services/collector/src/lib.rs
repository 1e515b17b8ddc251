//! The door of a server: gRPC ingest, segment directories, liveness and folding.
