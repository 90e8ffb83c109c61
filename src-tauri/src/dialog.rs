//! The native dialogs, in plain words: who, when, and what each button does.

use chrono::{DateTime, Local, Utc};
use lockstep_client::view::{ConflictView, Holder, Resolution};
use lockstep_wire::{AnnotationFields, Geometry, Label};
use tauri::WebviewWindow;
use tauri_plugin_dialog::{DialogExt, MessageDialogButtons, MessageDialogKind, MessageDialogResult};
use tokio::sync::oneshot;

/// What someone wants who met another's lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenLocked {
    /// Look without editing, and be told when it is free.
    NotifyMe,
    /// Look without editing.
    Look,
    /// End one's own other window's lock.
    TakeOver,
    /// Leave it.
    Cancel,
}

/// Says who is editing, and asks what to do.
pub(crate) async fn image_is_locked(window: &WebviewWindow, holder: &Holder) -> WhenLocked {
    const NOTIFY: &str = "Notify me when it is free";
    const LOOK: &str = "Look only";
    const TAKE_OVER: &str = "Take over";
    let (text, first) = if holder.is_me {
        let place = holder
            .device
            .as_deref()
            .map(|device| format!(" on {device}"))
            .unwrap_or_default();
        let text = format!(
            "You are editing this image in another window{place}, since {}. Take it over, and that window can only \
             look; what it has saved is kept.",
            when(holder.since)
        );
        (text, TAKE_OVER)
    } else {
        let text = format!(
            "This image is currently being edited by {}. Please wait or choose another image.",
            holder.user_name
        );
        (text, NOTIFY)
    };
    match ask(
        window,
        "This image is locked",
        text,
        MessageDialogKind::Info,
        [first, LOOK, "Cancel"],
    )
    .await
    .as_deref()
    {
        Some(NOTIFY) => WhenLocked::NotifyMe,
        Some(TAKE_OVER) => WhenLocked::TakeOver,
        Some(LOOK) => WhenLocked::Look,
        _ => WhenLocked::Cancel,
    }
}

/// Shows both sides of a conflict and asks which one goes on. `None` is Cancel: it waits on.
pub(crate) async fn conflict(
    window: &WebviewWindow,
    conflict: &ConflictView,
    labels: &[Label],
) -> Option<Resolution> {
    const OVERWRITE: &str = "Overwrite";
    const RELOAD: &str = "Reload latest";
    let text = conflict_text(conflict, labels);
    let buttons = [OVERWRITE, RELOAD, "Cancel"];
    match ask(
        window,
        "Someone else changed this too",
        text,
        MessageDialogKind::Warning,
        buttons,
    )
    .await
    .as_deref()
    {
        Some(OVERWRITE) => Some(Resolution::Overwrite),
        Some(RELOAD) => Some(Resolution::ReloadLatest),
        _ => None,
    }
}

fn conflict_text(conflict: &ConflictView, labels: &[Label]) -> String {
    let author = &conflict.last_updated_by;
    let theirs = conflict.theirs.as_ref().map(|annotation| &annotation.fields);
    format!(
        "Your version: v{yours}, current version: v{current}.\n\n\
         {author} saved v{current} of this annotation on {file} at {at}, while you were changing v{yours}.\n\n\
         Yours: {mine}\n{author}'s: {theirs}\n\n\
         Overwrite replaces {author}'s version with yours. Reload latest replaces yours with {author}'s. Whichever is \
         replaced is set aside in this window and can be restored. Cancel decides nothing.",
        yours = conflict.your_version,
        current = conflict.current_version,
        file = conflict.file_name,
        at = when(conflict.last_updated_at),
        mine = describe(conflict.mine.as_ref(), labels),
        theirs = describe(theirs, labels),
    )
}

fn describe(fields: Option<&AnnotationFields>, labels: &[Label]) -> String {
    let Some(fields) = fields else {
        return "deleted".into();
    };
    let label = match &fields.label_id {
        Some(id) => labels
            .iter()
            .find(|label| &label.id == id)
            .map_or(id.as_str(), |label| label.name.as_str()),
        None => "no label",
    };
    let shape = match &fields.geometry {
        Geometry::Bbox(b) => format!(
            "box of {:.0} × {:.0} at ({:.0}, {:.0})",
            b.width, b.height, b.x, b.y
        ),
        Geometry::Obb(b) => format!(
            "rotated box of {:.0} × {:.0} at ({:.0}, {:.0})",
            b.width, b.height, b.cx, b.cy
        ),
        Geometry::Polygon(p) => format!(
            "polygon of {} points",
            p.rings.iter().map(Vec::len).sum::<usize>()
        ),
        Geometry::Multipolygon(m) => format!("polygon of {} parts", m.polygons.len()),
        Geometry::Polyline(l) => format!("line of {} points", l.points.len()),
        Geometry::Keypoints(k) => format!("{} keypoints", k.points.len()),
        Geometry::Ellipse(e) => format!("ellipse at ({:.0}, {:.0})", e.cx, e.cy),
        Geometry::Mask(m) => format!("mask of {:.0} × {:.0}", m.width, m.height),
        Geometry::Tag(_) => "tag of the whole image".into(),
    };
    format!("{label}, {shape}")
}

fn when(time: DateTime<Utc>) -> String {
    let local = time.with_timezone(&Local);
    if local.date_naive() == Local::now().date_naive() {
        local.format("%H:%M:%S").to_string()
    } else {
        local.format("%Y-%m-%d %H:%M").to_string()
    }
}

/// Shows a dialog with three named buttons; closing it or Escape answers as the last one does.
async fn ask(
    window: &WebviewWindow,
    title: &str,
    text: String,
    kind: MessageDialogKind,
    [first, second, last]: [&str; 3],
) -> Option<String> {
    let (answer, answered) = oneshot::channel();
    window
        .dialog()
        .message(text)
        .title(title)
        .kind(kind)
        .parent(window)
        .buttons(MessageDialogButtons::YesNoCancelCustom(
            first.into(),
            second.into(),
            last.into(),
        ))
        .show_with_result(move |result| {
            // Nobody is waiting any more when the app is leaving.
            let _ = answer.send(result);
        });
    match answered.await {
        Ok(MessageDialogResult::Custom(button)) => Some(button),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_wire::{Annotation, UserId, Version};
    use serde_json::Map;

    fn fields(label: &str, x: f64) -> AnnotationFields {
        AnnotationFields {
            label_id: Some(label.into()),
            geometry: Geometry::bbox(x, 20.0, 30.0, 40.0),
            attributes: Map::new(),
        }
    }

    #[test]
    fn a_conflict_says_versions_who_and_what_would_be_replaced() {
        let at = Utc::now();
        let theirs = Annotation {
            id: "a".into(),
            project_id: "p".into(),
            image_id: "i".into(),
            fields: fields("dog", 11.0),
            created_by: UserId(1),
            created_at: at,
            updated_by: UserId(1),
            updated_at: at,
            version: Version(2),
        };
        let view = ConflictView {
            annotation_id: "a".into(),
            project_id: "p".into(),
            image_id: "i".into(),
            file_name: "cat.jpg".into(),
            base: None,
            mine: Some(fields("cat", 10.0)),
            theirs: Some(theirs),
            your_version: Version(1),
            current_version: Version(2),
            last_updated_at: at,
            last_updated_by: "Alice".into(),
            fields: vec!["geometry".into()],
        };
        let labels = [Label {
            id: "cat".into(),
            name: "Cat".into(),
            color: "#000000".into(),
            hotkey: None,
            more: Map::new(),
        }];
        let text = conflict_text(&view, &labels);
        for part in [
            "Your version: v1, current version: v2.",
            "Alice saved v2 of this annotation on cat.jpg",
            "Yours: Cat, box of 30 × 40 at (10, 20)",
            "Alice's: dog, box of 30 × 40 at (11, 20)",
        ] {
            assert!(text.contains(part), "{part:?} is not in {text:?}");
        }
    }

    #[test]
    fn a_deletion_is_called_one() {
        assert_eq!(describe(None, &[]), "deleted");
    }
}
