//! Watchers.
