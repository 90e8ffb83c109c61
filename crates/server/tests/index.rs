//! Which invariants and edge cases are the server's to keep, and that each is shown by a test under its id: on SQLite and
//! on PostgreSQL where a test can be about either.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What shows an id.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Shown {
    /// Tests in a list of `on_every_engine!`.
    OnBoth,
    /// Any test, since the case is one database's alone.
    OnOne,
}
use Shown::{OnBoth, OnOne};

/// The server's, or the server's half where the client has another.
#[rustfmt::skip]
const SERVERS: &[(&str, Shown)] = &[
    ("l1", OnBoth), ("l2", OnBoth), ("l3", OnBoth), ("l4", OnBoth), ("l5", OnBoth), ("l6", OnBoth), ("l7", OnBoth),
    ("l8", OnBoth), ("l9", OnBoth), ("l11", OnBoth), ("l12", OnBoth), ("l13", OnBoth), ("l14", OnBoth),
    ("e1", OnBoth), ("e2", OnBoth), ("e3", OnBoth), ("e4", OnBoth), ("e5", OnBoth), ("e6", OnBoth), ("e7", OnBoth),
    ("e8", OnBoth), ("e9", OnBoth), ("e15", OnBoth),
    // Servers on one SQLite file are on one machine, and have its one clock.
    ("e16", OnOne),
    ("e17", OnBoth),
    // A PostgreSQL primary can be lost to a standby that is behind it; a file cannot.
    ("e18", OnOne),
    ("e19", OnBoth), ("e20", OnBoth), ("e21", OnBoth), ("e22", OnBoth), ("e27", OnBoth), ("e28", OnBoth), ("e29", OnBoth),
    ("e33", OnBoth), ("e34", OnBoth), ("e37", OnBoth),
];

/// What is shown before a window, or in the client's core.
#[rustfmt::skip]
const CLIENTS: &[&str] = &[
    "l10", "l15", "l16", "l17", "l18", "l19",
    "e10", "e11", "e12", "e13", "e14", "e23", "e24", "e25", "e26", "e30", "e31", "e32", "e35", "e36",
];

#[test]
fn every_id_is_the_servers_or_the_clients() {
    let ours = SERVERS.iter().map(|(id, _)| (*id).to_owned());
    let theirs = CLIENTS.iter().map(|id| (*id).to_owned());
    let mut listed: Vec<String> = ours.chain(theirs).collect();
    let invariants = (1..=19).map(|n| format!("l{n}"));
    let mut all: Vec<String> = invariants.chain((1..=37).map(|n| format!("e{n}"))).collect();
    listed.sort();
    all.sort();
    assert_eq!(listed, all);
}

#[test]
fn every_id_of_the_servers_is_shown_by_a_test_that_names_it() {
    let mut shown: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut on_both: BTreeSet<String> = BTreeSet::new();
    for path in sources() {
        let text = fs::read_to_string(&path).expect("a readable file");
        let lists: Vec<&str> = text
            .split("on_every_engine!")
            .skip(1)
            .filter_map(|rest| rest[1..].split([')', ']']).next())
            .collect();
        for name in test_names(&text) {
            let twice = lists
                .iter()
                .any(|list| list.split(',').any(|listed| listed.trim() == name));
            for id in ids(&name) {
                if twice {
                    on_both.insert(id.clone());
                }
                shown.entry(id).or_default().insert(name.clone());
            }
        }
    }
    let missing: Vec<&str> = SERVERS
        .iter()
        .filter(|(id, how)| match how {
            OnBoth => !on_both.contains(*id),
            OnOne => !shown.contains_key(*id),
        })
        .map(|(id, _)| *id)
        .collect();
    assert!(missing.is_empty(), "no test shows {missing:?}; found {shown:#?}");
}

fn sources() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    for folder in ["src", "tests"] {
        walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut found);
    }
    found
}

/// Of the functions whose names begin with an id.
fn test_names(text: &str) -> Vec<String> {
    let functions = text.split("fn ").skip(1);
    let names = functions.filter_map(|rest| rest.split(['(', '<']).next());
    names
        .map(str::to_owned)
        .filter(|name| !ids(name).is_empty())
        .collect()
}

/// `l5_e6_a_retry…` begins with two.
fn ids(name: &str) -> Vec<String> {
    let is_id = |part: &&str| {
        let number = part.strip_prefix(['l', 'e']);
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
    };
    name.split('_').take_while(is_id).map(str::to_owned).collect()
}
