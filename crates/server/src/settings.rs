//! What an operator or a test may choose.

use std::time::Duration;

use lockstep_wire::locks::{DEFAULT_HEARTBEAT_MS, DEFAULT_LEASE_MS};

/// Every length of time and every limit the server goes by.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long a lock lasts unless renewed.
    pub lease: Duration,
    /// How often clients are told to renew it.
    pub heartbeat: Duration,
    /// How long an image is kept for the one who forced its lock open.
    pub force_hold: Duration,
    /// How long an access token is good for.
    pub access_token: Duration,
    /// How long someone stays signed in without using the program.
    pub refresh_token: Duration,
    /// How often lapsed locks are looked for: a vanished holder's image is free within the lease and one of these.
    pub sweep_every: Duration,
    /// How often a silent event stream shows that it is alive.
    pub keep_alive_every: Duration,
    /// How long a client may take to say what it wants: to agree on TLS, and to send a request's headers.
    pub header_time: Duration,
    /// How long a request may take, but for uploads: they may pause as long.
    pub request_time: Duration,
    /// Requests in work at one time; whoever comes then is asked to come again.
    pub requests_at_once: usize,
    /// How long requests in flight may take to finish once the server is told to stop.
    pub shutdown_grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease: Duration::from_millis(DEFAULT_LEASE_MS),
            heartbeat: Duration::from_millis(DEFAULT_HEARTBEAT_MS),
            force_hold: Duration::from_secs(30),
            access_token: Duration::from_secs(15 * 60),
            refresh_token: Duration::from_secs(90 * 24 * 60 * 60),
            sweep_every: Duration::from_secs(1),
            keep_alive_every: Duration::from_secs(10),
            header_time: Duration::from_secs(30),
            request_time: Duration::from_secs(30),
            requests_at_once: 1024,
            shutdown_grace: Duration::from_secs(10),
        }
    }
}

impl Settings {
    /// Leases of another length, renewed as often in proportion.
    pub fn with_lease(lease: Duration) -> Self {
        Self {
            lease,
            heartbeat: lease * 2 / 5,
            ..Self::default()
        }
    }
}
