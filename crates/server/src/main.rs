//! The program `lockstep-server`: reads the command line, does as it says, and exits with what came of it.

use std::process::ExitCode;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

mod cli;
mod run;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let filter = EnvFilter::try_from_env("LOCKSTEP_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    match run::run(cli.command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(run::Failure::Usage(message)) => {
            eprintln!("lockstep-server: {message}");
            ExitCode::from(2)
        }
        Err(run::Failure::Failed(error)) => {
            eprintln!("lockstep-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}
