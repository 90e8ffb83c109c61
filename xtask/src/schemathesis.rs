//! A real server, and a program that has read its OpenAPI document and does not mean well.
//!
//! **Invariant:** schemathesis and all it needs are of the pinned versions, in a folder of the build's own.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use lockstep_cluster::{Cluster, Durability};

use crate::repository::Repository;
use crate::shell::{answer, run, say};

/// How long it goes at each kind of database. Both together fit into a run of all tests.
const SECONDS: &str = "90";

/// The same requests in every run, so that a red run can be run again; `--seed` chooses others.
const SEED: &str = "20261124";

/// Goes at a server on each kind of database; the server must have been built.
pub(crate) fn go(repository: &Repository, arguments: &[String]) -> Result<()> {
    go_at("SQLite", None, repository, arguments)?;
    let cluster = Cluster::start(Durability::Hasty)?;
    go_at(
        "PostgreSQL",
        Some(&cluster.new_database()?),
        repository,
        arguments,
    )
}

fn go_at(name: &str, database: Option<&str>, repository: &Repository, arguments: &[String]) -> Result<()> {
    say(format_args!("schemathesis against a server on {name}"));
    let program = installed(repository)?;
    let folder = tempfile::tempdir()?;
    let server = Server::start(repository, folder.path(), database)?;
    let mut command = Command::new(program);
    command
        .arg("--config-file")
        .arg(pinned(repository).join("schemathesis.toml"))
        .arg("run")
        .arg(format!("{}/api/v1/openapi.json", server.url))
        .args(["--max-time", SECONDS, "--seed", SEED])
        .args(arguments)
        .env("LOCKSTEP_TOKEN", &server.token)
        .current_dir(folder.path());
    run(&mut command).with_context(|| format!("on {name}"))?;
    server.was_calm()
}

fn pinned(repository: &Repository) -> PathBuf {
    repository.root().join("crates/server/schemathesis")
}

/// Schemathesis' program, installed anew whenever what is pinned has changed.
fn installed(repository: &Repository) -> Result<PathBuf> {
    let home = repository.target().join("schemathesis");
    let program = home.join("bin/st");
    let wanted = pinned(repository).join("requirements.txt");
    let stamp = home.join("requirements.txt");
    if program.exists() && std::fs::read(&stamp).ok() == Some(std::fs::read(&wanted)?) {
        return Ok(program);
    }
    say("installing schemathesis");
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home))?;
    run(Command::new(home.join("bin/pip"))
        .args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--requirement",
        ])
        .arg(&wanted))?;
    std::fs::copy(&wanted, &stamp)?;
    Ok(program)
}

/// A server with the demo in it, which ends with its owner.
struct Server {
    child: Child,
    url: String,
    /// The demo project's owner's.
    token: String,
    log: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(repository: &Repository, folder: &Path, database: Option<&str>) -> Result<Self> {
        let command = |name: &str| {
            let mut command = Command::new(repository.program("lockstep-server"));
            command
                .arg(name)
                .env("LOCKSTEP_CONFIG", "/dev/null")
                .env("LOCKSTEP_LOG", "warn");
            match database {
                Some(url) => command.args(["--database", url]).arg("--blobs").arg(folder),
                None => command.arg("--data").arg(folder),
            };
            command
        };
        run(command("demo").stdout(Stdio::null()))?;
        let make = [
            "add",
            "--email",
            "alice@example.org",
            "--name",
            "schemathesis",
            "--write",
        ];
        let token = answer(command("token").args(make)).context("making a token")?;
        let log = folder.join("server.log");
        let mut child = command("serve")
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .spawn()
            .context("starting the server")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("its output is piped")?).read_line(&mut line)?;
        let url = line
            .trim()
            .strip_prefix("listening on ")
            .unwrap_or_default()
            .to_owned();
        let server = Self {
            child,
            url,
            token,
            log,
        };
        if server.url.is_empty() {
            bail!(
                "the server did not start: {}",
                std::fs::read_to_string(&server.log)?
            );
        }
        Ok(server)
    }

    /// Nothing it was sent made it complain of itself.
    fn was_calm(mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the server ended by itself ({status})");
        }
        let log = std::fs::read_to_string(&self.log)?;
        if log
            .lines()
            .any(|line| line.contains("ERROR") || line.contains("panicked"))
        {
            bail!("the server complained:\n{log}");
        }
        Ok(())
    }
}
