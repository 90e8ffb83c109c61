//! Steps of editing that can be taken back and done again, kept over restarts.

use lockstep_wire::{AnnotationFields, AnnotationId};
use rusqlite::{Connection, OptionalExtension as _};
use serde::{Deserialize, Serialize};

use super::Json;
use crate::view::HistoryView;
use crate::{Error, Place};

/// One annotation's part in a step; `None` is "not there".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StepPart {
    pub id: AnnotationId,
    pub before: Option<AnnotationFields>,
    pub after: Option<AnnotationFields>,
}

/// A new step; what had been taken back can no longer be done again.
pub(crate) fn push(db: &Connection, place: &Place, parts: &[StepPart]) -> Result<(), Error> {
    let at = (place.project.as_str(), place.image.as_str());
    db.prepare_cached("DELETE FROM undo_steps WHERE project_id = ?1 AND image_id = ?2 AND undone")?
        .execute(at)?;
    db.prepare_cached("INSERT INTO undo_steps (project_id, image_id, step) VALUES (?1, ?2, ?3)")?
        .execute((at.0, at.1, Json(parts)))?;
    Ok(())
}

/// The step that undo would take back, marked as taken back.
pub(crate) fn take_back(db: &Connection, place: &Place) -> Result<Option<Vec<StepPart>>, Error> {
    flip(db, place, "NOT undone ORDER BY id DESC")
}

/// The step that redo would do again, marked as done.
pub(crate) fn do_again(db: &Connection, place: &Place) -> Result<Option<Vec<StepPart>>, Error> {
    flip(db, place, "undone ORDER BY id ASC")
}

fn flip(db: &Connection, place: &Place, which: &str) -> Result<Option<Vec<StepPart>>, Error> {
    let step = db
        .prepare_cached(&format!(
            "UPDATE undo_steps SET undone = NOT undone WHERE id =
             (SELECT id FROM undo_steps WHERE project_id = ?1 AND image_id = ?2 AND {which} LIMIT 1)
             RETURNING step"
        ))?
        .query_row((place.project.as_str(), place.image.as_str()), |row| {
            row.get::<_, Json<Vec<StepPart>>>(0)
        })
        .optional()?;
    Ok(step.map(|json| json.0))
}

pub(crate) fn history(db: &Connection, place: &Place) -> Result<HistoryView, Error> {
    let at = (place.project.as_str(), place.image.as_str());
    let mut any = db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM undo_steps WHERE project_id = ?1 AND image_id = ?2 AND NOT undone),
                EXISTS (SELECT 1 FROM undo_steps WHERE project_id = ?1 AND image_id = ?2 AND undone)",
    )?;
    Ok(any.query_row(at, |row| {
        Ok(HistoryView {
            can_undo: row.get(0)?,
            can_redo: row.get(1)?,
        })
    })?)
}

/// `current` with the fields that differ between `from` and `to` as in `to`: a step is undone, or done
/// again, without touching what others changed meanwhile.
pub(crate) fn replay(
    current: Option<&AnnotationFields>,
    from: Option<&AnnotationFields>,
    to: Option<&AnnotationFields>,
) -> Option<AnnotationFields> {
    let (Some(current), Some(from), Some(to)) = (current, from, to) else {
        return to.cloned();
    };
    let mut attributes = current.attributes.clone();
    for name in from.attributes.keys().chain(to.attributes.keys()) {
        match (from.attributes.get(name), to.attributes.get(name)) {
            (before, after) if before == after => {}
            (_, Some(after)) => {
                attributes.insert(name.clone(), after.clone());
            }
            (_, None) => {
                attributes.remove(name);
            }
        }
    }
    let changed = |differs: bool| if differs { to } else { current };
    Some(AnnotationFields {
        label_id: changed(from.label_id != to.label_id).label_id.clone(),
        geometry: changed(from.geometry != to.geometry).geometry.clone(),
        attributes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_wire::Geometry;
    use serde_json::json;

    fn fields(label: &str, x: f64, attributes: &serde_json::Value) -> AnnotationFields {
        AnnotationFields {
            label_id: Some(label.into()),
            geometry: Geometry::bbox(x, 0.0, 5.0, 5.0),
            attributes: attributes.as_object().cloned().unwrap_or_default(),
        }
    }

    #[test]
    fn undoing_a_step_leaves_what_others_changed_meanwhile() {
        let none = json!({});
        for (current, from, to, expected) in [
            (
                fields("dog", 20.0, &none),
                fields("cat", 20.0, &none),
                fields("cat", 10.0, &none),
                fields("dog", 10.0, &none),
            ),
            (
                fields("cat", 20.0, &json!({"a": 2, "b": 1})),
                fields("cat", 20.0, &json!({"a": 2})),
                fields("cat", 20.0, &json!({"a": 1})),
                fields("cat", 20.0, &json!({"a": 1, "b": 1})),
            ),
            (
                fields("cat", 20.0, &json!({"a": 1})),
                fields("cat", 20.0, &json!({"a": 1})),
                fields("cat", 20.0, &none),
                fields("cat", 20.0, &none),
            ),
        ] {
            assert_eq!(replay(Some(&current), Some(&from), Some(&to)), Some(expected));
        }
    }

    #[test]
    fn undoing_brings_a_deleted_annotation_back_and_takes_a_drawn_one_away() {
        let cat = fields("cat", 10.0, &json!({}));
        assert_eq!(replay(None, None, Some(&cat)), Some(cat.clone()));
        assert_eq!(replay(Some(&cat), Some(&cat), None), None);
    }
}
