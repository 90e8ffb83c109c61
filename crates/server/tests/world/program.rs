//! The program itself: server processes, several of which may share one place.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Engine, Person, Place, people, until};
use lockstep_server::Settings;

/// The program, before it is told what to do.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep-server"));
    command
        .env("LOCKSTEP_LOG", "warn")
        // Whoever runs the tests may have settings of his own.
        .env("LOCKSTEP_CONFIG", "/dev/null");
    command
}

/// A server in a process of its own, which is killed with its owner.
pub struct Serving {
    child: Child,
    pub url: String,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Serving {
    /// `command` must say `serve`; a free port is picked.
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .args(["--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe"))
            .read_line(&mut line)
            .expect("a line");
        let Some(url) = line.trim().strip_prefix("listening on ") else {
            panic!("it does not say where it listens, but {line:?}")
        };
        let url = url.to_owned();
        Self { child, url }
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args(["-s", signal, &self.child.id().to_string()])
            .status()
            .expect("kill");
        assert!(sent.success());
    }

    /// SIGKILL, and nothing of it is left.
    pub fn kill(self) {
        drop(self);
    }

    /// The code it leaves with, once it does.
    pub async fn left(&mut self) -> Option<i32> {
        until(async || self.child.try_wait().expect("a look"))
            .await
            .code()
    }
}

/// Server processes on one place, with the people and images of a world.
pub struct Fleet {
    pub place: Place,
    pub servers: Vec<Serving>,
}

impl Fleet {
    /// `options` are of `serve`.
    pub async fn begin(engine: Engine, servers: usize, options: &[&str]) -> Self {
        let place = Place::new(engine);
        people(&*place.open(Settings::default()).await).await;
        let servers = (0..servers).map(|_| serve(&place, options, None)).collect();
        Self { place, servers }
    }

    /// At the first server.
    pub async fn sign_in(&self, name: &str) -> Person {
        Person::sign_in(&self.servers[0].url, name).await
    }

    /// The same person speaking to another server.
    pub fn via(&self, server: usize, person: &Person) -> Person {
        person.via(&self.servers[server].url)
    }
}

/// A server on a place, by a clock of its own where one is given.
pub fn serve(place: &Place, options: &[&str], clock: Option<&Clock>) -> Serving {
    let mut command = program();
    command.arg("serve").args(place.arguments()).args(options);
    if let Some(clock) = clock {
        command
            .env("LD_PRELOAD", faketime())
            .env("FAKETIME_TIMESTAMP_FILE", &clock.file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
    Serving::start(command)
}

/// A process's wall clock, which can be stepped while it runs. The monotonic one runs on, as it does in real life.
pub struct Clock {
    file: PathBuf,
}

impl Clock {
    pub fn ahead(folder: &Path, seconds: i64) -> Self {
        let clock = Self {
            file: folder.join("clock"),
        };
        clock.step_to(seconds);
        clock
    }

    /// How far it is ahead of the real one from now on.
    pub fn step_to(&self, seconds: i64) {
        // In one step, for whoever reads it meanwhile.
        let next = self.file.with_extension("next");
        std::fs::write(&next, format!("{seconds:+}\n")).expect("a file");
        std::fs::rename(next, &self.file).expect("a file");
    }
}

/// Debian's libfaketime.
fn faketime() -> PathBuf {
    let found = std::fs::read_dir("/usr/lib")
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .path()
                .join("faketime/libfaketimeMT.so.1")
        })
        .find(|file| file.exists());
    found.expect("libfaketime is installed (package faketime)")
}
