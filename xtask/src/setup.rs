//! Installs what is missing, and only that: Debian packages by apt-get, and the window's by npm.
//!
//! **Invariant:** when nothing is missing nothing is run but questions, and nothing is fetched from anywhere else.

use std::os::unix::fs::MetadataExt;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::packages::Group;
use crate::repository::Repository;
use crate::shell::{answer, run, say};
use crate::window;

/// What Vite and Svelte's tools ask for.
const NODE: (u32, u32) = (20, 19);

/// Everything that these groups of system packages and the window's build need.
pub(crate) fn set_up(repository: &Repository, groups: &[Group]) -> Result<()> {
    install_system_packages(groups)?;
    check_node()?;
    window::install_packages(repository)
}

fn install_system_packages(groups: &[Group]) -> Result<()> {
    let wanted: Vec<_> = groups.iter().flat_map(|group| group.packages).copied().collect();
    let Some(installed) = installed(&wanted) else {
        say(format_args!(
            "this is not Debian: make sure yourself that there is what these bring: {}",
            wanted.join(" ")
        ));
        return Ok(());
    };
    let mut missing = Vec::new();
    for group in groups {
        let lacking: Vec<_> = group
            .packages
            .iter()
            .copied()
            .filter(|name| !installed(name))
            .collect();
        if !lacking.is_empty() {
            say(format_args!(
                "missing to {}: {}",
                group.purpose,
                lacking.join(" ")
            ));
            missing.extend(lacking);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    say("fetching Debian's list of packages");
    run(apt_get()?.arg("update"))?;
    say(format_args!("installing {} Debian packages", missing.len()));
    run(apt_get()?
        .args(["install", "--yes", "--no-install-recommends"])
        .args(missing))
}

/// Tells which of the wanted packages are there; nothing where there is no dpkg.
fn installed(wanted: &[&str]) -> Option<impl Fn(&str) -> bool + use<>> {
    let mut question = Command::new("dpkg-query");
    question
        .args(["--show", "--showformat=${Package} ${db:Status-Status}\n"])
        .args(wanted);
    // It fails when it does not know one of them, and still tells of the others.
    let output = question.output().ok()?;
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(move |name: &str| {
        lines
            .lines()
            .any(|line| line.split_once(' ') == Some((name, "installed")))
    })
}

fn apt_get() -> Result<Command> {
    let mut command = if std::fs::metadata("/proc/self")?.uid() == 0 {
        Command::new("apt-get")
    } else if answer(Command::new("sudo").arg("--version")).is_some() {
        let mut sudo = Command::new("sudo");
        sudo.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        sudo
    } else {
        bail!("installing needs root or sudo, and this is neither: run `cargo xtask setup` once as root")
    };
    command.env("DEBIAN_FRONTEND", "noninteractive");
    Ok(command)
}

fn check_node() -> Result<()> {
    let needed = format!(
        "Node.js {}.{} or newer is needed to build the window",
        NODE.0, NODE.1
    );
    let version = answer(Command::new("node").arg("--version")).with_context(|| needed.clone())?;
    let found = parse_node(&version).with_context(|| format!("node calls itself {version:?}"))?;
    ensure!(found >= NODE, "{needed}; this is {version}");
    Ok(())
}

fn parse_node(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version
        .strip_prefix('v')?
        .split('.')
        .map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_tells_its_version_with_a_letter_before_it() {
        assert_eq!(parse_node("v20.20.2"), Some((20, 20)));
        assert_eq!(parse_node("nonsense"), None);
        assert!(parse_node("v18.19.0").expect("a version") < NODE);
    }

    #[test]
    fn a_package_nobody_has_heard_of_is_not_installed() {
        let Some(installed) = installed(&["dpkg", "no-such-package-anywhere"]) else {
            return;
        };
        assert!(installed("dpkg"));
        assert!(!installed("no-such-package-anywhere"));
    }
}
