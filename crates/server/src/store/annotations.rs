//! An image's annotations as the JSON that is sent, made straight from the stored text.
//!
//! **Invariant:** the JSON is the wire's [`lockstep_wire::ImageAnnotations`], byte for byte.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;

use super::Presence;

/// What came of reading an image's annotations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnnotationsRead {
    /// There is no live image: it was deleted, or never was.
    Missing(Presence),
    /// The image is still at the revision the reader knows.
    Unchanged,
    /// The live annotations, oldest first.
    Rendered(RenderedAnnotations),
}

/// An image's annotations, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedAnnotations {
    /// Of the moment they were read.
    pub image_revision: i64,
    /// The wire's `ImageAnnotations`.
    pub json: Bytes,
}

/// An annotation as its row holds it. It is written as the wire's `Annotation` is; the JSON columns go through
/// unparsed, since they were written from the wire's own types.
#[derive(Debug, Serialize)]
pub(crate) struct AnnotationRow<'a> {
    pub(crate) id: &'a str,
    pub(crate) project_id: &'a str,
    pub(crate) image_id: &'a str,
    pub(crate) label_id: Option<&'a str>,
    pub(crate) geometry: &'a RawValue,
    pub(crate) attributes: &'a RawValue,
    pub(crate) created_by: i64,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_by: i64,
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) version: i64,
}

/// Annotations being written down, one row after the other.
pub(crate) struct Rendering {
    json: Vec<u8>,
    empty: bool,
}

impl Rendering {
    pub(crate) fn begin() -> Self {
        Self {
            json: br#"{"annotations":["#.to_vec(),
            empty: true,
        }
    }

    pub(crate) fn push(&mut self, row: &AnnotationRow) -> serde_json::Result<()> {
        if !std::mem::take(&mut self.empty) {
            self.json.push(b',');
        }
        serde_json::to_writer(&mut self.json, row)
    }

    pub(crate) fn end(mut self, image_revision: i64) -> RenderedAnnotations {
        let end = format!(r#"],"image_revision":{image_revision}}}"#);
        self.json.extend_from_slice(end.as_bytes());
        RenderedAnnotations {
            image_revision,
            json: self.json.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use lockstep_wire::{Annotation, AnnotationFields, Geometry, ImageAnnotations, LabelId, UserId, Version};
    use serde_json::value::to_raw_value;

    use super::*;

    fn annotation(id: &str, label: Option<&str>) -> Annotation {
        let time = |millis| DateTime::from_timestamp_millis(millis).expect("a time");
        let attributes = r#"{"wörd": [1, 2.50, null], "empty": {}, "quote": "\"\\\u0001"}"#;
        Annotation {
            id: id.into(),
            project_id: "p \"x\"".into(),
            image_id: "ä/b.png".into(),
            fields: AnnotationFields {
                label_id: label.map(Into::into),
                geometry: Geometry::bbox(0.1, 1e-9, 3.0, 1e21),
                attributes: serde_json::from_str(attributes).expect("a map"),
            },
            created_by: UserId(1),
            created_at: time(1_700_000_000_000),
            updated_by: UserId(2),
            updated_at: time(1_700_000_000_123),
            version: Version(3),
        }
    }

    #[test]
    fn what_is_rendered_from_rows_is_what_the_wire_would_write() {
        for annotations in [
            vec![],
            vec![annotation("a", Some("cat"))],
            vec![annotation("a", None), annotation("b", Some("dog"))],
        ] {
            let mut rendering = Rendering::begin();
            for annotation in &annotations {
                let geometry = to_raw_value(&annotation.fields.geometry).expect("JSON");
                let attributes = to_raw_value(&annotation.fields.attributes).expect("JSON");
                let row = AnnotationRow {
                    id: annotation.id.as_str(),
                    project_id: annotation.project_id.as_str(),
                    image_id: annotation.image_id.as_str(),
                    label_id: annotation.fields.label_id.as_ref().map(LabelId::as_str),
                    geometry: &geometry,
                    attributes: &attributes,
                    created_by: annotation.created_by.0,
                    created_at: annotation.created_at,
                    updated_by: annotation.updated_by.0,
                    updated_at: annotation.updated_at,
                    version: annotation.version.0,
                };
                rendering.push(&row).expect("a row");
            }
            let rendered = rendering.end(7);
            let expected = ImageAnnotations {
                annotations,
                image_revision: 7,
            };
            let expected = serde_json::to_vec(&expected).expect("JSON");
            assert_eq!(
                String::from_utf8_lossy(&rendered.json),
                String::from_utf8_lossy(&expected)
            );
        }
    }
}
