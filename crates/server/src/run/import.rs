//! Image files and folders of them, into a project.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use anyhow::{Context as _, anyhow, bail};
use futures::{StreamExt as _, stream};
use indicatif::{ProgressBar, ProgressStyle};
use lockstep_server::blobs::Source;
use lockstep_server::service::{AddedImage, NewFile, Received, Service};
use lockstep_wire::{ApiError, ProjectId, User};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use walkdir::WalkDir;

use super::open;
use crate::cli::Place;

pub(super) async fn import(
    project: &ProjectId,
    paths: &[PathBuf],
    report: Option<&Path>,
    place: &Place,
) -> anyhow::Result<()> {
    // Before anything else: a file that cannot be written is found out before an hour's work.
    let mut report = Report::begin(report)?;
    let service = open(place).await?;
    let owner = service.owner_of(project).await?;
    let found = find_files(paths);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {wide_msg}")?;
    let bar = ProgressBar::new(found.len() as u64).with_style(style);
    let enough = CancellationToken::new();
    tokio::spawn(interrupts(enough.clone()));

    let all = found.len();
    // What is begun is finished, so that nothing half done is left; the files come out in the order they went in.
    let at_once = available_parallelism().map_or(1, usize::from) + 1;
    let mut lines = stream::iter(found)
        .take_until(Box::pin(enough.clone().cancelled_owned()))
        .map(|found| take_in(&service, &owner, project, found))
        .buffered(at_once);
    let mut done = 0;
    while let Some(line) = lines.next().await {
        done += 1;
        bar.set_message(line.file.clone());
        if line.outcome == Outcome::Unreachable {
            enough.cancel();
        }
        report.add(&line)?;
        bar.suspend(|| println!("{}", line.for_people()));
        bar.inc(1);
    }
    bar.finish_and_clear();
    report.end(all - done)
}

/// The first asks for an end after what is in hand; the second does not wait for it.
async fn interrupts(enough: CancellationToken) {
    for interrupt in [1, 2] {
        if tokio::signal::ctrl_c().await.is_err() {
            return;
        }
        if interrupt == 2 {
            std::process::exit(130);
        }
        enough.cancel();
    }
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Added,
    Present,
    /// Nothing that is not looked at elsewhere.
    Skipped,
    /// It is no image that is taken here.
    Refused,
    Unreadable,
    /// Database or bucket do not do as asked: no use in going on.
    Unreachable,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Present => "present",
            Self::Skipped => "skipped",
            Self::Refused => "refused",
            Self::Unreadable => "unreadable",
            Self::Unreachable => "failed",
        }
    }
}

struct Line {
    file: String,
    outcome: Outcome,
    /// The image as the server knows it.
    image: Value,
    /// Sentences.
    notes: Vec<String>,
}

impl Line {
    fn of(path: &Path, outcome: Outcome, notes: Vec<String>) -> Self {
        Self {
            file: path.display().to_string(),
            outcome,
            image: Value::Null,
            notes,
        }
    }

    fn for_people(&self) -> String {
        let size = match (&self.image["width"], &self.image["height"]) {
            (Value::Number(width), Value::Number(height)) => format!(" ({width} × {height})"),
            _ => String::new(),
        };
        let notes = self.notes.join(" ");
        let colon = if notes.is_empty() { "" } else { ": " };
        format!("{:<10} {}{size}{colon}{notes}", self.outcome.name(), self.file)
    }
}

async fn take_in(service: &Service, owner: &User, project: &ProjectId, found: Result<Found, Line>) -> Line {
    let Found { path, file_name } = match found {
        Ok(found) => found,
        Err(line) => return line,
    };
    if let Err(fault) = tokio::fs::File::open(&path).await {
        return Line::of(&path, Outcome::Unreadable, vec![sentence(&fault.to_string())]);
    }
    let file = NewFile {
        id: None,
        file_name,
        source: Source::File(path.clone()),
    };
    match service.receive(owner.id, project, file).await {
        Ok(Received { image, notes }) => {
            let (outcome, image) = match image {
                AddedImage::New(image) => (Outcome::Added, json!(image)),
                AddedImage::Present(image) => (Outcome::Present, json!(image)),
                AddedImage::Taken => (Outcome::Refused, Value::Null),
            };
            Line {
                image,
                ..Line::of(&path, outcome, notes)
            }
        }
        Err(ApiError::Refused(refusal)) => Line::of(&path, Outcome::Refused, vec![refusal.message]),
        Err(error) => Line::of(&path, Outcome::Unreachable, vec![sentence(&error.to_string())]),
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}

/// What is counted, and written down for a machine where that is asked.
struct Report {
    file: Option<BufWriter<File>>,
    counts: [u64; 6],
}

impl Report {
    fn begin(path: Option<&Path>) -> anyhow::Result<Self> {
        let make = |path: &Path| {
            let made = File::create(path).with_context(|| format!("cannot write {}", path.display()));
            made.map(BufWriter::new)
        };
        Ok(Self {
            file: path.map(make).transpose()?,
            counts: [0; 6],
        })
    }

    fn count(&self, outcome: Outcome) -> u64 {
        self.counts[outcome as usize]
    }

    fn add(&mut self, line: &Line) -> anyhow::Result<()> {
        self.counts[line.outcome as usize] += 1;
        self.write(&json!({
            "file": line.file, "outcome": line.outcome.name(), "notes": line.notes, "image": line.image,
        }))
    }

    fn write(&mut self, line: &Value) -> anyhow::Result<()> {
        match &mut self.file {
            Some(file) => writeln!(file, "{line}").context("cannot write the report"),
            None => Ok(()),
        }
    }

    /// Fails where something is not in that was to be.
    fn end(mut self, not_reached: usize) -> anyhow::Result<()> {
        let [added, present, skipped, refused, unreadable, unreachable] = self.counts;
        self.write(&json!({
            "added": added, "present": present, "skipped": skipped, "refused": refused, "unreadable": unreadable,
            "failed": unreachable, "not_reached": not_reached,
        }))?;
        if let Some(file) = &mut self.file {
            file.flush().context("cannot write the report")?;
        }
        println!("{added} added, {present} present already, {refused} refused, {unreadable} unreadable");
        if not_reached > 0 {
            println!("{not_reached} were not looked at; the same command goes on from there");
        }
        if self.count(Outcome::Unreachable) > 0 {
            bail!("the database or the place for images cannot be reached now");
        }
        match refused + unreadable + not_reached as u64 {
            0 => Ok(()),
            1 => bail!("one file could not be imported"),
            failed => Err(anyhow!("{failed} files could not be imported")),
        }
    }
}

struct Found {
    path: PathBuf,
    /// Below the folder that was named, so that a tree of files keeps its names apart.
    file_name: String,
}

/// The named files, and every file in the named folders that looks like an image.
fn find_files(paths: &[PathBuf]) -> Vec<Result<Found, Line>> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            let entries = WalkDir::new(path).follow_links(true).sort_by_file_name();
            found.extend(entries.into_iter().filter_map(|entry| look_at(path, entry)));
        } else {
            let name = path.file_name().unwrap_or(path.as_os_str());
            found.push(Ok(Found {
                path: path.clone(),
                file_name: name.to_string_lossy().into_owned(),
            }));
        }
    }
    found
}

const ENDINGS: [&str; 8] = ["jpg", "jpeg", "png", "webp", "tif", "tiff", "bmp", "gif"];

fn look_at(root: &Path, entry: walkdir::Result<walkdir::DirEntry>) -> Option<Result<Found, Line>> {
    let entry = match entry {
        Ok(entry) => entry,
        Err(fault) => {
            let path = fault.path().unwrap_or(root);
            let (outcome, note) = match (fault.loop_ancestor(), fault.io_error()) {
                (Some(above), _) => {
                    let note = format!("The link leads back to {}.", above.display());
                    (Outcome::Skipped, note)
                }
                (_, Some(fault)) => (Outcome::Unreadable, sentence(&fault.to_string())),
                _ => (Outcome::Unreadable, sentence(&fault.to_string())),
            };
            return Some(Err(Line::of(path, outcome, vec![note])));
        }
    };
    let ending = entry.path().extension()?.to_string_lossy().to_lowercase();
    if !entry.file_type().is_file() || !ENDINGS.contains(&ending.as_str()) {
        return None;
    }
    let below = entry.path().strip_prefix(root).unwrap_or(entry.path());
    let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
    Some(Ok(Found {
        file_name: parts.join("/"),
        path: entry.into_path(),
    }))
}
