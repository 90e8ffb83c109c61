//! The command line: what can be asked for, and how it is written (contract B5).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use lockstep_server::store::Database;
use lockstep_wire::Role;

/// The Lockstep server.
#[derive(Debug, Parser)]
#[command(name = "lockstep-server", version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve clients until SIGTERM or Ctrl-C.
    Serve {
        /// The address to listen on; port 0 picks a free one.
        #[arg(long, default_value = "127.0.0.1:8787")]
        listen: SocketAddr,
        /// How long a lock lasts unless renewed: 5m, 3s, 1500ms.
        #[arg(long, default_value = "5m", value_parser = humantime::parse_duration)]
        lock_ttl: Duration,
        /// How often clients renew it; two fifths of the lease when left out.
        #[arg(long, value_parser = humantime::parse_duration)]
        heartbeat: Option<Duration>,
        #[command(flatten)]
        place: Place,
    },
    /// Bring the database's schema up to date, or take it back.
    #[command(subcommand)]
    Migrate(Migrate),
    /// Accounts.
    #[command(subcommand)]
    User(User),
    /// Projects.
    #[command(subcommand)]
    Project(Project),
    /// The people of a project.
    #[command(subcommand)]
    Member(Member),
    /// The labels of a project.
    #[command(subcommand)]
    Label(Label),
    /// Add image files, or whole folders of them, to a project.
    Import {
        /// The project's id.
        #[arg(long)]
        project: String,
        /// Files and folders.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        #[command(flatten)]
        place: Place,
    },
    /// Make the demo project, if there is nothing yet. Its passwords are public.
    Demo {
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Migrate {
    /// Take every step that is left.
    Up {
        #[command(flatten)]
        place: Place,
    },
    /// Take the last steps back.
    Down {
        /// How many.
        #[arg(long, default_value_t = 1)]
        steps: usize,
        #[command(flatten)]
        place: Place,
    },
    /// Say which steps have been taken.
    Status {
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Make an account; its password is read from standard input.
    Add {
        /// What one signs in with.
        #[arg(long)]
        email: String,
        /// As colleagues see it.
        #[arg(long)]
        name: String,
        /// May administer the server.
        #[arg(long)]
        admin: bool,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Project {
    /// Make a project.
    Add {
        /// Up to 50 characters.
        #[arg(long)]
        id: String,
        /// As people see it.
        #[arg(long)]
        name: String,
        /// The owner's email address.
        #[arg(long)]
        owner: String,
        /// Annotators may change what others drew.
        #[arg(long)]
        annotators_edit_all: bool,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Member {
    /// Join someone to a project, or change what he may do there.
    Add {
        /// The project's id.
        #[arg(long)]
        project: String,
        /// The person's email address.
        #[arg(long)]
        email: String,
        /// owner, manager, annotator, reviewer or viewer.
        #[arg(long, value_parser = role)]
        role: Role,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Label {
    /// Add a label to a project.
    Add {
        /// The project's id.
        #[arg(long)]
        project: String,
        /// As people see it.
        #[arg(long)]
        name: String,
        /// `#rrggbb`.
        #[arg(long)]
        color: String,
        /// A digit key.
        #[arg(long)]
        hotkey: Option<String>,
        #[command(flatten)]
        place: Place,
    },
}

/// Where the server's data is.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The folder of the database and the images; the user's data folder when left out.
    #[arg(long, value_name = "DIR", conflicts_with = "database")]
    pub(crate) data: Option<PathBuf>,
    /// The database alone: sqlite:FILE. Its images are beside it, or where --blobs says.
    #[arg(long, value_name = "URL", value_parser = Database::from_str)]
    pub(crate) database: Option<Database>,
    /// The images' folder.
    #[arg(long, value_name = "DIR", value_parser = folder)]
    pub(crate) blobs: Option<PathBuf>,
}

fn role(name: &str) -> Result<Role, String> {
    serde_json::from_value(name.into())
        .map_err(|_| "one of owner, manager, annotator, reviewer, viewer".into())
}

fn folder(path: &str) -> Result<PathBuf, String> {
    match path.contains("://") {
        false => Ok(PathBuf::from(path)),
        true => Err("this server keeps its images in a folder".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn leases_may_be_fractions_of_seconds() {
        let cli =
            Cli::try_parse_from(["lockstep-server", "serve", "--lock-ttl", "1500ms"]).expect("a command");
        let Command::Serve { lock_ttl, .. } = cli.command else {
            panic!("another command")
        };
        assert_eq!(lock_ttl, Duration::from_millis(1500));
    }
}
