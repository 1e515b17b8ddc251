//! The service watching itself: log set-up and own metrics in one list.
