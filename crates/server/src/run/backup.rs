//! Backups, there and back.

use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use lockstep_server::backup::{self, Brought, Made};

use super::{database, images};
use crate::cli::Place;

pub(super) async fn make(out: &Path, without_images: bool, place: &Place) -> anyhow::Result<()> {
    let database = database(place)?;
    let blobs = images(place, &database)?;
    let bar = bar()?;
    let images = (!without_images).then_some(&blobs);
    let Made { folder, images } = backup::make(&database, images, out, &|what, done, total| {
        show(&bar, what, done, total);
    })
    .await?;
    bar.finish_and_clear();
    println!("{}", folder.display());
    match images {
        Some((count, new)) => eprintln!("{count} images, {new} of them new in this folder"),
        None => eprintln!("without images"),
    }
    Ok(())
}

pub(super) async fn restore(from: &Path, replace: bool, place: &Place) -> anyhow::Result<()> {
    let database = database(place)?;
    let blobs = images(place, &database)?;
    let bar = bar()?;
    let Brought {
        restored,
        made_at,
        images,
    } = backup::restore(&database, &blobs, from, replace, &|what, done, total| {
        show(&bar, what, done, total);
    })
    .await?;
    bar.finish_and_clear();
    println!("restored the backup of {}", made_at.to_rfc3339());
    if let Some(aside) = restored.aside {
        println!("what was there before is now {aside}");
    }
    if images.is_none() {
        println!("the backup has no images: they are expected where --blobs says");
    }
    Ok(())
}

fn bar() -> anyhow::Result<ProgressBar> {
    Ok(ProgressBar::new(0).with_style(ProgressStyle::with_template("{msg:20} {bar:30} {pos}/{len}")?))
}

fn show(bar: &ProgressBar, what: &'static str, done: u64, total: u64) {
    bar.set_message(what);
    bar.set_length(total);
    bar.set_position(done);
}
