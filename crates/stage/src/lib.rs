//! A private desktop with real windows in it.
