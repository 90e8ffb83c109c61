//! What people say about an image, and the version each of their saves is based on.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use ts_rs::TS;

use crate::{
    AnnotationId, ClientId, Generation, Geometry, IdempotencyKey, ImageId, LabelId, Lock, ProjectId, UserId,
    Version,
};

/// The attribute that says what a reviewer thinks of an annotation. It is all a reviewer may change.
pub const REVIEW_STATE: &str = "review_state";

/// The part of an annotation that people edit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AnnotationFields {
    /// What is there; `null` for not said yet.
    pub label_id: Option<LabelId>,
    /// Where it is.
    pub geometry: Geometry,
    /// Answers to the label's attribute definitions.
    #[serde(default)]
    #[ts(type = "Record<string, unknown>")]
    pub attributes: Map<String, Value>,
}

/// An annotation as the server stores it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Annotation {
    /// Made by the client.
    pub id: AnnotationId,
    /// Where the image is.
    pub project_id: ProjectId,
    /// Which image.
    pub image_id: ImageId,
    /// What people edit.
    #[serde(flatten)]
    pub fields: AnnotationFields,
    /// Who drew it.
    pub created_by: UserId,
    /// When it was first stored.
    pub created_at: DateTime<Utc>,
    /// Who saved this version.
    pub updated_by: UserId,
    /// When this version was stored.
    pub updated_at: DateTime<Utc>,
    /// The number the next save must name.
    pub version: Version,
}

/// `POST /annotations`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreateAnnotation {
    /// Made by the server when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<AnnotationId>,
    /// Where the image is.
    pub project_id: ProjectId,
    /// Which image.
    pub image_id: ImageId,
    /// What is there, and where.
    #[serde(flatten)]
    pub fields: AnnotationFields,
}

/// `PUT /annotations/{id}`: the changed fields and the version the edit was based on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UpdateAnnotation {
    /// What the edit was based on.
    pub version: Version,
    /// Absent: unchanged. `null`: no label.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub label_id: Option<Option<LabelId>>,
    /// Absent: unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geometry: Option<Geometry>,
    /// Absent: unchanged; else all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Map<String, Value>>,
}

/// Tells `null` from absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<LabelId>>, D::Error> {
    Option::<LabelId>::deserialize(deserializer).map(Some)
}

impl UpdateAnnotation {
    /// A save of every field.
    pub fn whole(version: Version, fields: AnnotationFields) -> Self {
        Self {
            version,
            label_id: Some(fields.label_id),
            geometry: Some(fields.geometry),
            attributes: Some(fields.attributes),
        }
    }

    /// The stored fields with this change upon them.
    pub fn apply_to(self, stored: &AnnotationFields) -> AnnotationFields {
        AnnotationFields {
            label_id: self.label_id.unwrap_or_else(|| stored.label_id.clone()),
            geometry: self.geometry.unwrap_or_else(|| stored.geometry.clone()),
            attributes: self.attributes.unwrap_or_else(|| stored.attributes.clone()),
        }
    }
}

/// What a write carries beside its body, in headers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SaveContext {
    /// [`crate::routes::IDEMPOTENCY_KEY`]
    pub key: Option<IdempotencyKey>,
    /// [`crate::routes::LOCK_GENERATION`]
    pub generation: Option<Generation>,
    /// [`crate::routes::CLIENT_ID`]: which window writes, so that a window without the lock is told apart
    /// from the one with it.
    pub client_id: Option<ClientId>,
}

/// A create's 201 or 200 and an update's 200: the whole annotation as this write left it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Saved {
    /// As this write left it, even where another has saved upon it since.
    #[serde(flatten)]
    pub annotation: Annotation,
    /// What one more write needs to know.
    #[serde(flatten)]
    pub notes: SaveNotes,
}

/// A delete's 200.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Removed {
    /// What was deleted.
    pub id: AnnotationId,
    /// The tombstone's.
    pub version: Version,
    /// Always true.
    pub deleted: bool,
    /// What one more write needs to know.
    #[serde(flatten)]
    pub notes: SaveNotes,
}

/// What every successful write may add.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SaveNotes {
    /// This key had been applied before; this is what was answered then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
    /// On a replay: someone saved a newer one since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_version: Option<Version>,
    /// The caller's lock had lapsed, nobody had taken it, and it was granted anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<Lock>,
    /// The image's revision after this write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_revision: Option<i64>,
}

/// `GET /projects/{pid}/images/{iid}/annotations`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImageAnnotations {
    /// The live ones, oldest first.
    pub annotations: Vec<Annotation>,
    /// Of the moment they were read.
    pub image_revision: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_left_out_label_stays_and_a_null_one_goes() {
        let stored = AnnotationFields {
            label_id: Some("cat".into()),
            geometry: Geometry::bbox(0.0, 0.0, 1.0, 1.0),
            attributes: Map::new(),
        };
        let left_out: UpdateAnnotation = serde_json::from_str(r#"{"version": 1}"#).expect("an update");
        assert_eq!(left_out.apply_to(&stored).label_id, Some("cat".into()));
        let null: UpdateAnnotation =
            serde_json::from_str(r#"{"version": 1, "label_id": null}"#).expect("an update");
        assert_eq!(null.apply_to(&stored).label_id, None);
    }

    #[test]
    fn an_update_without_a_version_is_refused() {
        assert!(serde_json::from_str::<UpdateAnnotation>(r#"{"label_id": "cat"}"#).is_err());
    }
}
