//! What is drawn on the open image.

use lockstep_client::view::{Delta, Edit, KeptVersion, SaveView};
use lockstep_wire::{ImageId, ProjectId};

use super::{Answer, AtDesk};

#[tauri::command]
pub(crate) async fn edit(desk: AtDesk<'_>, edit: Edit) -> Answer<Delta> {
    desk.client.edit(edit).await
}

#[tauri::command]
pub(crate) async fn undo(desk: AtDesk<'_>) -> Answer<Delta> {
    desk.client.undo().await
}

#[tauri::command]
pub(crate) async fn redo(desk: AtDesk<'_>) -> Answer<Delta> {
    desk.client.redo().await
}

#[tauri::command]
pub(crate) async fn kept(
    desk: AtDesk<'_>,
    project_id: ProjectId,
    image_id: ImageId,
) -> Answer<Vec<KeptVersion>> {
    desk.client.kept(&project_id, &image_id).await
}

#[tauri::command]
pub(crate) async fn restore(desk: AtDesk<'_>, id: i64) -> Answer<Delta> {
    desk.client.restore(id).await
}

#[tauri::command]
pub(crate) async fn save(desk: AtDesk<'_>) -> Answer<SaveView> {
    Ok(desk.client.save())
}

#[tauri::command]
pub(crate) async fn sync_now(desk: AtDesk<'_>) -> Answer<()> {
    desk.client.sync_now().await
}
