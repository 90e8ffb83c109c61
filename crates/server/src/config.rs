//! Settings from flags, the environment, a file and defaults, in this order of precedence.
//!
//! **Invariant:** a setting is defined once, as a flag in `cli`; its variable, its key in the file, its type and its
//! default all follow from the flag.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory as _, FromArgMatches as _};

use crate::cli::Cli;

/// The command whose settings the file holds, beside those of all commands.
const SERVE: &str = "serve";

/// What is asked for; not settings.
const NOT_IN_A_FILE: [&str; 4] = ["config", "print-config", "help", "version"];

/// What was asked for, and where each setting came from.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) cli: Cli,
    settings: Vec<Setting>,
}

#[derive(Debug)]
struct Setting {
    key: String,
    values: Vec<String>,
    source: Source,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Default,
    File(PathBuf),
    Environment,
    Flag,
}

/// Why the settings cannot be had.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Of the command line; also how `--help` ends.
    Usage(clap::Error),
    /// Of the file.
    File(anyhow::Error),
}

impl From<clap::Error> for Fault {
    fn from(error: clap::Error) -> Self {
        Self::Usage(discreet(error))
    }
}

/// Reads the command line, the environment and the file.
pub(crate) fn read(arguments: &[OsString]) -> Result<Asked, Fault> {
    let without_file = Cli::command().try_get_matches_from(arguments)?;
    let named = without_file.get_one::<PathBuf>("config");
    let file = match named {
        Some(file) => Some(file.clone()),
        None => default_places().into_iter().find(|place| place.is_file()),
    };
    let Some(file) = file else {
        return asked(&without_file, None);
    };
    let values = read_file(&file).map_err(Fault::File)?;
    let matches = with_defaults(Cli::command(), &values).try_get_matches_from(arguments)?;
    asked(&matches, Some((&file, &values)))
}

type Values = BTreeMap<String, Vec<String>>;

fn asked(matches: &ArgMatches, file: Option<(&Path, &Values)>) -> Result<Asked, Fault> {
    let mut cli = Cli::from_arg_matches(matches)?;
    let mut settings = settings(matches, file);
    let source = |key: &str| Some(&settings.iter().find(|setting| setting.key == key)?.source);
    // Each says where the database is: the one that was said more directly counts.
    if let (Some(data), Some(database)) = (source("data"), source("database")) {
        let lesser = match data.cmp(database) {
            Ordering::Less => "data",
            Ordering::Greater => "database",
            Ordering::Equal => {
                let message = "data and database cannot be used together; blobs says where the images are";
                return Err(Cli::command().error(ErrorKind::ArgumentConflict, message).into());
            }
        };
        settings.retain(|setting| setting.key != lesser);
        match lesser {
            "data" => cli.place.data = None,
            _ => cli.place.database = None,
        }
    }
    Ok(Asked { cli, settings })
}

fn default_places() -> Vec<PathBuf> {
    let name = "lockstep-server.toml";
    let own = dirs::config_dir().map(|folder| folder.join("lockstep-server").join(name));
    own.into_iter()
        .chain([Path::new("/etc/lockstep").join(name)])
        .collect()
}

/// Every flag that may stand in a file, by its long name.
fn known() -> BTreeMap<String, Arg> {
    let command = Cli::command();
    let serve = command.find_subcommand(SERVE).into_iter();
    let arguments = command
        .get_arguments()
        .chain(serve.flat_map(Command::get_arguments));
    arguments
        .filter_map(|argument| Some((argument.get_long()?.to_owned(), argument.clone())))
        .filter(|(key, _)| !NOT_IN_A_FILE.contains(&key.as_str()))
        .collect()
}

fn read_file(file: &Path) -> anyhow::Result<Values> {
    let shown = file.display();
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read the settings in {shown}"))?;
    // Without the line itself, which may hold a password.
    let table: toml::Table = text.parse().map_err(|fault: toml::de::Error| {
        let before = fault.span().and_then(|span| text.get(..span.start));
        let line = before.unwrap_or_default().matches('\n').count() + 1;
        anyhow!("{shown} is not TOML: line {line}: {}", fault.message())
    })?;
    let known = known();
    let mut values = Values::new();
    for (key, value) in table {
        let Some(argument) = known.get(&key) else {
            let keys: Vec<_> = known.keys().map(String::as_str).collect();
            bail!(
                "{shown}: there is no setting {key:?}; there are {}",
                keys.join(", ")
            );
        };
        let texts = texts(value).with_context(|| format!("{shown}: {key}"))?;
        check(argument, &texts).map_err(|fault| anyhow!("{shown}: {key}: {fault}"))?;
        values.insert(key, texts);
    }
    Ok(values)
}

fn texts(value: toml::Value) -> anyhow::Result<Vec<String>> {
    use toml::Value;
    Ok(match value {
        Value::String(text) => vec![text],
        Value::Integer(number) => vec![number.to_string()],
        Value::Boolean(yes) => vec![yes.to_string()],
        Value::Array(values) => values
            .into_iter()
            .map(texts)
            .collect::<anyhow::Result<Vec<_>>>()?
            .concat(),
        Value::Float(_) | Value::Datetime(_) | Value::Table(_) => {
            bail!("a setting is a text, a whole number, true or false, or a list of them")
        }
    })
}

/// Whether the flag would take these values.
fn check(argument: &Arg, texts: &[String]) -> Result<(), String> {
    // A file's switch says true or false; on the command line it stands alone.
    if argument.get_action().takes_values() {
        let long = argument.get_long().unwrap_or_default();
        let flags = texts.iter().map(|text| format!("--{long}={text}"));
        let alone = argument
            .clone()
            .default_values(None::<&'static str>)
            .required(false);
        let outcome = Command::new(SERVE)
            .no_binary_name(true)
            .arg(alone)
            .try_get_matches_from(flags);
        return outcome.map(drop).map_err(|fault| first_line(&discreet(fault)));
    }
    match texts {
        [one] if one == "true" || one == "false" => Ok(()),
        _ => Err("true or false".into()),
    }
}

fn first_line(fault: &clap::Error) -> String {
    let text = fault.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// The commands, with the file's values as their defaults: exactly below flags and environment.
fn with_defaults(mut command: Command, values: &Values) -> Command {
    let known = known();
    for (key, texts) in values {
        let Some(id) = known.get(key).map(|argument| argument.get_id().clone()) else {
            continue;
        };
        // Lives as long as the program, like the defaults that are compiled in.
        let texts: Vec<&'static str> = texts.iter().map(|text| &*text.clone().leak()).collect();
        let set = |argument: Arg| argument.default_values(texts);
        let of_all = command.get_arguments().any(|argument| *argument.get_id() == id);
        command = match of_all {
            true => command.mut_arg(&id, set),
            false => command.mut_subcommand(SERVE, |serve| serve.mut_arg(&id, set)),
        };
    }
    command
}

fn settings(matches: &ArgMatches, file: Option<(&Path, &Values)>) -> Vec<Setting> {
    let serve = matches.subcommand_matches(SERVE);
    let mut settings = Vec::new();
    for (key, argument) in known() {
        let id = argument.get_id().as_str();
        let of = |matches: &ArgMatches| {
            let raw = matches.try_get_raw(id).ok()??;
            let values = raw.map(|value| value.to_string_lossy().into_owned()).collect();
            Some((values, matches.value_source(id)?))
        };
        let Some((values, source)) = of(matches).or_else(|| serve.and_then(of)) else {
            continue;
        };
        let source = match (source, file) {
            (ValueSource::CommandLine, _) => Source::Flag,
            (ValueSource::EnvVariable, _) => Source::Environment,
            (_, Some((file, values))) if values.contains_key(&key) => Source::File(file.to_owned()),
            _ => Source::Default,
        };
        settings.push(Setting { key, values, source });
    }
    settings
}

impl Asked {
    /// What is in force, as a file of settings.
    pub(crate) fn print(&self) -> String {
        let mut lines = Vec::new();
        for Setting { key, values, source } in &self.settings {
            let source = match source {
                Source::Default => "default".into(),
                Source::File(file) => file.display().to_string(),
                Source::Environment => "environment".into(),
                Source::Flag => "command line".into(),
            };
            let mut values = values.iter().map(|value| json_text(&masked(value)));
            let value = match (values.next(), values.len()) {
                (Some(one), 0) => one,
                (one, _) => format!(
                    "[{}]",
                    one.into_iter().chain(values).collect::<Vec<_>>().join(", ")
                ),
            };
            lines.push(format!("{key} = {value}  # {source}"));
        }
        lines.join("\n")
    }
}

/// TOML's texts may be written as JSON's.
fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A fault that shows a value without its password: it ends in the log of whatever started the program.
fn discreet(mut fault: clap::Error) -> clap::Error {
    if let Some(ContextValue::String(value)) = fault.get(ContextKind::InvalidValue) {
        let shown = ContextValue::String(masked(value));
        fault.insert(ContextKind::InvalidValue, shown);
    }
    fault
}

/// A URL without its password, however it is written: rather too little is shown than too much.
fn masked(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else {
        return value.to_owned();
    };
    let rest = match rest.rsplit_once('@') {
        Some((user_info, host)) => match user_info.split_once(':') {
            Some((user, _)) => format!("{user}:***@{host}"),
            None => rest.to_owned(),
        },
        None => rest.to_owned(),
    };
    let mut parts = rest.split("password=");
    let mut shown = format!("{scheme}://{}", parts.next().unwrap_or_default());
    for part in parts {
        let after = part.find('&').map_or("", |end| &part[end..]);
        shown.push_str("password=***");
        shown.push_str(after);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("settings.toml");
        std::fs::write(&path, text).expect("a file");
        (folder, path)
    }

    fn read_with(text: &str, flags: &[&str]) -> Result<Asked, Fault> {
        let (_folder, path) = file(text);
        let arguments = ["lockstep-server", "serve", "--config"]
            .into_iter()
            .map(OsString::from);
        let arguments: Vec<_> = arguments
            .chain([path.into()])
            .chain(flags.iter().map(OsString::from))
            .collect();
        read(&arguments)
    }

    fn serve(asked: &Asked) -> &cli::Serve {
        match &asked.cli.command {
            cli::Command::Serve(serve) => serve,
            other => panic!("{other:?}"),
        }
    }

    fn fault(text: &str) -> String {
        match read_with(text, &[]) {
            Err(Fault::File(fault)) => format!("{fault:#}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_stands_above_defaults_and_below_flags() {
        let text = "listen = \"127.0.0.1:9\"\nlock-ttl = \"7s\"\nlog = \"warn\"";
        let asked = read_with(text, &["--lock-ttl", "9s"]).expect("settings");
        assert_eq!(serve(&asked).listen.port(), 9);
        assert_eq!(serve(&asked).lock_ttl.as_secs(), 9);
        assert_eq!(asked.cli.logging.log, tracing::Level::WARN);
        assert_eq!(asked.cli.logging.log_format, cli::LogFormat::Human);
        let printed = asked.print();
        for line in [
            "lock-ttl = \"9s\"  # command line",
            "log-format = \"human\"  # default",
        ] {
            assert!(printed.contains(line), "{printed}");
        }
        assert!(printed.contains("listen = \"127.0.0.1:9\"  # /"), "{printed}");
    }

    #[test]
    fn what_a_file_cannot_mean_is_named_with_file_and_key() {
        let unknown = fault("listne = \"127.0.0.1:9\"");
        for part in ["settings.toml", "\"listne\"", "listen", "lock-ttl", "data"] {
            assert!(unknown.contains(part), "{unknown}");
        }
        for (text, key) in [
            ("listen = 8787", "listen"),
            ("lock-ttl = \"soon\"", "lock-ttl"),
            ("log-format = true", "log-format"),
            ("data = { folder = \"x\" }", "data"),
            ("heartbeat = [\"1s\", \"2s\"]", "heartbeat"),
        ] {
            let fault = fault(text);
            assert!(fault.contains("settings.toml") && fault.contains(key), "{fault}");
        }
        assert!(fault("listen = ").contains("is not TOML"));
    }

    #[test]
    fn one_place_replaces_another_but_not_beside_it() {
        let asked = read_with("data = \"/a\"", &["--database", "sqlite:b"]).expect("settings");
        assert_eq!(asked.cli.place.data, None);
        assert!(asked.cli.place.database.is_some());
        assert!(matches!(
            read_with("data = \"/a\"\ndatabase = \"sqlite:b\"", &[]),
            Err(Fault::Usage(_))
        ));
        assert!(matches!(
            read_with("", &["--data", "a", "--database", "sqlite:b"]),
            Err(Fault::Usage(_))
        ));
    }

    #[test]
    fn every_setting_has_a_variable_named_after_its_flag() {
        for (key, argument) in known() {
            let variable = format!("LOCKSTEP_{}", key.replace('-', "_").to_uppercase());
            assert_eq!(argument.get_env(), Some(variable.as_ref()), "--{key}");
            assert!(argument.is_hide_env_values_set(), "--{key} may be secret");
        }
    }

    #[test]
    fn the_example_names_every_setting_and_can_be_used_as_it_is() {
        let example = Path::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/lockstep-server.example.toml"
        ));
        let text = std::fs::read_to_string(example).expect("the example");
        read_file(example).expect("good settings");
        // What is commented out must be as good.
        let all: String = text
            .lines()
            .map(|line| line.strip_prefix("#= ").unwrap_or(line))
            .map(|line| format!("{line}\n"))
            .collect();
        let (_folder, path) = file(&all);
        let values = read_file(&path).expect("good settings");
        for key in known().keys() {
            assert!(values.contains_key(key), "the example does not show {key}");
        }
    }

    #[test]
    fn a_databases_password_is_not_in_the_fault_that_refuses_its_url() {
        let url = "postgres://ann:secret@h:port/db";
        let in_file = format!("database = \"{url}\"");
        let Err(Fault::Usage(on_the_command_line)) = read_with("", &["--database", url]) else {
            panic!("it is no port")
        };
        for fault in [
            on_the_command_line.to_string(),
            fault(&in_file),
            fault(&format!("{in_file} more")),
        ] {
            assert!(!fault.contains("secret"), "{fault}");
        }
        assert!(fault(&in_file).contains("ann:***@h:port"));
        assert!(fault(&format!("log = \"warn\"\n{in_file} more")).contains("line 2"));
    }

    #[test]
    fn a_databases_password_is_not_shown() {
        assert_eq!(masked("postgres://a:secret@h/db"), "postgres://a:***@h/db");
        assert_eq!(masked("postgres://a:se@cr/et?@h/db"), "postgres://a:***@h/db");
        assert_eq!(
            masked("postgres://h/db?user=a&password=secret&sslmode=require"),
            "postgres://h/db?user=a&password=***&sslmode=require"
        );
        assert_eq!(masked("postgres://h/db"), "postgres://h/db");
        assert_eq!(masked("127.0.0.1:8787"), "127.0.0.1:8787");
    }
}
