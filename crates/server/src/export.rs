//! A project as one file.
//!
//! `lockstep-json` (docs/OPERATING.md shows it) is a JSON object written page by page: each image with its annotations is of
//! one instant, and however large the project is, one image's annotations are all that is in memory.
//!
//! **Invariant:** the file is whole or not there, and no file is overwritten.

use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context as _, ensure};
use chrono::{SubsecRound as _, Utc};
use lockstep_wire::{AnnotationId, ApiError, ImageId, Project, ProjectId, Refusal, UserId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use crate::service::Service;

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Everything the server knows of a project but its locks, as JSON.
    LockstepJson,
}

/// Of the shape that is written; a field may be added without a new one.
const LOCKSTEP_JSON_VERSION: u32 = 1;

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Images.
    pub images: u64,
    /// Annotations on them.
    pub annotations: u64,
}

/// Writes a project to a new file. `history` adds every state that each annotation was in.
pub async fn export(
    service: &Service,
    project: &ProjectId,
    format: Format,
    history: bool,
    out: &Path,
    progress: &(dyn Fn(Totals) + Sync),
) -> anyhow::Result<Totals> {
    let taken = || format!("{} is there already", out.display());
    ensure!(!out.exists(), taken());
    let folder = match out.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let file = tempfile::NamedTempFile::new_in(folder)
        .with_context(|| format!("cannot write to {}", folder.display()))?;
    let mut writer = BufWriter::new(file);
    let totals = match format {
        Format::LockstepJson => lockstep_json(service, project, history, &mut writer, progress).await?,
    };
    let file = writer.into_inner()?;
    file.as_file().sync_all()?;
    file.persist_noclobber(out).with_context(taken)?;
    Ok(totals)
}

#[derive(Serialize)]
struct Person {
    id: UserId,
    name: String,
    role: lockstep_wire::Role,
}

#[derive(Deserialize)]
struct OfImage<'a> {
    #[serde(borrow)]
    annotations: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Identified {
    id: AnnotationId,
}

async fn lockstep_json(
    service: &Service,
    project: &ProjectId,
    history: bool,
    out: &mut (impl Write + Send),
    progress: &(dyn Fn(Totals) + Sync),
) -> anyhow::Result<Totals> {
    let owner = service.owner_of(project).await?.id;
    let Project {
        id,
        name,
        annotators_edit_all,
        ..
    } = service
        .projects(owner)
        .await?
        .into_iter()
        .find(|one| one.id == *project)
        .context("the project has no owner any more")?;
    let members = service.members(owner, project).await?.into_iter();
    let people: Vec<_> = members
        .map(|member| Person {
            id: member.user.id,
            name: member.user.name,
            role: member.role,
        })
        .collect();
    let meta = service.meta().await?;
    let head = json!({
        "format": "lockstep-json",
        "format_version": LOCKSTEP_JSON_VERSION,
        "exported_at": Utc::now().trunc_subsecs(3),
        "server": {"version": meta.version, "data_epoch": meta.data_epoch},
        "project": {"id": id, "name": name, "annotators_edit_all": annotators_edit_all},
        "people": people,
        "labels": service.labels(owner, project).await?,
    });
    let head = head.to_string();
    let open = head.strip_suffix('}').context("an object ends in a brace")?;
    write!(out, "{open},\n\"images\":[")?;

    let mut totals = Totals::default();
    let mut after: Option<String> = None;
    loop {
        let page = service.images(owner, project, after.as_deref(), None).await?;
        for image in page.images {
            let Some(annotations) = annotations_of(service, owner, project, &image.id, history).await? else {
                continue;
            };
            out.write_all(if totals.images == 0 { b"\n" } else { b",\n" })?;
            let image = serde_json::to_string(&image)?;
            let open = image.strip_suffix('}').context("an object ends in a brace")?;
            write!(out, "{open},\"annotations\":[")?;
            for (index, annotation) in annotations.iter().enumerate() {
                out.write_all(if index == 0 { b"\n" } else { b",\n" })?;
                out.write_all(annotation.as_bytes())?;
            }
            out.write_all(b"]}")?;
            totals.images += 1;
            totals.annotations += annotations.len() as u64;
            progress(totals);
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    out.write_all(b"]}\n")?;
    out.flush()?;
    Ok(totals)
}

/// As JSON; `None` when the image was deleted since its page was read.
async fn annotations_of(
    service: &Service,
    owner: UserId,
    project: &ProjectId,
    image: &ImageId,
    history: bool,
) -> anyhow::Result<Option<Vec<String>>> {
    let rendered = match service.annotations(owner, project.clone(), image.clone()).await {
        Ok(rendered) => rendered,
        Err(ApiError::Refused(refusal)) if refusal.refusal == Refusal::Gone => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let OfImage { annotations } = serde_json::from_slice(&rendered.json)?;
    let mut whole = Vec::with_capacity(annotations.len());
    for annotation in annotations {
        let text = annotation.get();
        if !history {
            whole.push(text.to_owned());
            continue;
        }
        let Identified { id } = serde_json::from_str(text)?;
        let states = service.history(owner, &id).await?.versions;
        let open = text.strip_suffix('}').context("an object ends in a brace")?;
        whole.push(format!(
            "{open},\"history\":{}}}",
            serde_json::to_string(&states)?
        ));
    }
    Ok(Some(whole))
}
