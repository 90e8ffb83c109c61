//! Taking back, ending and waiting for locks.

use lockstep_client::view::OpenOutcome;
use lockstep_wire::{ImageId, ProjectId};

use super::{Answer, AtDesk};

#[tauri::command]
pub(crate) async fn take_back(desk: AtDesk<'_>) -> Answer<OpenOutcome> {
    desk.client.take_back().await
}

#[tauri::command]
pub(crate) async fn force_release(desk: AtDesk<'_>, project_id: ProjectId, image_id: ImageId) -> Answer<()> {
    desk.client.force_release(&project_id, &image_id).await
}

#[tauri::command]
pub(crate) async fn watch(desk: AtDesk<'_>, project_id: ProjectId, image_id: ImageId) -> Answer<()> {
    desk.client.watch(&project_id, &image_id).await
}

#[tauri::command]
pub(crate) async fn unwatch(desk: AtDesk<'_>, project_id: ProjectId, image_id: ImageId) -> Answer<()> {
    desk.client.unwatch(&project_id, &image_id).await
}
