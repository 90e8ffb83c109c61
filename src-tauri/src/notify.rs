//! Shows the core's notices through the desktop's notification service, and takes a click back to the window.

use lockstep_client::view::{Event, Notice};
use lockstep_wire::{ImageId, LockLoss, ProjectId};
use notify_rust::Notification;
use tauri::AppHandle;

use crate::events;

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
    // A thread of its own: the wait for a click lasts as long as the notification is on the screen.
    std::thread::spawn(move || {
        let Words {
            summary,
            body,
            project_id,
            image_id,
        } = words(notice);
        let shown = Notification::new()
            .appname("Lockstep")
            .summary(&summary)
            .body(&body)
            .action("default", "Open")
            .action("dismiss", "Dismiss")
            .show();
        match shown {
            Ok(handle) => wait_for_click(handle, || {
                crate::window::bring_to_front(&app);
                events::emit(&app, &Event::OpenRequested { project_id, image_id });
            }),
            // The window shows every notice itself as well, so nothing is lost.
            Err(error) => tracing::warn!(%error, "the desktop could not show a notification"),
        }
    });
}

#[cfg(all(unix, not(target_os = "macos")))]
fn wait_for_click(handle: notify_rust::NotificationHandle, on_open: impl FnOnce()) {
    handle.wait_for_action(|action| {
        if action == "default" {
            on_open();
        }
    });
}

#[cfg(not(all(unix, not(target_os = "macos"))))]
fn wait_for_click(_handle: notify_rust::NotificationHandle, _on_open: impl FnOnce()) {}
