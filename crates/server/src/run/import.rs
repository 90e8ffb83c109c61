//! Image files and folders of them, into a project.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use indicatif::{ProgressBar, ProgressStyle};
use lockstep_server::service::Upload;
use lockstep_server::store::Added;
use lockstep_wire::{ApiError, ProjectId};

use super::open;
use crate::cli::Place;

pub(super) async fn import(project: &ProjectId, paths: &[PathBuf], place: &Place) -> anyhow::Result<()> {
    let service = open(place).await?;
    let owner = service.owner_of(project).await?;
    let files = find_files(paths)?;
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {wide_msg}")?;
    let bar = ProgressBar::new(files.len() as u64).with_style(style);
    let (mut added, mut there, mut failed) = (0, 0, 0);
    for Found { path, file_name } in files {
        bar.set_message(file_name.clone());
        let outcome = match tokio::fs::read(&path).await {
            Ok(content) => {
                let upload = Upload {
                    id: None,
                    file_name,
                    content: Bytes::from(content),
                };
                service
                    .add_image(owner.id, project, upload)
                    .await
                    .map_err(|error| sentence(&error))
            }
            Err(error) => Err(error.to_string()),
        };
        let line = match outcome {
            Ok(Added::New(image)) => {
                added += 1;
                format!("added    {} ({} × {})", path.display(), image.width, image.height)
            }
            Ok(Added::Taken) => {
                there += 1;
                format!("present  {}", path.display())
            }
            Err(fault) => {
                failed += 1;
                format!("refused  {}: {fault}", path.display())
            }
        };
        bar.suspend(|| println!("{line}"));
        bar.inc(1);
    }
    bar.finish_and_clear();
    println!("{added} added, {there} present already, {failed} refused");
    match failed {
        0 => Ok(()),
        1 => bail!("one file could not be imported"),
        _ => bail!("{failed} files could not be imported"),
    }
}

/// Of an error for a person: the contract's sentence.
fn sentence(error: &ApiError) -> String {
    error.to_string()
}

struct Found {
    path: PathBuf,
    /// Below the folder that was named, so that a tree of files keeps its names apart.
    file_name: String,
}

/// The named files, and every file in the named folders that looks like an image.
fn find_files(paths: &[PathBuf]) -> anyhow::Result<Vec<Found>> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            walk(path, path, &mut found)?;
        } else {
            let name = path
                .file_name()
                .with_context(|| format!("{} is no file", path.display()))?;
            found.push(Found {
                path: path.clone(),
                file_name: name.to_string_lossy().into_owned(),
            });
        }
    }
    Ok(found)
}

const ENDINGS: [&str; 8] = ["jpg", "jpeg", "png", "webp", "tif", "tiff", "bmp", "gif"];

fn walk(root: &Path, folder: &Path, found: &mut Vec<Found>) -> anyhow::Result<()> {
    let read = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = read
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    paths.sort();
    for path in paths {
        let ending = path
            .extension()
            .map(|ending| ending.to_string_lossy().to_lowercase());
        if path.is_dir() {
            walk(root, &path, found)?;
        } else if ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())) {
            let below = path.strip_prefix(root)?;
            let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
            found.push(Found {
                file_name: parts.join("/"),
                path,
            });
        }
    }
    Ok(())
}
