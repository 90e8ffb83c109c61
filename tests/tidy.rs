//! The rules of the house that a compiler cannot check: who may know whom, and what no file may hold.
//! Each rule names what it forbids and says why when it is broken.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files below `folder` with one of the endings, generated and installed ones left out.
fn files(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
    fn walk(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.map(|entry| entry.expect("a readable folder")) {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                if !["node_modules", "dist", "target", "gen", ".git"].contains(&name.as_str()) {
                    walk(&path, endings, found);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), endings, &mut found);
    found.sort();
    found
}

/// The code of a Rust file: without comments, and without its tests, which may do what the code may not.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a readable file");
    let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Every place below `folder` where the code holds one of `words`.
fn places(folder: &str, endings: &[&str], words: &[&str]) -> Vec<String> {
    let mut places = Vec::new();
    for path in files(folder, endings) {
        for (number, line) in code(&path).lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(**word)) {
                let shown = path.strip_prefix(root()).expect("below the root").display();
                places.push(format!(
                    "{shown}: {word:?} in line {} of its code: {}",
                    number + 1,
                    line.trim()
                ));
            }
        }
    }
    places
}

fn never(folder: &str, words: &[&str], why: &str) {
    assert!(
        !files(folder, &[".rs"]).is_empty(),
        "{folder} holds no Rust: the rule checks nothing"
    );
    let places = places(folder, &[".rs"], words);
    assert!(places.is_empty(), "{why}\n{}", places.join("\n"));
}

const CLOCKS: &[&str] = &["Utc::now", "Local::now", "Instant::now", "SystemTime"];
const SQL: &[&str] = &["rusqlite", "SELECT ", "INSERT ", "UPDATE ", "DELETE FROM"];

#[test]
fn the_shell_holds_no_sql_no_http_and_no_timers() {
    never("src-tauri/src", SQL, "the shell adapts; the cache has the SQL");
    never(
        "src-tauri/src",
        &["reqwest"],
        "the shell adapts; the core talks to the server",
    );
    never(
        "src-tauri/src",
        &["time::sleep", "time::interval", "thread::sleep"],
        "the shell holds no timers",
    );
}

#[test]
fn the_core_knows_no_window() {
    never(
        "crates/client/src",
        &["tauri"],
        "the client builds without a window toolkit",
    );
}

#[test]
fn sessions_and_sync_know_the_wire_and_are_given_the_time() {
    for folder in ["crates/client/src/session", "crates/client/src/sync"] {
        never(
            folder,
            &["crate::http", "reqwest", "HttpApi"],
            "they know wire::Api alone",
        );
        never(folder, CLOCKS, "time is an argument");
        never(folder, SQL, "the cache has the client's only SQL");
    }
}

#[test]
fn the_cache_knows_no_network_and_no_clock() {
    never(
        "crates/client/src/cache",
        &["reqwest", "crate::http", "wire::Api"],
        "the cache stores",
    );
    never("crates/client/src/cache", CLOCKS, "time is an argument");
}

#[test]
fn the_server_knows_no_client() {
    never(
        "crates/server/src",
        &["lockstep_client", "tauri"],
        "the server builds without the client",
    );
    never(
        "crates/server/src/routes",
        &["crate::store", "rusqlite"],
        "routes speak HTTP; the service decides",
    );
    never(
        "crates/server/src/service",
        &["axum", "rusqlite"],
        "the service decides; routes speak HTTP",
    );
    never("crates/server/src/service", &SQL[1..], "the stores have the SQL");
}

#[test]
fn the_wire_does_no_io() {
    never(
        "crates/wire/src",
        &["tokio", "reqwest", "std::fs", "std::net"],
        "the wire is a language",
    );
    never("crates/wire/src", CLOCKS, "the wire is a language");
}

#[test]
fn names_say_what_a_thing_is() {
    for folder in ["crates", "src-tauri", "xtask"] {
        for word in ["Manager", "Helper", "Util"] {
            let declared: Vec<_> = ["struct ", "enum ", "trait ", "mod "]
                .iter()
                .flat_map(|kind| places(folder, &[".rs"], &[kind]))
                .filter(|place| place.contains(word))
                .collect();
            assert!(
                declared.is_empty(),
                "{word} says nothing:\n{}",
                declared.join("\n")
            );
        }
    }
}

#[test]
fn a_module_opens_with_its_purpose() {
    for folder in ["crates", "src-tauri", "xtask", "tests"] {
        for path in files(folder, &[".rs"]) {
            let text = fs::read_to_string(&path).expect("a readable file");
            assert!(
                text.starts_with("//! "),
                "{} does not say what it is for",
                path.display()
            );
        }
    }
}

#[test]
fn tests_wait_for_conditions() {
    // A pause between two looks at a condition is how one waits; it has one home per place that waits.
    let waits = [
        "crates/stage/src/wait.rs",
        "crates/stage/src/process.rs",
        "crates/server/tests/world/",
        "crates/client/tests/world/",
    ];
    for folder in [
        "tests",
        "crates/server/tests",
        "crates/client/tests",
        "crates/stage",
    ] {
        let hopes: Vec<_> = places(folder, &[".rs"], &["thread::sleep", "time::sleep"])
            .into_iter()
            .filter(|place| {
                !waits.iter().any(|home| place.starts_with(home)) && !place.starts_with("tests/tidy.rs")
            })
            .collect();
        assert!(hopes.is_empty(), "wait on a condition:\n{}", hopes.join("\n"));
    }
}

#[test]
fn the_window_reaches_the_world_through_its_backend() {
    let sources = files("ui/src", &[".ts", ".svelte"]);
    assert!(
        !sources.is_empty(),
        "ui/src holds nothing: the rule checks nothing"
    );
    for path in sources {
        let shown = path
            .strip_prefix(root())
            .expect("below the root")
            .display()
            .to_string();
        let text = fs::read_to_string(&path).expect("a readable file");
        assert!(
            !text.contains("fetch("),
            "{shown}: the window never talks to the network"
        );
        let in_backend = shown.starts_with("ui/src/backend/");
        assert!(
            in_backend || !text.contains("@tauri-apps"),
            "{shown}: only backend/ knows the shell"
        );
    }
}

#[test]
fn the_windows_modules_import_in_one_direction() {
    let sources: BTreeSet<PathBuf> = files("ui/src", &[".ts", ".svelte"]).into_iter().collect();
    let imports: BTreeMap<&PathBuf, Vec<PathBuf>> = sources
        .iter()
        .map(|path| (path, imported(path, &sources)))
        .collect();
    let mut settled = BTreeSet::new();
    for path in &sources {
        let mut trail = Vec::new();
        assert_no_cycle(path, &imports, &mut settled, &mut trail);
    }
}

/// The project's own files that a file of the window imports; types alone make no cycle.
fn imported(path: &Path, sources: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let text = fs::read_to_string(path).expect("a readable file");
    let statements = text.split(';').flat_map(|part| part.split("\nimport ").skip(1));
    let mut found = Vec::new();
    for statement in statements.filter(|statement| !statement.trim_start().starts_with("type ")) {
        let Some(from) = statement
            .rsplit(['"', '\''])
            .nth(1)
            .filter(|from| from.starts_with('.'))
        else {
            continue;
        };
        let base = path.parent().expect("a file is in a folder").join(from);
        let candidates =
            ["", ".ts", ".svelte", "/index.ts"].map(|ending| format!("{}{ending}", base.display()));
        let resolved = candidates
            .iter()
            .filter_map(|candidate| fs::canonicalize(candidate).ok());
        found.extend(resolved.filter(|candidate| sources.contains(candidate)).take(1));
    }
    found
}

fn assert_no_cycle(
    path: &PathBuf,
    imports: &BTreeMap<&PathBuf, Vec<PathBuf>>,
    settled: &mut BTreeSet<PathBuf>,
    trail: &mut Vec<PathBuf>,
) {
    if settled.contains(path) {
        return;
    }
    assert!(
        !trail.contains(path),
        "a cycle of imports: {trail:?}, and {path:?} again"
    );
    trail.push(path.clone());
    for next in &imports[path] {
        assert_no_cycle(next, imports, settled, trail);
    }
    trail.pop();
    settled.insert(path.clone());
}

#[test]
fn the_windows_security_policy_allows_no_foreign_script() {
    let text = fs::read_to_string(root().join("tauri.conf.json")).expect("the configuration");
    let configuration: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let policy = &configuration["app"]["security"]["csp"];
    assert_eq!(policy["default-src"], "'none'");
    assert_eq!(
        policy["script-src"], "'self'",
        "no inline script, no eval, no other origin"
    );
    let connect = policy["connect-src"].as_str().expect("a list");
    assert!(
        connect
            .split(' ')
            .all(|to| to == "ipc:" || to == "http://ipc.localhost"),
        "the window has no network"
    );
}

#[test]
fn the_windows_capabilities_are_few_and_name_it() {
    let capabilities = files("src-tauri/capabilities", &[".json"]);
    assert_eq!(capabilities.len(), 1, "one window, one capability");
    let text = fs::read_to_string(&capabilities[0]).expect("a readable file");
    let capability: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(capability["windows"], serde_json::json!(["main"]));
    for permission in capability["permissions"].as_array().expect("a list") {
        let permission = permission.as_str().expect("a name");
        assert!(
            permission.starts_with("core:event:allow-"),
            "{permission} is more than hearing events"
        );
    }
}
