//! The project's own commands: `cargo xtask`.
//!
//! Each can be run again at any time: it goes on from what is there and is quick when nothing is missing.

mod packages;
mod repository;
mod schemathesis;
mod setup;
mod shell;
mod suites;
mod window;

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use packages::{ALL, BUILD, DATABASE, FUZZING};
use repository::Repository;
use shell::{run, say};
use suites::Suites;

/// A command by its name, what it takes and does, and how.
struct Task {
    usage: &'static str,
    does: &'static str,
    run: fn(&Repository, &[String]) -> Result<()>,
}

const TASKS: &[Task] = &[
    Task {
        usage: "run [-- APP ARGUMENTS]",
        does: "build and start the app with its bundled server",
        run: start,
    },
    Task {
        usage: "dev [-- APP ARGUMENTS]",
        does: "the same, reloading what you change",
        run: develop,
    },
    Task {
        usage: "test [FILTER]",
        does: "everything, or the Rust tests whose name holds FILTER",
        run: test,
    },
    Task {
        usage: "check",
        does: "formatting, lints, types, the rules of the house",
        run: check,
    },
    Task {
        usage: "tour",
        does: "play the story in two real windows; pictures in target/tour",
        run: tour,
    },
    Task {
        usage: "bench server",
        does: "measure the server on both databases beside a floor; five minutes",
        run: bench,
    },
    Task {
        usage: "feed [--changes N]",
        does: "make a million changes through three servers and show that none is skipped",
        run: feed,
    },
    Task {
        usage: "gen",
        does: "write ui/src/wire.gen.ts and crates/server/openapi.json anew",
        run: generate,
    },
    Task {
        usage: "schemathesis [-- ARGUMENTS]",
        does: "go at a real server with requests made up from openapi.json",
        run: fuzz,
    },
    Task {
        usage: "setup",
        does: "only install what the others need and is missing",
        run: set_up,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = arguments.split_first() else {
        list();
        return ExitCode::SUCCESS;
    };
    let Some(task) = TASKS
        .iter()
        .find(|task| task.usage.split(' ').next() == Some(name))
    else {
        eprintln!("there is no command {name:?}");
        list();
        return ExitCode::from(2);
    };
    match Repository::find().and_then(|repository| (task.run)(&repository, rest)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("✗ {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn list() {
    println!("cargo xtask …");
    for task in TASKS {
        println!("  {:<28} {}", task.usage, task.does);
    }
}

fn set_up(repository: &Repository, _: &[String]) -> Result<()> {
    setup::set_up(repository, ALL)?;
    say("everything is there");
    Ok(())
}

fn start(repository: &Repository, arguments: &[String]) -> Result<()> {
    require_display()?;
    setup::set_up(repository, &[BUILD])?;
    window::build(repository)?;
    say("building the app");
    run(repository.cargo_all("build").arg("--bins"))?;
    say("starting the app");
    // In place of this program, so that signals reach the app itself.
    let error = Command::new(repository.program("lockstep"))
        .args(after_the_dashes(arguments))
        .exec();
    Err(error).context("starting the app")
}

fn develop(repository: &Repository, arguments: &[String]) -> Result<()> {
    require_display()?;
    setup::set_up(repository, &[BUILD])?;
    say("starting the app; a change in ui/ shows at once, a change in Rust restarts the app");
    let mut tauri = Command::new(repository.ui().join("node_modules/.bin/tauri"));
    tauri
        .args(["dev", "--", "--"])
        .args(after_the_dashes(arguments))
        .current_dir(repository.root());
    run(&mut tauri)
}

fn test(repository: &Repository, arguments: &[String]) -> Result<()> {
    setup::set_up(repository, ALL)?;
    window::build(repository)?;
    let mut suites = Suites::new();
    let filter = arguments.first().map(String::as_str);
    if filter.is_none() {
        suites::check(repository, &mut suites)?;
        suites::test_window(repository, &mut suites)?;
    }
    suites::test_rust(repository, &mut suites, filter)?;
    match filter {
        Some(_) => Ok(()),
        None => suites.time("the server: schemathesis", || schemathesis::go(repository, &[])),
    }
}

fn fuzz(repository: &Repository, arguments: &[String]) -> Result<()> {
    setup::set_up(repository, &[DATABASE, FUZZING])?;
    say("building the server");
    run(repository
        .cargo("build")
        .args(["--package", "lockstep-server", "--bins"]))?;
    schemathesis::go(repository, after_the_dashes(arguments))
}

fn check(repository: &Repository, _: &[String]) -> Result<()> {
    setup::set_up(repository, &[BUILD])?;
    window::build(repository)?;
    let mut suites = Suites::new();
    suites::check(repository, &mut suites)?;
    suites.run(
        "Rust: the rules of the house",
        repository.cargo_all("test").args(["--test", "tidy"]),
    )
}

fn tour(repository: &Repository, _: &[String]) -> Result<()> {
    setup::set_up(repository, ALL)?;
    window::build(repository)?;
    say("building the app and the server");
    run(repository.cargo_all("build").arg("--bins"))?;
    say("playing the story in two real windows, on a display of its own");
    run(repository
        .cargo_all("test")
        .args(["--test", "story", "the_story", "--", "--nocapture"]))?;

    let folder = repository.tour();
    let mut pictures: Vec<_> = std::fs::read_dir(&folder)
        .with_context(|| format!("the story left no {}", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    pictures.sort();
    say("pictures");
    for picture in pictures {
        println!("  {}", picture.display());
    }
    Ok(())
}

fn bench(repository: &Repository, arguments: &[String]) -> Result<()> {
    let Some((what, rest)) = arguments.split_first().filter(|(what, _)| *what == "server") else {
        bail!("there is one thing to measure: cargo xtask bench server");
    };
    say(format_args!("building the {what} as it is released"));
    let packages = ["--package", "lockstep-server", "--package", "lockstep-bench"];
    run(repository.cargo("build").arg("--release").args(packages))?;
    run(Command::new(repository.released("lockstep-bench"))
        .arg(what)
        .arg("--program")
        .arg(repository.released("lockstep-server"))
        .arg("--folder")
        .arg(repository.measured())
        .args(rest))
}

fn feed(repository: &Repository, arguments: &[String]) -> Result<()> {
    let mut command = repository.cargo("test");
    match arguments {
        [] => {}
        [flag, number] if flag == "--changes" && number.parse::<usize>().is_ok() => {
            command.env("LOCKSTEP_FEED_CHANGES", number);
        }
        _ => bail!("cargo xtask feed [--changes N]"),
    }
    setup::set_up(repository, &[BUILD, DATABASE])?;
    say("64 writers, three servers, one reader; on SQLite, then on PostgreSQL");
    run(command
        .args([
            "--release",
            "--package",
            "lockstep-server",
            "--test",
            "feed",
            "--",
        ])
        .args(["--ignored", "--nocapture", "--test-threads=1"]))
}

fn generate(repository: &Repository, _: &[String]) -> Result<()> {
    for (file, package, test) in [
        ("ui/src/wire.gen.ts", "lockstep-client", "generated"),
        ("crates/server/openapi.json", "lockstep-server", "openapi"),
    ] {
        say(format!("writing {file}"));
        run(repository
            .cargo("test")
            .args(["--package", package, "--test", test])
            .env("LOCKSTEP_BLESS", "1"))?;
    }
    Ok(())
}

/// A window needs a screen; without one, say what works without.
fn require_display() -> Result<()> {
    let given = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if !given("DISPLAY") && !given("WAYLAND_DISPLAY") {
        bail!(
            "there is no display here (neither DISPLAY nor WAYLAND_DISPLAY is set), so no window can be shown.\n  \
             `cargo xtask tour` brings a display of its own, plays the story in two windows and leaves pictures of it."
        );
    }
    Ok(())
}

/// What follows `--`, or everything when there is none.
fn after_the_dashes(arguments: &[String]) -> &[String] {
    match arguments.split_first() {
        Some((dashes, rest)) if dashes == "--" => rest,
        _ => arguments,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dashes_before_the_arguments_may_be_left_out() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            after_the_dashes(&words("-- --profile bob")),
            words("--profile bob")
        );
        assert_eq!(after_the_dashes(&words("--profile bob")), words("--profile bob"));
        assert!(after_the_dashes(&[]).is_empty());
    }
}
