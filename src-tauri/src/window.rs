//! The one window.

use tauri::{AppHandle, Manager, WebviewUrl, WebviewWindow, WebviewWindowBuilder};

use crate::Options;

/// Its label, also in the capabilities.
const MAIN: &str = "main";

/// Opens it.
pub(crate) fn open(app: &AppHandle, profile: &str) -> tauri::Result<()> {
    let title = if profile == Options::DEFAULT_PROFILE {
        "Lockstep".into()
    } else {
        format!("Lockstep – {profile}")
    };
    let window = WebviewWindowBuilder::new(app, MAIN, WebviewUrl::default())
        .title(title)
        .inner_size(1280.0, 800.0)
        .min_inner_size(760.0, 520.0)
        .build()?;
    #[cfg(target_os = "linux")]
    paint_on_the_cpu_without_a_gpu(&window)?;
    #[cfg(not(target_os = "linux"))]
    let _ = window;
    Ok(())
}

/// The window, for dialogs.
pub(crate) fn main(app: &AppHandle) -> Option<WebviewWindow> {
    app.get_webview_window(MAIN)
}

/// Shows the window to someone who was elsewhere.
pub(crate) fn bring_to_front(app: &AppHandle) {
    let Some(window) = main(app) else { return };
    let raised = window
        .unminimize()
        .and_then(|()| window.show())
        .and_then(|()| window.set_focus());
    if let Err(error) = raised {
        tracing::warn!(%error, "the window could not be brought to the front");
    }
}

/// Compositing through a software GL is three to five times slower than painting directly.
#[cfg(target_os = "linux")]
fn paint_on_the_cpu_without_a_gpu(window: &WebviewWindow) -> tauri::Result<()> {
    use webkit2gtk::{HardwareAccelerationPolicy, SettingsExt as _, WebViewExt as _};
    let has_gpu = std::fs::read_dir("/dev/dri").is_ok_and(|mut entries| entries.next().is_some());
    if has_gpu {
        return Ok(());
    }
    window.with_webview(|webview| {
        if let Some(settings) = webview.inner().settings() {
            settings.set_hardware_acceleration_policy(HardwareAccelerationPolicy::Never);
        }
    })
}
