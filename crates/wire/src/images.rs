//! The pictures of a project.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::ImageId;

/// A picture, its size after EXIF orientation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Image {
    /// Unique in its project.
    pub id: ImageId,
    /// As it was imported.
    pub file_name: String,
    /// Pixels, upright.
    pub width: u32,
    /// Pixels, upright.
    pub height: u32,
    /// `image/jpeg` and the like.
    pub media_type: String,
    /// SHA-256 of the content in hex: also its ETag.
    pub content_hash: String,
    /// Live annotations on it.
    pub annotation_count: u32,
    /// Changes whenever anything on the image does.
    #[ts(type = "number")]
    pub revision: i64,
}

/// `GET /projects/{pid}/images?after=…&limit=…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImagePage {
    /// In the order of `file_name`, then `id`.
    pub images: Vec<Image>,
    /// Pass as `after` for the next page; absent on the last.
    pub next: Option<String>,
}
