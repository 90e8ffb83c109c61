//! Projects, their images, and the open one.

use lockstep_client::view::{ImageRow, OpenOutcome, OpenedImage, ProjectView};
use lockstep_wire::{ImageId, Label, ProjectId};
use serde::Serialize;
use tauri::AppHandle;

use super::{Answer, AtDesk};
use crate::dialog::{self, WhenLocked};
use crate::window;

#[tauri::command]
pub(crate) async fn projects(desk: AtDesk<'_>) -> Answer<Vec<ProjectView>> {
    desk.client.projects().await
}

#[tauri::command]
pub(crate) async fn open_project(desk: AtDesk<'_>, project_id: ProjectId) -> Answer<Vec<ImageRow>> {
    desk.client.open_project(&project_id).await
}

#[tauri::command]
pub(crate) async fn images(desk: AtDesk<'_>, project_id: ProjectId) -> Answer<Vec<ImageRow>> {
    desk.client.images(&project_id).await
}

#[tauri::command]
pub(crate) async fn labels(desk: AtDesk<'_>, project_id: ProjectId) -> Answer<Vec<Label>> {
    desk.client.labels(&project_id).await
}

/// How opening an image ended after whatever was asked on the way.
#[derive(Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum Opened {
    /// Open, to edit or to look at as its session says.
    Opened { image: Box<OpenedImage> },
    /// It is locked, and the person left it.
    Cancelled,
}

/// Opens an image for editing; where it is locked, says by whom and does what is answered.
#[tauri::command]
pub(crate) async fn open_image(
    app: AppHandle,
    desk: AtDesk<'_>,
    project_id: ProjectId,
    image_id: ImageId,
) -> Answer<Opened> {
    let client = &desk.client;
    let mut take_over = false;
    loop {
        let holder = match client.open_image(&project_id, &image_id, take_over).await? {
            OpenOutcome::Opened { image } => return Ok(Opened::Opened { image }),
            OpenOutcome::Locked { holder } => holder,
        };
        let Some(window) = window::main(&app) else {
            return Ok(Opened::Cancelled);
        };
        match dialog::image_is_locked(&window, &holder).await {
            WhenLocked::TakeOver => take_over = true,
            WhenLocked::Cancel => return Ok(Opened::Cancelled),
            answer @ (WhenLocked::Look | WhenLocked::NotifyMe) => {
                if answer == WhenLocked::NotifyMe {
                    client.watch(&project_id, &image_id).await?;
                }
                let image = client.open_read_only(&project_id, &image_id).await?;
                return Ok(Opened::Opened {
                    image: Box::new(image),
                });
            }
        }
    }
}

#[tauri::command]
pub(crate) async fn open_read_only(
    desk: AtDesk<'_>,
    project_id: ProjectId,
    image_id: ImageId,
) -> Answer<OpenedImage> {
    desk.client.open_read_only(&project_id, &image_id).await
}

#[tauri::command]
pub(crate) async fn close_image(desk: AtDesk<'_>) -> Answer<()> {
    desk.client.close_image().await
}
