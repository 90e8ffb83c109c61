//! The program `lockstep-server`: reads the command line, does as it says, and exits with what came of it.

use std::process::ExitCode;

mod cli;
mod config;
mod log;
mod run;

/// The system's own took a tenth of a request's processor time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let asked = match config::read(&arguments) {
        Ok(asked) => asked,
        Err(config::Fault::Usage(fault)) => fault.exit(),
        Err(config::Fault::File(fault)) => {
            eprintln!("lockstep-server: {fault:#}");
            return ExitCode::from(2);
        }
    };
    log::start(&asked.cli.logging);
    match run::run(asked).await {
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
