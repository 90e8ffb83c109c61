//! Each subcommand, done.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use lockstep_server::demo::{DEMO_PEOPLE, DEMO_PROJECT, Seeded, seed};
use lockstep_server::embedded::{BLOBS, DATABASE};
use lockstep_server::service::Service;
use lockstep_server::store::Database;
use lockstep_server::{Blobs, Settings};
use lockstep_wire::ProjectId;

use crate::cli::{Cli, Command, Migrate, Place};
use crate::config::Asked;

mod backup;
mod export;
mod import;
mod projects;
mod serve;
mod users;

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

pub(crate) async fn run(asked: Asked) -> Outcome {
    let in_force = asked.print();
    let Cli { command, place, .. } = asked.cli;
    match command {
        Command::Serve(serve) if serve.print_config => println!("{in_force}"),
        Command::Serve(serve) => serve::serve(&serve, &place).await?,
        Command::Migrate(command) => migrate(&command, &place).await?,
        Command::User(command) => users::run(command, &place).await?,
        Command::Token(command) => users::token(command, &place).await?,
        Command::Project(command) => projects::project(command, &place).await?,
        Command::Member(command) => projects::member(command, &place).await?,
        Command::Label(command) => projects::label(command, &place).await?,
        Command::Import {
            project,
            report,
            paths,
        } => import::import(&ProjectId(project), &paths, report.as_deref(), &place).await?,
        Command::Openapi => print!("{}", lockstep_server::openapi()),
        Command::Export {
            project,
            format,
            history,
            out,
        } => {
            export::run(&ProjectId(project), format, history, &out, &place).await?;
        }
        Command::Backup { out, without_images } => backup::make(&out, without_images, &place).await?,
        Command::Restore { from, replace } => backup::restore(&from, replace, &place).await?,
        Command::Demo => demo(&place).await?,
    }
    Ok(())
}

async fn migrate(command: &Migrate, place: &Place) -> anyhow::Result<()> {
    let database = database(place)?;
    let standing = match command {
        Migrate::Up => database.migrate_up().await?,
        Migrate::Down { steps } => database.migrate_down(*steps).await?,
        Migrate::Status => database.status().await?,
    };
    println!("{} of {} steps taken", standing.taken, standing.known);
    Ok(())
}

async fn demo(place: &Place) -> anyhow::Result<()> {
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
fn images(place: &Place, database: &Database) -> anyhow::Result<Blobs> {
    match (&place.blobs, database) {
        (Some(place), _) => Blobs::open(place),
        (None, Database::Sqlite(file)) => Blobs::folder(&file.parent().unwrap_or(Path::new("")).join(BLOBS)),
        (None, Database::Postgres(_)) => Blobs::folder(&data_folder(place)?.join(BLOBS)),
    }
}

async fn open(place: &Place) -> anyhow::Result<Arc<Service>> {
    open_with(place, Settings::default()).await
}

async fn open_with(place: &Place, settings: Settings) -> anyhow::Result<Arc<Service>> {
    let database = database(place)?;
    let store = database.open().await?;
    Service::open(store, images(place, &database)?, settings).await
}
