//! What an operator or a test may choose.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use lockstep_wire::locks::{DEFAULT_HEARTBEAT_MS, DEFAULT_LEASE_MS};

/// What it costs to hash a password, for us and for whoever guesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordWork {
    /// Memory to be gone over.
    pub memory_kib: u32,
    /// How often.
    pub passes: u32,
}

impl PasswordWork {
    /// For tests, which make more accounts than people do.
    pub const LEAST: Self = Self {
        memory_kib: 8,
        passes: 1,
    };
}

/// How often something may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    /// This often at once.
    pub at_once: NonZeroU32,
    /// And from then on once in this while.
    pub then_every: Duration,
}

/// What a picture may be; all of it is known from its header, before it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureLimits {
    /// Of a file.
    pub bytes: u64,
    /// Width times height.
    pub pixels: u64,
    /// Bytes that all pictures being decoded may take together.
    pub memory: u64,
}

impl Default for PictureLimits {
    fn default() -> Self {
        Self {
            // A photograph from a large-format camera, as TIFF.
            bytes: 256 << 20,
            // Three bytes each and a quarter to spare fit into the memory.
            pixels: 250_000_000,
            // A larger picture would need more memory than a small server has.
            memory: 1 << 30,
        }
    }
}

/// What the server goes by.
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
    /// What it costs to hash a password.
    pub password_work: PasswordWork,
    /// How often one may try to sign in to the same account.
    pub attempts_per_account: Attempts,
    /// How often one may try to sign in from the same address.
    pub attempts_per_address: Attempts,
    /// Reverse proxies: where one of them is the peer, the address is what it says in `X-Forwarded-For`.
    pub trusted_proxies: Vec<IpAddr>,
    /// What a picture may be.
    pub pictures: PictureLimits,
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
            password_work: PasswordWork {
                memory_kib: 64 << 10,
                passes: 3,
            },
            // Three thousand guesses a day at one account get nowhere, and nobody who mistypes waits for long.
            attempts_per_account: Attempts {
                at_once: NonZeroU32::new(10).expect("not zero"),
                then_every: Duration::from_secs(30),
            },
            // A whole office may be behind one address, and come in at nine.
            attempts_per_address: Attempts {
                at_once: NonZeroU32::new(100).expect("not zero"),
                then_every: Duration::from_secs(1),
            },
            trusted_proxies: Vec::new(),
            pictures: PictureLimits::default(),
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
