//! The gRPC contract: generated code and the only conversion between it and the model.
