//! The shared truth.
