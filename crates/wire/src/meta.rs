//! What a client must know of a server before anything else.

use serde::{Deserialize, Serialize};

/// `GET /api/v1/meta`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Meta {
    /// Always [`Meta::NAME`]: a captive portal has another.
    pub name: String,
    /// The program's.
    pub version: String,
    /// The contract's; a client refuses what it does not know.
    pub protocol: u32,
    /// Changes when the data came back from a backup.
    pub data_epoch: String,
    /// Length of a lease.
    pub lock_ttl_ms: u64,
    /// How often to renew it.
    pub heartbeat_ms: u64,
}

impl Meta {
    /// How a Lockstep server introduces itself.
    pub const NAME: &str = "lockstep";
    /// The contract this code speaks.
    pub const PROTOCOL: u32 = 1;
}
