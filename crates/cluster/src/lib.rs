//! A private PostgreSQL for tests and benchmarks: a cluster of its own on a free port of the loopback interface, gone
//! with whoever started it.
//!
//! **Invariant:** however its owner ends, killed included, neither a process nor a folder stays behind: a shell between
//! the two waits for the end of its standard input, which the system closes with the owner.

use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

/// Whether the cluster waits for the disk before it says that something is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// As in service.
    Durable,
    /// For tests that never cut the power: several times quicker to start.
    Hasty,
}

/// PostgreSQL starts in about a second, on a busy machine in several.
const PATIENCE: Duration = Duration::from_secs(60);

/// The account PostgreSQL runs under where the owner is root, which it refuses.
const UNPRIVILEGED: &str = "postgres";

/// A running cluster.
pub struct Cluster {
    programs: PathBuf,
    port: u16,
    keeper: Child,
    databases: AtomicU32,
}

/// One cluster for a whole test program, started by the first test that asks; not durable.
pub fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| Cluster::start(Durability::Hasty).expect("PostgreSQL's programs run here"))
}

impl Cluster {
    /// Makes and starts one.
    pub fn start(durability: Durability) -> Result<Self> {
        let programs = programs()?;
        let folder = folder()?;
        let data = folder.path().join("data");
        run(unprivileged(&programs.join("initdb"))?
            .args([
                "--auth=trust",
                "--username=postgres",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
            ])
            .args(["--no-sync", "--no-instructions", "--pgdata"])
            .arg(&data))?;
        Self::launch(programs, folder, durability)
    }

    /// A second cluster that copies all this one does, until it is promoted. Not durable.
    pub fn follow(&self) -> Result<Self> {
        let folder = folder()?;
        run(unprivileged(&self.programs.join("pg_basebackup"))?
            .args(["--host", "127.0.0.1", "--username", "postgres", "--port"])
            .arg(self.port.to_string())
            .args([
                "--checkpoint=fast",
                "--no-sync",
                "--write-recovery-conf",
                "--pgdata",
            ])
            .arg(folder.path().join("data")))?;
        Self::launch(self.programs.clone(), folder, Durability::Hasty)
    }

    /// Waits until what this one has done has been done by its followers, too.
    pub fn wait_for_followers(&self) -> Result<()> {
        let sql = "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()";
        self.wait_for(sql, "1")
    }

    /// Makes a primary of a follower.
    pub fn promote(&self) -> Result<()> {
        self.answer("SELECT pg_promote()").map(|_| ())
    }

    fn answer(&self, sql: &str) -> Result<String> {
        let output = self
            .client("psql")
            .args(["--tuples-only", "--no-align", "--command", sql])
            .output()?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    fn wait_for(&self, sql: &str, expected: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.answer(sql)? != expected {
            ensure!(
                Instant::now() < deadline,
                "{sql} is not {expected} after {PATIENCE:?}"
            );
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn launch(programs: PathBuf, folder: tempfile::TempDir, durability: Durability) -> Result<Self> {
        let port = free_port()?;
        let fsync = match durability {
            Durability::Durable => "on",
            Durability::Hasty => "off",
        };
        // The folder is the shell's from here on.
        let folder = folder.keep();
        let keeper = unprivileged(Path::new("/bin/sh"))?
            .args(["-c", KEEPER, "keeper"])
            .arg(programs.join("postgres"))
            .arg(&folder)
            .args(["-p", &port.to_string(), "-c", &format!("fsync={fsync}")])
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"])
            .arg("-c")
            .arg(format!("unix_socket_directories={}", folder.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut cluster = Self {
            programs,
            port,
            keeper,
            databases: AtomicU32::new(0),
        };
        cluster.wait_until_ready()?;
        Ok(cluster)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if self.client("pg_isready").arg("--quiet").status()?.success() {
                return Ok(());
            }
            if let Some(status) = self.keeper.try_wait()? {
                bail!("PostgreSQL ended early ({status})");
            }
            ensure!(
                Instant::now() < deadline,
                "PostgreSQL did not start in {PATIENCE:?}"
            );
            sleep(Duration::from_millis(50));
        }
    }

    /// A new empty database, by its URL.
    pub fn new_database(&self) -> Result<String> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("lockstep_{number}");
        run(self.client("createdb").arg(&name))?;
        Ok(self.url(&name))
    }

    /// A new database, restored from a dump of another.
    pub fn restored(&self, url: &str) -> Result<String> {
        let from = url.rsplit('/').next().context("a database without a name")?;
        let restored = self.new_database()?;
        let to = restored.rsplit('/').next().context("a database without a name")?;
        let dump = tempfile::NamedTempFile::new()?;
        run(self.client("pg_dump").arg("--file").arg(dump.path()).arg(from))?;
        run(self
            .client("psql")
            .args(["--quiet", "--file"])
            .arg(dump.path())
            .arg(to))?;
        Ok(restored)
    }

    /// Where it listens.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// How to reach one of its databases.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// One of PostgreSQL's client programs, told how to reach this cluster.
    pub fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command
            .args(["--host", "127.0.0.1", "--username", "postgres", "--port"])
            .arg(self.port.to_string());
        command
    }

    /// The process ids of its server processes, for whoever measures what they use.
    pub fn processes(&self) -> Result<Vec<u32>> {
        let mut found = vec![self.keeper.id()];
        let mut at = 0;
        while let Some(parent) = found.get(at).copied() {
            let path = format!("/proc/{parent}/task/{parent}/children");
            // One that has just ended has no children.
            let children = std::fs::read_to_string(path).unwrap_or_default();
            found.extend(
                children
                    .split_whitespace()
                    .filter_map(|id| id.parse::<u32>().ok()),
            );
            at += 1;
        }
        Ok(found)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // It stops PostgreSQL at once and removes the folder; whoever started it waits until both are gone.
        let _ = self.keeper.wait();
    }
}

/// `$1` the server, `$2` the folder, the rest the server's arguments. Ended by QUIT, which waits for nothing.
const KEEPER: &str = r#"
server=$1 folder=$2; shift 2
exec 3<&0
"$server" -D "$folder/data" "$@" 3<&- </dev/null &
pid=$!
cat <&3 >/dev/null
kill -QUIT $pid 2>/dev/null
wait $pid
rm -rf "$folder"
"#;

/// The newest installation's programs: Debian does not put them on the path.
fn programs() -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            path.join("bin/postgres")
                .exists()
                .then(|| (version, path.join("bin")))
        })
        .collect();
    found.sort();
    if let Some((_, newest)) = found.pop() {
        return Ok(newest);
    }
    let answer = Command::new("pg_config").arg("--bindir").output();
    let answer = answer.context("PostgreSQL's programs are not installed (package postgresql)")?;
    Ok(PathBuf::from(String::from_utf8(answer.stdout)?.trim()))
}

fn is_root() -> Result<bool> {
    Ok(std::fs::metadata("/proc/self")?.uid() == 0)
}

fn unprivileged(program: &Path) -> Result<Command> {
    let mut command = if is_root()? {
        let mut command = Command::new("setpriv");
        command
            .args([
                "--reuid",
                UNPRIVILEGED,
                "--regid",
                UNPRIVILEGED,
                "--clear-groups",
                "--",
            ])
            .arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir("/");
    Ok(command)
}

fn folder() -> Result<tempfile::TempDir> {
    let folder = tempfile::Builder::new().prefix("lockstep-postgres-").tempdir()?;
    if is_root()? {
        run(Command::new("chown").arg(UNPRIVILEGED).arg(folder.path()))?;
    }
    Ok(folder)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn run(command: &mut Command) -> Result<()> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {command:?}"))?;
    let mut complaint = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut complaint)?;
    }
    let status = child.wait()?;
    ensure!(status.success(), "{command:?} failed ({status}): {complaint}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_answers_and_leaves_nothing_behind() {
        let cluster = Cluster::start(Durability::Hasty).expect("a cluster");
        cluster.new_database().expect("a database");
        let answer = cluster
            .client("psql")
            .args([
                "--dbname=lockstep_0",
                "--tuples-only",
                "--no-align",
                "--command=SHOW data_directory",
            ])
            .output()
            .expect("an answer");
        let data = PathBuf::from(String::from_utf8(answer.stdout).expect("text").trim());
        assert!(data.is_absolute(), "{data:?}");
        assert!(cluster.processes().expect("a list").len() > 2);
        drop(cluster);
        assert!(!data.exists());
    }
}
