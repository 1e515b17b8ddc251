//! Push and fold as pure state machines: the pusher, the store, restoring.
