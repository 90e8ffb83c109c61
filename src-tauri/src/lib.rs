//! The shell: adapts the desktop to the core. Decides nothing.
//!
//! **Invariant:** no SQL, no HTTP, no timers and no rules here; commands go down as calls on the client, facts
//! come up through [`events`].

mod bundled_server;
mod clock;
mod commands;
mod dialog;
mod events;
mod keychain;
mod lifecycle;
mod notify;
mod options;
mod pictures;
mod window;

use std::sync::Arc;

use anyhow::Context as _;
use lockstep_client::view::Event;
use lockstep_client::{Client, Config, Ports};
use tauri::{AppHandle, Manager};
use tokio::sync::mpsc::UnboundedReceiver;

pub use options::Options;

use crate::bundled_server::BundledServer;

/// What commands work with.
pub(crate) struct Desk {
    /// The core.
    pub(crate) client: Client,
    /// The server inside this program, or whoever's is used instead.
    pub(crate) server: BundledServer,
}

/// Runs the app until its window is closed.
pub fn run(options: Options) -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("LOCKSTEP_LOG").unwrap_or_else(|_| "info".into()),
        )
        .with_writer(std::io::stderr)
        .init();

    let mut context = tauri::generate_context!();
    if options.profile != Options::DEFAULT_PROFILE {
        // Another identifier is another program to the desktop: its own web data, its own single instance.
        let identifier = format!("{}.{}", context.config().identifier, options.profile);
        context.config_mut().identifier = identifier;
    }

    tauri::Builder::default()
        // First, so that a second start ends before it touches anything.
        .plugin(tauri_plugin_single_instance::init(|app, _arguments, _folder| {
            window::bring_to_front(app);
        }))
        .plugin(tauri_plugin_dialog::init())
        .register_asynchronous_uri_scheme_protocol(pictures::SCHEME, pictures::serve)
        .invoke_handler(commands::handler())
        .manage(lifecycle::Leaving::default())
        .setup(move |app| {
            let handle = app.handle().clone();
            let (desk, facts) = tauri::async_runtime::block_on(start(&handle, &options))?;
            app.manage(desk);
            tauri::async_runtime::spawn(events::run(handle.clone(), facts));
            tauri::async_runtime::spawn(lifecycle::leave_on_signals(handle.clone()));
            window::open(&handle, &options.profile)?;
            Ok(())
        })
        .on_window_event(lifecycle::on_window_event)
        .build(context)
        .context("the window toolkit did not start")?
        .run(|app, event| lifecycle::on_run_event(app, &event));
    Ok(())
}

/// Starts the server where it is wanted, then the core.
async fn start(app: &AppHandle, options: &Options) -> anyhow::Result<(Desk, UnboundedReceiver<Event>)> {
    let home = app
        .path()
        .data_dir()
        .context("this account has no folder for data")?
        .join("lockstep");
    let server = match &options.server {
        Some(address) => BundledServer::elsewhere(address)?,
        None => BundledServer::start_or_join(&home.join("server")).await?,
    };
    let config = Config {
        data_dir: home.join("profiles").join(&options.profile),
        server: server.url().clone(),
        device: device(),
    };
    let ports = Ports {
        keychain: Arc::new(keychain::DesktopKeychain::new(&options.profile)),
        clock: Arc::new(clock::MachineClock),
    };
    let (client, facts) = Client::start(config, ports)
        .await
        .context("the local data could not be opened")?;
    Ok((Desk { client, server }, facts))
}

/// What colleagues read beside the holder's name.
fn device() -> String {
    #[cfg(unix)]
    let name = rustix::system::uname()
        .nodename()
        .to_str()
        .ok()
        .map(str::to_owned);
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").ok();
    name.unwrap_or_else(|| "a computer".into())
}
