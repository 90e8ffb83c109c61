//! The right to edit an image: a lease that must be renewed.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{Annotation, ClientId, Generation, ImageId, ProjectId, UserId};

/// Length of a lease unless the server is told otherwise.
pub const DEFAULT_LEASE_MS: u64 = 5 * 60 * 1000;

/// How often a lease is renewed unless the server says otherwise.
pub const DEFAULT_HEARTBEAT_MS: u64 = 2 * 60 * 1000;

const _: () = assert!(
    DEFAULT_HEARTBEAT_MS * 2 < DEFAULT_LEASE_MS,
    "one lost beat must not cost the lock"
);

/// Who holds an image, and until when by the server's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Lock {
    /// Which image.
    pub image_id: ImageId,
    /// The holder.
    pub user_id: UserId,
    /// When it was granted; a refresh leaves it.
    pub locked_at: DateTime<Utc>,
    /// When it lapses unless renewed.
    pub expires_at: DateTime<Utc>,
    /// The last sign of life.
    pub heartbeat_at: DateTime<Utc>,
    /// The holder's.
    pub user_name: String,
    /// The holder's.
    pub user_email: String,
    /// Which grant this is.
    pub generation: Generation,
    /// The holder's window; absent for a client that knows part A alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
    /// The holder's machine, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

/// `POST /image-locks/acquire`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AcquireRequest {
    /// Where the image is.
    pub project_id: ProjectId,
    /// Which image.
    pub image_id: ImageId,
    /// Which window asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
    /// The asker's machine, for people.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 100))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// End the other window's lock (or, for owner and manager, anyone's) in the same step.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub take_over: bool,
    /// `["annotations"]` brings them along.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
}

/// A lock, and what its holder needs with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Grant {
    /// The caller's.
    pub lock: Lock,
    /// Changes whenever anything on the image does.
    pub image_revision: i64,
    /// When the server answered.
    pub server_time: DateTime<Utc>,
    /// What is left of the lease.
    pub ttl_ms: u64,
    /// When asked for by `include`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Vec<Annotation>>,
}

/// What an acquire is answered with; always 200.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum AcquireAnswer {
    /// It was free.
    Acquired(Grant),
    /// It was the caller's; both times moved on.
    Refreshed(Grant),
    /// It is someone else's, or another window's of the caller.
    AlreadyLocked {
        /// The holder.
        locked_by: Lock,
        /// When the server answered.
        server_time: DateTime<Utc>,
    },
}

/// `POST /image-locks/{pid}/{iid}/heartbeat`; the body may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
pub struct HeartbeatRequest {
    /// Which grant is renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<Generation>,
    /// Which window renews it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
}

/// A heartbeat's 200.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Heartbeat {
    /// The lease starts anew.
    Refreshed {
        /// The caller's.
        lock: Lock,
        /// When the server answered.
        server_time: DateTime<Utc>,
        /// The whole lease.
        ttl_ms: u64,
    },
}

/// `DELETE /image-locks/{pid}/{iid}?generation=…&client_id=…`; both may be left out.
pub type ReleaseRequest = HeartbeatRequest;

/// What a release is answered with; always 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Release {
    /// The image is free.
    Released,
    /// The caller held no such lock; nothing happened.
    NotHeld,
}

/// `GET /image-locks/{pid}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LockList {
    /// The live ones.
    pub locks: Vec<Lock>,
}

/// How a lock ended other than by its holder's release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LockLoss {
    /// Not renewed in time.
    Expired,
    /// Ended by an owner or manager.
    Forced,
    /// Another window, or a manager, took it.
    TakenOver,
    /// The server knows of no lock of the caller's.
    Unknown,
}
