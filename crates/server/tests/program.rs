//! The program itself, as an operator or a script handles it.

mod world;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use lockstep_server::demo::{DEMO_PEOPLE, DEMO_PROJECT};
use lockstep_wire::routes;
use reqwest::Method;
use serde_json::{Value, json};
use world::{PATIENCE, Serving, picture, tinted_picture, until};

fn program(data: &Path, arguments: &[&str]) -> Command {
    let mut command = world::program();
    command.args(arguments).arg("--data").arg(data);
    command
}

fn run(data: &Path, arguments: &[&str]) -> Output {
    program(data, arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the program starts")
}

fn done(data: &Path, arguments: &[&str]) -> String {
    let output = run(data, arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

fn add_user(data: &Path, name: &str) {
    let email = format!("{name}@example.org");
    let arguments = ["user", "add", "--email", &email, "--name", name];
    assert!(with_input(data, &arguments, "correct horse"));
}

/// Says the line on standard input. Whether it was done.
fn with_input(data: &Path, arguments: &[&str], line: &str) -> bool {
    let mut child = program(data, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut input = child.stdin.take().expect("a pipe");
    input
        .write_all(format!("{line}\n").as_bytes())
        .expect("it listens");
    drop(input);
    child.wait().expect("an end").success()
}

fn serve(data: &Path, more: &[&str]) -> Serving {
    Serving::start(program(data, &[&["serve"], more].concat()))
}

#[cfg(unix)]
#[tokio::test]
async fn a_terminated_server_leaves_at_once_and_in_order_though_someone_is_watching() {
    let folder = tempfile::tempdir().expect("a folder");
    done(folder.path(), &["demo"]);
    let mut serving = serve(folder.path(), &[]);
    let alice = demo_person(&serving.url, 0).await;
    let watching = alice.request(Method::GET, &routes::path(routes::EVENTS, &[DEMO_PROJECT]));
    let mut watching = watching.send().await.expect("a stream");
    assert!(watching.chunk().await.expect("a chunk").is_some());

    let told = Instant::now();
    serving.terminate();
    assert_eq!(serving.left().await, Some(0));
    assert!(told.elapsed() < Duration::from_secs(2), "{:?}", told.elapsed());
    let rest = tokio::time::timeout(PATIENCE, async {
        while let Ok(Some(_)) = watching.chunk().await {}
    })
    .await;
    assert!(rest.is_ok(), "the stream ends");
}

async fn demo_person(base: &str, number: usize) -> world::Person {
    let person = DEMO_PEOPLE[number];
    let http = reqwest::Client::new();
    let login = json!({"email": person.email, "password": person.password});
    let url = format!("{base}{}", routes::path(routes::LOGIN, &[]));
    let body: Value = http
        .post(url)
        .json(&login)
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("tokens");
    world::Person {
        http,
        base: base.into(),
        token: body["access_token"].as_str().expect("a token").into(),
        refresh_token: String::new(),
        id: body["user"]["id"].as_i64().expect("a number"),
        window: None,
    }
}

#[tokio::test]
async fn l6_an_acknowledged_save_and_a_lock_survive_a_killed_server() {
    let folder = tempfile::tempdir().expect("a folder");
    done(folder.path(), &["demo"]);
    let serving = serve(folder.path(), &[]);
    let alice = demo_person(&serving.url, 0).await;
    let acquire = json!({"project_id": DEMO_PROJECT, "image_id": "cat.jpg"});
    let path = routes::path(routes::ACQUIRE, &[]);
    let (_, before) = alice.call(Method::POST, &path, Some(acquire.clone())).await;
    let drawn = json!({"project_id": DEMO_PROJECT, "image_id": "cat.jpg", "geometry": world::boxed(1.0)});
    let (status, saved) = alice
        .call(Method::POST, &routes::path(routes::ANNOTATIONS, &[]), Some(drawn))
        .await;
    assert_eq!(status, 201);
    drop(serving);

    let serving = serve(folder.path(), &[]);
    let alice = world::Person {
        base: serving.url.clone(),
        ..alice
    };
    let (_, after) = alice.call(Method::POST, &path, Some(acquire)).await;
    assert_eq!(
        (&after["status"], &after["lock"]["generation"]),
        (&json!("refreshed"), &before["lock"]["generation"])
    );
    let there = routes::path(routes::IMAGE_ANNOTATIONS, &[DEMO_PROJECT, "cat.jpg"]);
    let (_, body) = alice.get(&there).await;
    assert!(
        body["annotations"]
            .as_array()
            .expect("a list")
            .iter()
            .any(|one| one["id"] == saved["id"])
    );
}

#[tokio::test]
async fn the_demo_is_seeded_once_and_only_where_nobody_is() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(done(folder.path(), &["demo"]).contains("alice-demo-1"));
    assert!(done(folder.path(), &["demo"]).contains("already"));
    let serving = serve(folder.path(), &["--lock-ttl", "3s"]);
    let bob = demo_person(&serving.url, 1).await;
    let (_, projects) = bob.get(&routes::path(routes::PROJECTS, &[])).await;
    assert_eq!(
        (&projects[0]["id"], &projects[0]["role"]),
        (&json!("demo"), &json!("annotator"))
    );
    assert_eq!(projects[0]["annotators_edit_all"], true);
    let (_, page) = bob.get(&routes::path(routes::IMAGES, &[DEMO_PROJECT])).await;
    let images = page["images"].as_array().expect("images");
    assert_eq!(images.len(), 12);
    assert!(
        images
            .iter()
            .any(|image| image["annotation_count"].as_i64() > Some(0))
    );
    let (_, meta) = bob.get(&routes::path(routes::META, &[])).await;
    assert_eq!(
        (&meta["lock_ttl_ms"], &meta["heartbeat_ms"]),
        (&json!(3000), &json!(1200))
    );

    let other = tempfile::tempdir().expect("a folder");
    add_user(other.path(), "olga");
    assert!(done(other.path(), &["demo"]).contains("nothing was changed"));
}

#[tokio::test]
async fn an_operator_sets_a_project_up_beside_a_running_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    let serving = serve(data, &[]);
    add_user(data, "olga");
    add_user(data, "ann");
    let project = [
        "project",
        "add",
        "--id",
        "p",
        "--name",
        "Streets",
        "--owner",
        "olga@example.org",
    ];
    assert_eq!(done(data, &project), "p\n");
    assert_eq!(run(data, &project).status.code(), Some(1), "it is there");
    done(
        data,
        &[
            "member",
            "add",
            "--project",
            "p",
            "--email",
            "ann@example.org",
            "--role",
            "annotator",
        ],
    );
    done(
        data,
        &[
            "label",
            "add",
            "--project",
            "p",
            "--name",
            "Cat",
            "--color",
            "#0072b2",
        ],
    );

    let ann = world::Person::sign_in(&serving.url, "ann").await;
    let mut watching = ann
        .request(Method::GET, &routes::path(routes::EVENTS, &["p"]))
        .send()
        .await
        .expect("a stream");
    assert!(
        watching.chunk().await.expect("a chunk").is_some(),
        "where the feed is"
    );

    let pictures = data.join("pictures");
    std::fs::create_dir_all(pictures.join("north")).expect("folders");
    std::fs::write(pictures.join("a.png"), picture()).expect("a file");
    std::fs::write(pictures.join("north/a.png"), tinted_picture(7)).expect("a file");
    std::fs::write(pictures.join("notes.txt"), "not a picture").expect("a file");
    let pictures = pictures.to_str().expect("a path");
    let report = done(data, &["import", "--project", "p", pictures]);
    assert!(
        report.contains("2 added, 0 present already, 0 refused"),
        "{report}"
    );
    let report = done(data, &["import", "--project", "p", pictures]);
    assert!(
        report.contains("0 added, 2 present already, 0 refused"),
        "{report}"
    );
    let broken = data.join("broken.png");
    std::fs::write(&broken, &picture()[..60]).expect("a file");
    let output = run(
        data,
        &["import", "--project", "p", broken.to_str().expect("a path")],
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("refused"));

    // The other process's import reaches who watches this one.
    let news = tokio::time::timeout(PATIENCE, watching.chunk())
        .await
        .expect("in time")
        .expect("a chunk");
    assert!(news.is_some());
    let page = until(async || {
        let (_, page) = ann.get(&routes::path(routes::IMAGES, &["p"])).await;
        (page["images"].as_array().map(Vec::len) == Some(2)).then_some(page)
    })
    .await;
    assert_eq!(
        (&page["images"][0]["id"], &page["images"][1]["id"]),
        (&json!("a.png"), &json!("north/a.png"))
    );
}

/// A project with nothing in it.
fn project(data: &Path) {
    add_user(data, "olga");
    let words = [
        "project",
        "add",
        "--id",
        "p",
        "--name",
        "P",
        "--owner",
        "olga@example.org",
    ];
    done(data, &words);
}

#[test]
fn an_import_says_of_each_file_what_became_of_it_and_may_be_repeated() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    project(data);
    let pictures = data.join("pictures");
    std::fs::create_dir_all(pictures.join("north")).expect("folders");
    let write = |name: &str, content: &[u8]| std::fs::write(pictures.join(name), content).expect("a file");
    write("a.png", &tinted_picture(1));
    write("called.jpg", &tinted_picture(2));
    write("cut.png", &tinted_picture(3)[..60]);
    write("north/twin.png", &tinted_picture(1));
    write("text.png", b"Dear all");
    write("notes.txt", b"not a picture, and not called one");
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink(&pictures, pictures.join("north/round")).expect("a link");
        symlink("nowhere", pictures.join("gone.png")).expect("a link");
    }
    let report = data.join("report.jsonl");
    let report_name = report.to_str().expect("a path");
    let words = [
        "import",
        "--project",
        "p",
        "--report",
        report_name,
        pictures.to_str().expect("a path"),
    ];
    let read = || -> Vec<Value> {
        let text = std::fs::read_to_string(&report).expect("a report");
        text.lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    };
    let outcome = |lines: &[Value], name: &str| {
        let ends = |line: &&Value| line["file"].as_str().is_some_and(|file| file.ends_with(name));
        lines
            .iter()
            .find(ends)
            .map(|line| line["outcome"].as_str().expect("a word").to_owned())
    };

    let first = run(data, &words);
    assert_eq!(first.status.code(), Some(1), "not everything is in");
    let said = String::from_utf8_lossy(&first.stderr).into_owned();
    assert!(said.contains("3 files could not be imported"), "{said}");
    let lines = read();
    for (name, expected) in [
        ("a.png", "added"),
        ("called.jpg", "added"),
        ("cut.png", "refused"),
        ("text.png", "refused"),
        ("twin.png", "present"),
        ("round", "skipped"),
        ("gone.png", "unreadable"),
    ] {
        assert_eq!(
            outcome(&lines, name).as_deref(),
            Some(expected),
            "{name}: {lines:?}"
        );
    }
    assert_eq!(outcome(&lines, "notes.txt"), None);
    let called = lines
        .iter()
        .find(|line| line["image"]["file_name"] == "called.jpg")
        .expect("it is in");
    assert_eq!(
        called["notes"],
        json!(["It is called a JPEG, but is a PNG, and is kept as one."])
    );
    let counts = lines.last().expect("the counts");
    assert_eq!(
        (&counts["added"], &counts["refused"], &counts["unreadable"]),
        (&json!(2), &json!(2), &json!(1))
    );

    run(data, &words);
    let lines = read();
    let counts = lines.last().expect("the counts");
    assert_eq!(
        (&counts["added"], &counts["present"]),
        (&json!(0), &json!(3)),
        "nothing is added again"
    );
    for name in ["cut.png", "text.png", "gone.png"] {
        std::fs::remove_file(pictures.join(name)).expect("it is there");
    }
    assert_eq!(run(data, &words).status.code(), Some(0), "now everything is in");
}

#[tokio::test]
async fn while_the_bucket_is_away_an_upload_is_asked_to_come_again_and_leaves_no_image() {
    let folder = tempfile::tempdir().expect("a folder");
    project(folder.path());
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", nobody.local_addr().expect("an address"));
    drop(nobody);
    let mut serve = program(folder.path(), &["serve", "--blobs", "s3://images/of/lockstep"]);
    serve
        .env("AWS_ENDPOINT", endpoint)
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_ACCESS_KEY_ID", "key")
        .env("AWS_SECRET_ACCESS_KEY", "secret");
    let serving = Serving::start(serve);
    let olga = world::Person::sign_in(&serving.url, "olga").await;
    let path = routes::path(routes::IMAGES, &["p"]);
    let file = reqwest::multipart::Part::bytes(picture()).file_name("a.png");
    let form = reqwest::multipart::Form::new().part("file", file);
    let upload = olga.request(Method::POST, &path).multipart(form);
    let answer = upload.send().await.expect("an answer");
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    let (_, page) = olga.get(&path).await;
    assert_eq!(page["images"], json!([]), "no row without its bytes");
}

#[cfg(unix)]
#[test]
fn an_import_that_is_interrupted_finishes_what_it_began_and_goes_on_when_it_is_repeated() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    project(data);
    let pictures = data.join("pictures");
    std::fs::create_dir(&pictures).expect("a folder");
    for tint in 0..=255_u8 {
        std::fs::write(pictures.join(format!("{tint}.png")), tinted_picture(tint)).expect("a file");
    }
    let words = ["import", "--project", "p", pictures.to_str().expect("a path")];
    let mut child = program(data, &words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut out = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut out, &mut line).expect("a line");
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(sent.expect("kill").success());
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut out, &mut rest).expect("lines");
    assert_eq!(child.wait().expect("an end").code(), Some(1));
    assert!(
        rest.contains("were not looked at; the same command goes on from there"),
        "{rest}"
    );
    let added = rest.lines().filter(|line| line.starts_with("added")).count() + 1;
    assert!(added < 256, "it was interrupted");

    let again = done(data, &words);
    assert!(
        again.contains(&format!("{} added, {added} present already", 256 - added)),
        "{again}"
    );
    let leftovers: Vec<_> = walk(&data.join("blobs"))
        .into_iter()
        .filter(|path| !path.ends_with(".jpg") && path.rsplit('/').next().map(str::len) != Some(64))
        .collect();
    assert_eq!(leftovers, Vec::<String>::new(), "nothing half written");
}

#[cfg(unix)]
fn walk(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else {
            found.push(path.to_str().expect("text").to_owned());
        }
    }
    found
}

#[tokio::test]
async fn an_operator_gives_someone_another_password_and_a_script_a_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    add_user(data, "ann");
    let serving = serve(data, &[]);
    let ann = world::Person::sign_in(&serving.url, "ann").await;
    let me = routes::path(routes::ME, &[]);
    assert_eq!(ann.get(&me).await.0, 200);

    let token = ["token", "add", "--email", "ann@example.org", "--name", "nightly"];
    let made = done(data, &[&token[..], &["--write", "--expires-in", "1h"]].concat());
    let script = world::Person {
        token: made.trim().into(),
        ..ann.at("script")
    };
    assert_eq!(script.get(&me).await.0, 200);
    let listed = done(data, &["token", "list", "--email", "ann@example.org"]);
    let [id, "read_write", used, "nightly"] = listed.trim().split('\t').collect::<Vec<_>>()[..] else {
        panic!("{listed}")
    };
    assert_ne!(used, "never");
    let nobodys = ["token", "add", "--email", "nobody@example.org", "--name", "n"];
    assert_eq!(run(data, &nobodys).status.code(), Some(1));

    let change = |password: &str| {
        let arguments = ["user", "password", "--email", "ann@example.org"];
        with_input(data, &arguments, password)
    };
    assert!(!change("short"));
    assert!(change("a better one"));
    until(async || (ann.get(&me).await.0 == 401).then_some(())).await;
    assert_eq!(script.get(&me).await.0, 200, "a script's token is another key");
    let remove = ["token", "remove", "--email", "ann@example.org", "--id", id];
    done(data, &remove);
    assert_eq!(script.get(&me).await.0, 401);
    assert_eq!(run(data, &remove).status.code(), Some(1), "it is gone");
    let login = async |password: &str| {
        let login = json!({"email": "ann@example.org", "password": password});
        let path = routes::path(routes::LOGIN, &[]);
        ann.call(Method::POST, &path, Some(login)).await.0
    };
    assert_eq!(login("correct horse").await, 401);
    assert_eq!(login("a better one").await, 200);
}

#[test]
fn migrations_go_forward_back_and_say_where_they_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    assert_eq!(
        run(data, &["migrate", "status"]).status.code(),
        Some(1),
        "there is no database"
    );
    assert_eq!(done(data, &["migrate", "up"]), "3 of 3 steps taken\n");
    assert_eq!(done(data, &["migrate", "down"]), "2 of 3 steps taken\n");
    assert_eq!(
        done(data, &["migrate", "down", "--steps", "1"]),
        "1 of 3 steps taken\n"
    );
    assert_eq!(done(data, &["migrate", "status"]), "1 of 3 steps taken\n");
    assert_eq!(done(data, &["migrate", "up"]), "3 of 3 steps taken\n");
}

#[test]
fn what_cannot_be_meant_is_wrong_usage_and_what_fails_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    for wrong in [
        &["surf"][..],
        &["serve", "--lock-ttl", "soon"],
        &["serve", "--lock-ttl", "3s", "--heartbeat", "5s"],
        &["serve", "--lock-ttl", "1us"],
        &["serve", "--requests-at-once", "0"],
        &["serve", "--request-time", "0s"],
        &[
            "member",
            "add",
            "--project",
            "p",
            "--email",
            "e",
            "--role",
            "king",
        ],
    ] {
        assert_eq!(run(data, wrong).status.code(), Some(2), "{wrong:?}");
    }
    let output = run(
        data,
        &[
            "project",
            "add",
            "--id",
            "p",
            "--name",
            "P",
            "--owner",
            "nobody@example.org",
        ],
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no account nobody@example.org"));
}

#[cfg(unix)]
#[test]
fn nobody_else_on_the_machine_can_read_a_database_or_a_copy_of_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let [data, backups, restored] = ["data", "backups", "restored"].map(|name| folder.path().join(name));
    let private = |path: &Path| {
        let mode = path.metadata().expect("it is there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
    };
    done(&data, &["demo"]);
    let out = backups.to_str().expect("text");
    let backup = done(&data, &["backup", out]);
    done(&restored, &["restore", out]);
    private(&data.join("lockstep.sqlite"));
    private(Path::new(backup.trim()));
    private(&restored.join("lockstep.sqlite"));
}

#[tokio::test]
async fn a_log_in_a_file_is_plain_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let mut command = program(folder.path(), &["serve", "--log", "debug"]);
    command.stderr(std::fs::File::create(&log).expect("a file"));
    let mut serving = Serving::start(command);
    let meta = format!("{}{}", serving.url, routes::path(routes::META, &[]));
    assert_eq!(reqwest::get(meta).await.expect("an answer").status(), 200);
    serving.terminate();
    assert_eq!(serving.left().await, Some(0));
    let log = std::fs::read_to_string(&log).expect("a log");
    assert!(log.contains("status=200"), "{log}");
    assert!(!log.contains('\x1b'), "{log:?}");
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("settings.toml");
    std::fs::write(
        &file,
        "listen = \"127.0.0.1:1\"\nlock-ttl = \"6s\"\nheartbeat = \"1s\"",
    )
    .expect("a file");
    let asked = |more: &[&str]| {
        let mut command = program(folder.path(), &["serve", "--print-config"]);
        command.args(more).env("LOCKSTEP_CONFIG", &file);
        command
            .env("LOCKSTEP_LISTEN", "127.0.0.1:2")
            .env("LOCKSTEP_LOCK_TTL", "7s");
        command.output().expect("the program starts")
    };
    let printed = String::from_utf8(asked(&["--listen", "127.0.0.1:3"]).stdout).expect("text");
    for line in [
        "listen = \"127.0.0.1:3\"  # command line",
        "lock-ttl = \"7s\"  # environment",
        "heartbeat = \"1s\"  # /",
        "log-format = \"human\"  # default",
    ] {
        assert!(printed.contains(line), "{line} is not in\n{printed}");
    }

    std::fs::write(&file, "lock-tll = \"6s\"").expect("a file");
    let output = asked(&[]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("settings.toml") && said.contains("lock-tll"),
        "{said}"
    );
}

#[tokio::test]
async fn two_servers_on_one_database_grant_one_lock() {
    let folder = tempfile::tempdir().expect("a folder");
    done(folder.path(), &["demo"]);
    let (one, two) = (serve(folder.path(), &[]), serve(folder.path(), &[]));
    let (alice, bob) = (demo_person(&one.url, 0).await, demo_person(&two.url, 1).await);
    let body = json!({"project_id": DEMO_PROJECT, "image_id": "cat.jpg"});
    let path = routes::path(routes::ACQUIRE, &[]);
    let lock = routes::path(routes::LOCK, &[DEMO_PROJECT, "cat.jpg"]);
    for round in 0..25 {
        let (alices, bobs) = tokio::join!(
            alice.call(Method::POST, &path, Some(body.clone())),
            bob.call(Method::POST, &path, Some(body.clone()))
        );
        let given = [&alices, &bobs].map(|(status, body)| {
            assert_eq!(*status, 200, "{body}");
            body["status"] == "acquired"
        });
        assert_eq!(
            given.into_iter().filter(|given| *given).count(),
            1,
            "round {round}"
        );
        let holder = if given[0] { &alice } else { &bob };
        assert_eq!(
            holder.call(Method::DELETE, &lock, None).await.1["status"],
            "released"
        );
    }
}
