//! A project, to a file.

use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use lockstep_server::export::{Format, Totals, export};
use lockstep_wire::ProjectId;

use super::open;
use crate::cli::Place;

pub(super) async fn run(
    project: &ProjectId,
    format: Format,
    history: bool,
    out: &Path,
    place: &Place,
) -> anyhow::Result<()> {
    let service = open(place).await?;
    let spinner =
        ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{spinner} {pos} images")?);
    let progress = |totals: Totals| spinner.set_position(totals.images);
    let Totals { images, annotations } = export(&service, project, format, history, out, &progress).await?;
    spinner.finish_and_clear();
    println!("{images} images, {annotations} annotations");
    Ok(())
}
