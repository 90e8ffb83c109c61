//! Each subcommand, done.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use indicatif::{ProgressBar, ProgressStyle};
use lockstep_server::demo::{DEMO_PEOPLE, DEMO_PROJECT, Seeded, seed};
use lockstep_server::embedded::{BLOBS, DATABASE};
use lockstep_server::service::{LabelFields, NewMember, ProjectFields, Service, Upload};
use lockstep_server::store::{Added, Database};
use lockstep_server::{Blobs, Settings, serve_service};
use lockstep_wire::{ApiError, ProjectId};
use tokio::net::TcpListener;

use crate::cli::{Command, Label, Member, Migrate, Place, Project, User};

/// Why a command was not done.
pub(crate) enum Failure {
    /// It cannot have been meant.
    Usage(String),
    /// It did not work.
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

type Outcome = Result<(), Failure>;

pub(crate) async fn run(command: Command) -> Outcome {
    match command {
        Command::Serve {
            listen,
            lock_ttl,
            heartbeat,
            place,
        } => {
            let settings = settings(lock_ttl, heartbeat)?;
            serve(listen, settings, &place).await
        }
        Command::Migrate(migrate) => self::migrate(&migrate).await,
        Command::User(User::Add {
            email,
            name,
            admin,
            place,
        }) => {
            let password = read_password()?;
            let Added::New(user) = open(&place)
                .await?
                .add_user(&email, &name, password, admin)
                .await?
            else {
                return Err(anyhow!("There is an account {email} already."))?;
            };
            println!("{}", user.id);
            Ok(())
        }
        Command::Project(Project::Add {
            id,
            name,
            owner,
            annotators_edit_all,
            place,
        }) => {
            let service = open(&place).await?;
            let owner = service.user_of(&owner).await?;
            let fields = ProjectFields {
                id: Some(ProjectId(id)),
                name,
                annotators_edit_all,
            };
            let Added::New(project) = service.add_project(owner.id, fields).await? else {
                return Err(anyhow!("There is a project of this id already."))?;
            };
            println!("{}", project.id);
            Ok(())
        }
        Command::Member(Member::Add {
            project,
            email,
            role,
            place,
        }) => {
            let service = open(&place).await?;
            let project = ProjectId(project);
            let owner = service.owner_of(&project).await?;
            let member = NewMember {
                user_id: None,
                email: Some(email),
                role,
            };
            service.add_member(owner.id, &project, member).await?;
            Ok(())
        }
        Command::Label(Label::Add {
            project,
            name,
            color,
            hotkey,
            place,
        }) => {
            let service = open(&place).await?;
            let project = ProjectId(project);
            let owner = service.owner_of(&project).await?;
            let fields = LabelFields {
                name: Some(name),
                color: Some(color),
                hotkey,
                ..LabelFields::default()
            };
            println!("{}", service.add_label(owner.id, &project, fields).await?.id);
            Ok(())
        }
        Command::Import {
            project,
            paths,
            place,
        } => Ok(import(&ProjectId(project), &paths, &place).await?),
        Command::Demo { place } => demo(&place).await,
    }
}

/// A client must be able to miss a beat and keep its lock.
fn settings(lease: Duration, heartbeat: Option<Duration>) -> Result<Settings, Failure> {
    let settings = Settings::with_lease(lease);
    let heartbeat = heartbeat.unwrap_or(settings.heartbeat);
    if lease.is_zero() || heartbeat.is_zero() {
        return Err(Failure::Usage(
            "--lock-ttl and --heartbeat must be longer than nothing".into(),
        ));
    }
    if heartbeat >= lease {
        return Err(Failure::Usage(
            "--heartbeat must be shorter than --lock-ttl".into(),
        ));
    }
    Ok(Settings {
        heartbeat,
        ..settings
    })
}

async fn serve(listen: std::net::SocketAddr, settings: Settings, place: &Place) -> Outcome {
    // Before anything else: a signal that comes while the database is being opened must stop the server, too.
    let told_to_stop = told_to_stop()?;
    let service = open_with(place, settings).await?;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}"))?;
    let mut out = std::io::stdout();
    writeln!(out, "listening on http://{}", listener.local_addr()?)?;
    out.flush()?;
    Ok(serve_service(listener, service, told_to_stop).await?)
}

/// SIGTERM, or Ctrl-C.
#[cfg(unix)]
fn told_to_stop() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Ctrl-C.
#[cfg(windows)]
fn told_to_stop() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}

async fn migrate(command: &Migrate) -> Outcome {
    let standing = match command {
        Migrate::Up { place } => database(place)?.migrate_up().await?,
        Migrate::Down { steps, place } => database(place)?.migrate_down(*steps).await?,
        Migrate::Status { place } => database(place)?.status().await?,
    };
    println!("{} of {} steps taken", standing.taken, standing.known);
    Ok(())
}

async fn demo(place: &Place) -> Outcome {
    match seed(&*open(place).await?).await? {
        Seeded::Now => {
            println!("The project {DEMO_PROJECT} is ready. Sign in as:");
            for person in DEMO_PEOPLE {
                println!("  {}  {}", person.email, person.password);
            }
        }
        Seeded::Before => println!("The project {DEMO_PROJECT} was there already."),
        Seeded::InUse => println!("There are accounts here already; nothing was changed."),
    }
    Ok(())
}

/// One line, without its end.
fn read_password() -> anyhow::Result<String> {
    let mut line = String::new();
    std::io::stdin()
        .read_line(&mut line)
        .context("cannot read the password from standard input")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn data_folder(place: &Place) -> anyhow::Result<PathBuf> {
    match &place.data {
        Some(folder) => Ok(folder.clone()),
        None => Ok(dirs::data_dir()
            .context("this account has no data folder; use --data")?
            .join("lockstep-server")),
    }
}

fn database(place: &Place) -> anyhow::Result<Database> {
    match &place.database {
        Some(database) => Ok(database.clone()),
        None => Ok(Database::Sqlite(data_folder(place)?.join(DATABASE))),
    }
}

/// Where the images are: beside the database's file unless it is said.
fn blobs(place: &Place, database: &Database) -> anyhow::Result<PathBuf> {
    match (&place.blobs, database) {
        (Some(folder), _) => Ok(folder.clone()),
        (None, Database::Sqlite(file)) => Ok(file.parent().unwrap_or(Path::new("")).join(BLOBS)),
    }
}

async fn open(place: &Place) -> anyhow::Result<Arc<Service>> {
    open_with(place, Settings::default()).await
}

async fn open_with(place: &Place, settings: Settings) -> anyhow::Result<Arc<Service>> {
    let database = database(place)?;
    let store = database.open().await?;
    Service::open(store, Blobs::folder(&blobs(place, &database)?)?, settings).await
}

async fn import(project: &ProjectId, paths: &[PathBuf], place: &Place) -> anyhow::Result<()> {
    let service = open(place).await?;
    let owner = service.owner_of(project).await?;
    let files = find_files(paths)?;
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {wide_msg}")?;
    let bar = ProgressBar::new(files.len() as u64).with_style(style);
    let (mut added, mut there, mut failed) = (0, 0, 0);
    for Found { path, file_name } in files {
        bar.set_message(file_name.clone());
        let outcome = match tokio::fs::read(&path).await {
            Ok(content) => {
                let upload = Upload {
                    id: None,
                    file_name,
                    content: Bytes::from(content),
                };
                service
                    .add_image(owner.id, project, upload)
                    .await
                    .map_err(|error| sentence(&error))
            }
            Err(error) => Err(error.to_string()),
        };
        let line = match outcome {
            Ok(Added::New(image)) => {
                added += 1;
                format!("added    {} ({} × {})", path.display(), image.width, image.height)
            }
            Ok(Added::Taken) => {
                there += 1;
                format!("present  {}", path.display())
            }
            Err(fault) => {
                failed += 1;
                format!("refused  {}: {fault}", path.display())
            }
        };
        bar.suspend(|| println!("{line}"));
        bar.inc(1);
    }
    bar.finish_and_clear();
    println!("{added} added, {there} present already, {failed} refused");
    match failed {
        0 => Ok(()),
        1 => bail!("one file could not be imported"),
        _ => bail!("{failed} files could not be imported"),
    }
}

/// Of an error for a person: the contract's sentence.
fn sentence(error: &ApiError) -> String {
    error.to_string()
}

struct Found {
    path: PathBuf,
    /// Below the folder that was named, so that a tree of files keeps its names apart.
    file_name: String,
}

/// The named files, and every file in the named folders that looks like an image.
fn find_files(paths: &[PathBuf]) -> anyhow::Result<Vec<Found>> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            walk(path, path, &mut found)?;
        } else {
            let name = path
                .file_name()
                .with_context(|| format!("{} is no file", path.display()))?;
            found.push(Found {
                path: path.clone(),
                file_name: name.to_string_lossy().into_owned(),
            });
        }
    }
    Ok(found)
}

const ENDINGS: [&str; 8] = ["jpg", "jpeg", "png", "webp", "tif", "tiff", "bmp", "gif"];

fn walk(root: &Path, folder: &Path, found: &mut Vec<Found>) -> anyhow::Result<()> {
    let read = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = read
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    paths.sort();
    for path in paths {
        let ending = path
            .extension()
            .map(|ending| ending.to_string_lossy().to_lowercase());
        if path.is_dir() {
            walk(root, &path, found)?;
        } else if ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())) {
            let below = path.strip_prefix(root)?;
            let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
            found.push(Found {
                file_name: parts.join("/"),
                path,
            });
        }
    }
    Ok(())
}
