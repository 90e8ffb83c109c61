//! Shows the core's notices through the desktop's notification service, and takes a click back to the window.

use lockstep_client::view::{Event, Notice};
use lockstep_wire::{ImageId, LockLoss, ProjectId};
use notify_rust::{Notification, NotificationResponse};
use tauri::AppHandle;

use crate::{events, window};

/// What a notice says, and the image it is about.
struct Words {
    summary: String,
    body: String,
    project_id: ProjectId,
    image_id: ImageId,
}

fn words(notice: Notice) -> Words {
    match notice {
        Notice::ImageFree {
            project_id,
            image_id,
            file_name,
        } => Words {
            summary: format!("{file_name} is free"),
            body: "Nobody is editing it now. Open it to take the lock.".into(),
            project_id,
            image_id,
        },
        Notice::LockLost {
            project_id,
            image_id,
            file_name,
            reason,
            by,
        } => {
            let by = by.unwrap_or_else(|| "someone".into());
            let how = match reason {
                LockLoss::Forced => format!("{by} released your lock."),
                LockLoss::TakenOver => format!("{by} took it over."),
                LockLoss::Expired | LockLoss::Unknown => "Your lock has lapsed.".into(),
            };
            Words {
                summary: format!("You no longer hold {file_name}"),
                body: format!("{how} What you drew is kept on this computer."),
                project_id,
                image_id,
            }
        }
    }
}

/// Shows a notice; a click on it brings the window to the front and asks it to open the image.
pub(crate) fn show(app: &AppHandle, notice: Notice) {
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        let Words {
            summary,
            body,
            project_id,
            image_id,
        } = words(notice);
        let mut notification = Notification::new();
        notification
            .appname("Lockstep")
            .summary(&summary)
            .body(&body)
            .action(OPEN, "Open")
            .action("dismiss", "Dismiss");
        match is_clicked(&notification).await {
            Ok(true) => {
                window::bring_to_front(&app);
                events::emit(&app, &Event::OpenRequested { project_id, image_id });
            }
            Ok(false) => {}
            // The window shows every notice itself as well, so nothing is lost.
            Err(error) => tracing::warn!(%error, "the desktop could not show a notification"),
        }
    });
}

/// The desktops' own name for a click on the notification itself.
const OPEN: &str = "default";

/// Shows it until it is clicked, dismissed or gone.
#[cfg(all(unix, not(target_os = "macos")))]
async fn is_clicked(notification: &Notification) -> notify_rust::error::Result<bool> {
    let shown = notification.show_async().await?;
    let mut clicked = false;
    shown
        .wait_for_action_async(|response| clicked = matches!(response, NotificationResponse::Default))
        .await;
    // Some daemons leave it on the screen after a click.
    shown.close_async().await;
    Ok(clicked)
}

/// Shows it; elsewhere a click is the system's affair.
#[cfg(not(all(unix, not(target_os = "macos"))))]
async fn is_clicked(notification: &Notification) -> notify_rust::error::Result<bool> {
    notification.show()?;
    Ok(false)
}
