//! Two people changed the same thing.

use lockstep_client::view::{ConflictView, Delta};
use lockstep_wire::AnnotationId;
use tauri::AppHandle;

use super::{Answer, AtDesk};
use crate::{dialog, window};

#[tauri::command]
pub(crate) async fn conflicts(desk: AtDesk<'_>) -> Answer<Vec<ConflictView>> {
    desk.client.conflicts().await
}

/// Asks by the native dialog and does what was answered; Cancel, or a conflict that is no more, does nothing.
#[tauri::command]
pub(crate) async fn ask_conflict(
    app: AppHandle,
    desk: AtDesk<'_>,
    annotation_id: AnnotationId,
) -> Answer<Option<Delta>> {
    let waiting = desk.client.conflicts().await?;
    let Some(conflict) = waiting
        .iter()
        .find(|conflict| conflict.annotation_id == annotation_id)
    else {
        return Ok(None);
    };
    let Some(window) = window::main(&app) else {
        return Ok(None);
    };
    let labels = desk.client.labels(&conflict.project_id).await?;
    match dialog::conflict(&window, conflict, &labels).await {
        Some(resolution) => desk.client.resolve(&annotation_id, resolution).await,
        None => Ok(None),
    }
}
