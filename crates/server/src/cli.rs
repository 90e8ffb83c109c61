//! The command line: what can be asked for, and how it is written (contract B5).
//!
//! **Invariant:** every setting of `serve` and every option of all commands can also come from the environment
//! (`LOCKSTEP_…`, named after its flag) and from the file of settings, where its key is the flag's name.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use lockstep_server::export::Format;
use lockstep_server::store::Database;
use lockstep_wire::Role;
use tracing::Level;

/// The Lockstep server: locks, versions and images for annotators who never overwrite each other.
#[derive(Debug, Parser)]
#[command(name = "lockstep-server", version, after_help = AFTER)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) logging: Logging,
}

const AFTER: &str = "\
Settings come from flags, else from the environment (LOCKSTEP_LISTEN for --listen), else from the file of settings
(TOML; its keys are the flags' names), else they have the default shown.

Exit codes: 0 done, 1 failed (a sentence on standard error says why), 2 wrong usage.

Examples:
  lockstep-server demo --data ./trial               a project to look at; says whom to sign in as
  lockstep-server serve --data ./trial              serve it on http://127.0.0.1:8787
  echo 'a long password' | lockstep-server user add --email ann@example.org --name Ann
  lockstep-server project add --id streets --name Streets --owner ann@example.org
  lockstep-server import --project streets ./photos

More: docs/OPERATING.md";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve clients until SIGTERM or Ctrl-C.
    Serve(Serve),
    /// Bring the database's schema up to date, or take it back.
    #[command(subcommand)]
    Migrate(Migrate),
    /// Accounts.
    #[command(subcommand)]
    User(User),
    /// Tokens for scripts.
    #[command(subcommand)]
    Token(Token),
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
    #[command(after_help = IMPORT_AFTER)]
    Import {
        /// The project's id.
        #[arg(long, value_name = "ID")]
        project: String,
        /// Write what became of each file into this one, too: a JSON object a line, and the counts in the last.
        #[arg(long, value_name = "FILE")]
        report: Option<PathBuf>,
        /// Files and folders.
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
    /// Print the contract as an OpenAPI document.
    Openapi,
    /// Write a project to a file, beside a running server.
    #[command(after_help = EXPORT_AFTER)]
    Export {
        /// The project's id.
        #[arg(long, value_name = "ID")]
        project: String,
        /// The kind of file.
        #[arg(long, value_name = "FORMAT")]
        format: Format,
        /// With every state that each annotation was in.
        #[arg(long)]
        history: bool,
        /// The file; none is overwritten.
        #[arg(value_name = "OUT")]
        out: PathBuf,
    },
    /// Copy database and images into a folder of backups, beside a running server.
    #[command(after_help = BACKUP_AFTER)]
    Backup {
        /// The folder; one that has backups already gets another, and only the images that are not there yet.
        #[arg(value_name = "OUT")]
        out: PathBuf,
        /// The database alone: the images are kept otherwise.
        #[arg(long)]
        without_images: bool,
    },
    /// Bring a backup back, where there is no database yet.
    #[command(after_help = RESTORE_AFTER)]
    Restore {
        /// A folder of backups (the newest is taken), or one of them.
        #[arg(value_name = "FROM")]
        from: PathBuf,
        /// Where there is a database, move it aside first. Its server must be stopped.
        #[arg(long)]
        replace: bool,
    },
    /// Make the demo project, if there is nothing yet. Its passwords are public.
    Demo,
}

const EXPORT_AFTER: &str = "\
The file is whole or not there. It has the project, its people's names, its labels, and each image with its annotations;
not the images' bytes. The shape is in docs/OPERATING.md.

Example:
  lockstep-server export --data /var/lib/lockstep --project streets --format lockstep-json streets.json";

const BACKUP_AFTER: &str = "\
A backup is whole or not there. Nothing in OUT is changed or deleted; delete backups that are too old yourself (their
images stay). Prints where the backup is.

Example:
  lockstep-server backup --data /var/lib/lockstep /mnt/backup/lockstep";

const RESTORE_AFTER: &str = "\
Everything is verified before anything is written. Clients notice that the data came back (a new data_epoch), people
sign in again, and clients send again what the restored server no longer has. Passwords, members and tokens for scripts
are those of the backup: whoever was shut out since must be shut out again.

Examples:
  lockstep-server restore --data /var/lib/lockstep /mnt/backup/lockstep
  lockstep-server restore --data /var/lib/lockstep --replace /mnt/backup/lockstep/20261124T120000.000Z";

/// Serve clients until SIGTERM or Ctrl-C.
#[derive(Debug, Args)]
#[command(after_help = SERVE_AFTER)]
pub(crate) struct Serve {
    /// The address to listen on; port 0 picks a free one.
    #[arg(
        long,
        value_name = "ADDR",
        env = "LOCKSTEP_LISTEN",
        hide_env_values = true,
        default_value = "127.0.0.1:8787"
    )]
    pub(crate) listen: SocketAddr,
    /// How long a lock lasts unless renewed: 5m, 3s, 1500ms.
    #[arg(
        long,
        value_name = "TIME",
        env = "LOCKSTEP_LOCK_TTL",
        hide_env_values = true,
        default_value = "5m",
        value_parser = humantime::parse_duration
    )]
    pub(crate) lock_ttl: Duration,
    /// How often clients renew it; two fifths of the lease when left out.
    #[arg(
        long,
        value_name = "TIME",
        env = "LOCKSTEP_HEARTBEAT",
        hide_env_values = true,
        value_parser = humantime::parse_duration
    )]
    pub(crate) heartbeat: Option<Duration>,
    /// The certificate for TLS, as PEM, with those that vouch for it; read anew when the file changes. Without it: plain
    /// HTTP.
    #[arg(long, value_name = "FILE", env = "LOCKSTEP_TLS_CERT", hide_env_values = true)]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The certificate's private key, as PEM.
    #[arg(long, value_name = "FILE", env = "LOCKSTEP_TLS_KEY", hide_env_values = true)]
    pub(crate) tls_key: Option<PathBuf>,
    /// The reverse proxies' addresses: only what they write in X-Forwarded-For is believed. Attempts to sign in are
    /// limited by the client's address.
    #[arg(
        long,
        value_name = "IP",
        env = "LOCKSTEP_BEHIND_PROXY",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub(crate) behind_proxy: Vec<IpAddr>,
    /// Another address for GET /metrics, /healthz and /readyz, in plain HTTP and for whoever reaches it. Without it,
    /// /metrics is on --listen, for callers on this machine alone.
    #[arg(
        long,
        value_name = "ADDR",
        env = "LOCKSTEP_METRICS_LISTEN",
        hide_env_values = true
    )]
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// How long a client may take to agree on TLS, and to send a request's headers.
    #[arg(
        long,
        value_name = "TIME",
        env = "LOCKSTEP_HEADER_TIME",
        hide_env_values = true,
        default_value = "30s",
        value_parser = humantime::parse_duration
    )]
    pub(crate) header_time: Duration,
    /// How long a request may take; uploads may take longer, but not pause longer.
    #[arg(
        long,
        value_name = "TIME",
        env = "LOCKSTEP_REQUEST_TIME",
        hide_env_values = true,
        default_value = "30s",
        value_parser = humantime::parse_duration
    )]
    pub(crate) request_time: Duration,
    /// Requests in work at one time; more are told to come again (503).
    #[arg(
        long,
        value_name = "N",
        env = "LOCKSTEP_REQUESTS_AT_ONCE",
        hide_env_values = true,
        default_value_t = 1024
    )]
    pub(crate) requests_at_once: usize,
    /// How long requests in flight may take to finish once the server is told to stop.
    #[arg(
        long,
        value_name = "TIME",
        env = "LOCKSTEP_SHUTDOWN_GRACE",
        hide_env_values = true,
        default_value = "10s",
        value_parser = humantime::parse_duration
    )]
    pub(crate) shutdown_grace: Duration,
    /// Print the settings in force and where each comes from, as a file of settings, and do not serve.
    #[arg(long)]
    pub(crate) print_config: bool,
}

const SERVE_AFTER: &str = "\
Prints `listening on http://ADDR` once it accepts connections. SIGTERM or Ctrl-C: finishes what is in flight, exits 0.

Examples:
  lockstep-server serve --data /var/lib/lockstep
  lockstep-server serve --config /etc/lockstep/lockstep-server.toml --print-config";

const IMPORT_AFTER: &str = "\
Prints a line for each file: added, present already, refused or unreadable, and why. A picture whose content the project
has is not added again, so the same command may be repeated. Ctrl-C: finishes the files in hand.

Exit codes: 0 everything is in; 1 something is not, and the last line says how many; the others are in all the same.";

#[derive(Debug, Subcommand)]
pub(crate) enum Migrate {
    /// Take every step that is left.
    Up,
    /// Take the last steps back.
    Down {
        /// How many.
        #[arg(long, value_name = "N", default_value_t = 1)]
        steps: usize,
    },
    /// Say which steps have been taken.
    Status,
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
        /// Kept with the account; nothing asks for it yet.
        #[arg(long)]
        admin: bool,
    },
    /// Give an account another password, read from standard input; whoever is signed in to it is signed out.
    Password {
        /// What one signs in with.
        #[arg(long)]
        email: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token for a script and print it: the only time it is shown.
    #[command(
        after_help = "The script sends it as `Authorization: Bearer lsk_…`, and may do what its user may."
    )]
    Add {
        /// Whose token it is.
        #[arg(long)]
        email: String,
        /// What it is for, as its user will know it again.
        #[arg(long)]
        name: String,
        /// It may change things, too; else it is for reading alone.
        #[arg(long)]
        write: bool,
        /// How long it is good for: 90d, 12h; for ever when left out.
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
        expires_in: Option<Duration>,
    },
    /// List someone's tokens: id, scope, when it was last used, and what it is for.
    List {
        /// Whose tokens.
        #[arg(long)]
        email: String,
    },
    /// End one of someone's tokens.
    Remove {
        /// Whose token it is.
        #[arg(long)]
        email: String,
        /// As `token list` shows it.
        #[arg(long)]
        id: i64,
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
        #[arg(long, value_name = "EMAIL")]
        owner: String,
        /// Annotators may change what others drew.
        #[arg(long)]
        annotators_edit_all: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Member {
    /// Join someone to a project, or change what he may do there.
    Add {
        /// The project's id.
        #[arg(long, value_name = "ID")]
        project: String,
        /// The person's email address.
        #[arg(long)]
        email: String,
        /// owner, manager, annotator, reviewer or viewer.
        #[arg(long, value_parser = role)]
        role: Role,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Label {
    /// Add a label to a project.
    Add {
        /// The project's id.
        #[arg(long, value_name = "ID")]
        project: String,
        /// As people see it.
        #[arg(long)]
        name: String,
        /// `#rrggbb`.
        #[arg(long)]
        color: String,
        /// A digit key.
        #[arg(long, value_name = "KEY")]
        hotkey: Option<String>,
    },
}

/// Where the server's data is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct Place {
    /// The folder of the database and the images; the user's data folder when left out.
    #[arg(
        long,
        value_name = "DIR",
        global = true,
        env = "LOCKSTEP_DATA",
        hide_env_values = true
    )]
    pub(crate) data: Option<PathBuf>,
    /// The database alone, in place of --data: sqlite:FILE, or postgres://USER@HOST/NAME. A file's images are beside it,
    /// or where --blobs says.
    #[arg(
        long,
        value_name = "URL",
        global = true,
        env = "LOCKSTEP_DATABASE",
        hide_env_values = true,
        value_parser = Database::from_str
    )]
    pub(crate) database: Option<Database>,
    /// Where the images are: a folder, or s3://BUCKET/PREFIX, whose region, endpoint and keys come from the usual
    /// AWS_… variables.
    #[arg(
        long,
        value_name = "PLACE",
        global = true,
        env = "LOCKSTEP_BLOBS",
        hide_env_values = true,
        value_parser = place_of_images
    )]
    pub(crate) blobs: Option<String>,
}

/// What is said on standard error, and where settings come from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Settings and log")]
pub(crate) struct Logging {
    /// The file of settings; when left out, lockstep-server/lockstep-server.toml in the user's configuration folder or
    /// /etc/lockstep/lockstep-server.toml, whichever is there.
    #[arg(
        long,
        value_name = "FILE",
        global = true,
        env = "LOCKSTEP_CONFIG",
        hide_env_values = true
    )]
    pub(crate) config: Option<PathBuf>,
    /// What is worth a line on standard error: error, warn, info, debug (a line for each request) or trace.
    #[arg(
        long,
        value_name = "LEVEL",
        global = true,
        env = "LOCKSTEP_LOG",
        hide_env_values = true,
        default_value = "info"
    )]
    pub(crate) log: Level,
    /// How a line looks.
    #[arg(
        long,
        value_name = "FORMAT",
        global = true,
        env = "LOCKSTEP_LOG_FORMAT",
        hide_env_values = true,
        default_value = "human"
    )]
    pub(crate) log_format: LogFormat,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Human,
    /// An object a line, for machines.
    Json,
}

fn role(name: &str) -> Result<Role, String> {
    serde_json::from_value(name.into())
        .map_err(|_| "one of owner, manager, annotator, reviewer, viewer".into())
}

fn place_of_images(place: &str) -> Result<String, String> {
    match place.split_once("://") {
        None | Some(("s3", _)) => Ok(place.to_owned()),
        Some(_) => Err("images are kept in a folder or in s3://BUCKET/PREFIX".into()),
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
        let Command::Serve(serve) = cli.command else {
            panic!("another command")
        };
        assert_eq!(serve.lock_ttl, Duration::from_millis(1500));
    }
}
