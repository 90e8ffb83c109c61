//! The server as its own program, on a port and a data folder it keeps through stops and starts.

use std::io::{Seek, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::process::{Process, leashed, output_of};

const START: Duration = Duration::from_secs(20);
const STOP: Duration = Duration::from_secs(10);

/// A `lockstep-server`, running or not.
pub struct Server {
    binary: PathBuf,
    arguments: Vec<String>,
    data: PathBuf,
    logs: TempDir,
    address: SocketAddr,
    process: Option<Process>,
}

impl Server {
    /// Starts `binary serve` on a free loopback port with its data in `data`.
    pub async fn start(binary: &Path, data: &Path, arguments: &[&str]) -> Result<Self> {
        let mut server = Self {
            binary: binary.to_owned(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            data: data.to_owned(),
            logs: tempfile::tempdir()?,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            process: None,
        };
        server.start_again().await?;
        Ok(server)
    }

    /// Runs one of its other subcommands on the data, with `input` on standard input, whether it serves or not.
    pub fn run(
        binary: &Path,
        data: &Path,
        subcommand: &str,
        arguments: &[&str],
        input: &str,
    ) -> Result<String> {
        let mut given = tempfile::tempfile()?;
        given.write_all(input.as_bytes())?;
        given.rewind()?;
        let mut command = on_data(binary, data, subcommand);
        command.args(arguments).stdin(given);
        output_of(command)
    }

    /// Starts it once more, on the port and the data it had.
    pub async fn start_again(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "the server is running");
        let mut command = on_data(&self.binary, &self.data, "serve");
        command
            .arg("--listen")
            .arg(self.address.to_string())
            .args(&self.arguments);
        let mut process = Process::start("server", command, self.logs.path())?;
        self.address = process
            .wait_for_line(START, |line| {
                line.split_once("listening on http://")?.1.trim().parse().ok()
            })
            .await?;
        self.process = Some(process);
        Ok(())
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    pub async fn stop(&mut self) -> Result<()> {
        let mut process = self.process.take().context("the server is not running")?;
        let status = process.terminate(STOP).await?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }

    /// Ends it as a power cut does (SIGKILL).
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().context("the server is not running")?.kill()
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// A subcommand on the data. `--data` follows all of its words, so that `user add --data …` is read as well.
fn on_data(binary: &Path, data: &Path, subcommand: &str) -> Command {
    let mut command = leashed(binary);
    command
        .args(subcommand.split(' '))
        .arg("--data")
        .arg(data)
        .stdin(Stdio::null());
    command
}
