//! A server under measurement, its database, and what is in it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use lockstep_cluster::{Cluster, Durability};
use lockstep_wire::{AnnotationFields, AnnotationId, Geometry, LoginRequest, Tokens, routes};
use serde_json::{Map, Value, json};

use crate::caller::{Ask, Caller};
use crate::load::on_this_thread;

pub(crate) const PROJECT: &str = "bench";
/// Holds a hundred annotations.
pub(crate) const SMALL: &str = "small.bmp";
/// Holds ten thousand.
pub(crate) const LARGE: &str = "large.bmp";
/// Images with nothing on them, one for each annotator.
pub(crate) const IMAGES: usize = 1000;

/// People of the project. Hashing a password costs a tenth of a second by design, so the thousand share these.
const PEOPLE: usize = 8;
const PASSWORD: &str = "correct horse battery staple";

/// A process that listens; it ends with this.
pub(crate) struct Listening {
    child: Child,
    pub(crate) at: SocketAddr,
}

impl Listening {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let at = line.trim().strip_prefix("listening on http://");
        let at = at
            .with_context(|| format!("{command:?} does not listen: {line:?}"))?
            .parse()?;
        Ok(Self { child, at })
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    Sqlite,
    Postgres,
}

impl Store {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// A running server with people, images and annotations in it.
pub(crate) struct Served {
    listening: Listening,
    cluster: Option<Cluster>,
    pub(crate) tokens: Vec<String>,
}

impl Served {
    /// Starts one over a fresh database.
    pub(crate) fn start(program: &Path, folder: &Path, store: Store) -> Result<Self> {
        let cluster = match store {
            Store::Sqlite => None,
            Store::Postgres => Some(Cluster::start(Durability::Durable)?),
        };
        let mut place = vec!["--data".to_owned(), folder.display().to_string()];
        if let Some(cluster) = &cluster {
            let blobs = folder.join("blobs").display().to_string();
            place = vec![
                "--database".into(),
                cluster.new_database()?,
                "--blobs".into(),
                blobs,
            ];
        }
        let command = |words: &[&str]| {
            let mut command = Command::new(program);
            command.args(words).args(&place);
            command
        };
        let email = |person| format!("person{person}@example.org");
        for person in 0..PEOPLE {
            let words = [
                "user",
                "add",
                "--email",
                &email(person),
                "--name",
                &format!("Person {person}"),
            ];
            run(&mut command(&words), PASSWORD)?;
        }
        run(
            &mut command(&[
                "project",
                "add",
                "--id",
                PROJECT,
                "--name",
                "Bench",
                "--owner",
                &email(0),
            ]),
            "",
        )?;
        for person in 1..PEOPLE {
            let words = [
                "member",
                "add",
                "--project",
                PROJECT,
                "--email",
                &email(person),
                "--role",
                "annotator",
            ];
            run(&mut command(&words), "")?;
        }
        let pictures = pictures(folder)?;
        let words = ["import", "--project", PROJECT, &pictures.display().to_string()];
        run(&mut command(&words), "")?;

        let listening = Listening::start(&mut command(&["serve", "--listen", "127.0.0.1:0"]))?;
        let at = listening.at;
        let tokens = on_this_thread(async {
            let mut tokens = Vec::new();
            for person in 0..PEOPLE {
                let login = LoginRequest {
                    email: email(person),
                    password: PASSWORD.into(),
                };
                let ask = Ask::json(Method::POST, routes::path(routes::LOGIN, &[]), &login)?;
                let answer: Tokens = Caller::connect(at, "").await?.ask(ask).await?;
                tokens.push(answer.access_token);
            }
            let mut owner = Caller::connect(at, &tokens[0]).await?;
            draw(&mut owner, SMALL, 100).await?;
            draw(&mut owner, LARGE, 10_000).await?;
            Ok(tokens)
        })?;
        Ok(Self {
            listening,
            cluster,
            tokens,
        })
    }

    /// The server's, and its database's where that is not in it.
    pub(crate) fn processes(&self) -> Result<Vec<u32>> {
        let mut processes = vec![self.listening.process()];
        if let Some(cluster) = &self.cluster {
            processes.extend(cluster.processes()?);
        }
        Ok(processes)
    }

    /// One of its people's windows.
    pub(crate) async fn connect(&self, number: usize) -> Result<Caller> {
        Caller::connect(self.listening.at, &self.tokens[number % self.tokens.len()]).await
    }
}

/// The empty image of this number.
pub(crate) fn image(number: usize) -> String {
    format!("{number:04}.bmp")
}

/// An octagon, as someone might draw around a thing.
pub(crate) fn fields(x: f64) -> AnnotationFields {
    let ring = (0..8)
        .map(|corner| {
            let (sin, cos) = (f64::from(corner) * std::f64::consts::FRAC_PI_4).sin_cos();
            let tenths = |length: f64| (length * 10.0).round() / 10.0;
            [tenths(x + 120.0 * cos), tenths(400.0 + 80.0 * sin)]
        })
        .collect();
    AnnotationFields {
        label_id: None,
        geometry: Geometry::polygon(ring),
        attributes: Map::from_iter([("occluded".to_owned(), Value::Bool(false))]),
    }
}

async fn draw(owner: &mut Caller, image: &str, count: usize) -> Result<()> {
    let path = routes::path(routes::BATCH, &[PROJECT, image]);
    for begin in (0..count).step_by(1000) {
        let ops: Vec<Value> = (begin..count.min(begin + 1000))
            .map(|number| {
                let mut op = serde_json::to_value(fields(number as f64))?;
                op["op"] = "create".into();
                op["id"] = AnnotationId::new().0.into();
                Ok(op)
            })
            .collect::<Result<_>>()?;
        owner
            .bytes(Ask::json(Method::POST, path.clone(), &json!({ "ops": ops }))?)
            .await?;
    }
    Ok(())
}

/// Runs one of the server's commands to its end.
fn run(command: &mut Command, input: &str) -> Result<()> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("starting {command:?}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        writeln!(stdin, "{input}")?;
    }
    let status = child.wait()?;
    ensure!(status.success(), "{command:?} failed ({status})");
    Ok(())
}

/// A folder of small pictures, each another one.
fn pictures(folder: &Path) -> Result<PathBuf> {
    let pictures = folder.join("pictures");
    std::fs::create_dir_all(&pictures)?;
    let names = (0..IMAGES).map(image).chain([SMALL.to_owned(), LARGE.to_owned()]);
    for (number, name) in names.enumerate() {
        std::fs::write(pictures.join(name), bitmap(number as u32))?;
    }
    Ok(pictures)
}

/// Two by two pixels, uncompressed: a file header, an information header and two rows of three-byte pixels, padded.
fn bitmap(color: u32) -> Vec<u8> {
    let words = |numbers: &[u32]| {
        numbers
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect::<Vec<u8>>()
    };
    let mut file = b"BM".to_vec();
    file.extend(words(&[
        70,
        0,
        54,
        40,
        2,
        2,
        24 << 16 | 1,
        0,
        16,
        2835,
        2835,
        0,
        0,
    ]));
    for _ in 0..2 {
        let [a, b, c, _] = color.to_le_bytes();
        file.extend([a, b, c, c, b, a, 0, 0]);
    }
    file
}
