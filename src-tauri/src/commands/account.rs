//! Who works here.

use lockstep_client::view::AccountView;
use tauri::AppHandle;

use super::{Answer, AtDesk};
use crate::bundled_server::DemoPerson;
use crate::lifecycle;

#[tauri::command]
pub(crate) async fn account(desk: AtDesk<'_>) -> Answer<AccountView> {
    Ok(desk.client.account().await)
}

/// Whether the server answers, for a window that was not there when that was told.
#[tauri::command]
pub(crate) fn connection(desk: AtDesk<'_>) -> Option<bool> {
    desk.client.connection()
}

/// The people of the demo project, once it is ready; nobody where there is none.
#[tauri::command]
pub(crate) async fn demo_people(desk: AtDesk<'_>) -> Answer<Vec<DemoPerson>> {
    Ok(desk.server.demo_people().await)
}

#[tauri::command]
pub(crate) async fn sign_in(desk: AtDesk<'_>, email: String, password: String) -> Answer<AccountView> {
    desk.client.sign_in(&email, &password).await
}

#[tauri::command]
pub(crate) async fn sign_out(desk: AtDesk<'_>) -> Answer<AccountView> {
    desk.client.sign_out().await
}

/// The window's own way to leave.
#[tauri::command]
pub(crate) fn quit(app: AppHandle) {
    lifecycle::leave(&app);
}
