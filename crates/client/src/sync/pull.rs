//! The change feed comes down: each page's rows and the cursor behind them in one transaction.

use lockstep_wire::{AnnotationId, Answer, Api, ApiError, Change, ProjectId, UserId};

use crate::cache::{Db, annotations, images, labels, projects};
use crate::desk::Desk;
use crate::{Error, Place};

/// Rows a request; a cut connection repeats at most this much.
const PAGE: u32 = 500;

/// What a page changed for the window.
#[derive(Default)]
struct News {
    annotations: Vec<(Place, AnnotationId)>,
    images: Vec<Place>,
    list: bool,
    labels: bool,
}

/// Reads the feed to its end.
pub(super) async fn pull_project<A: Api>(desk: &Desk<A>, project: &ProjectId) -> Answer<()> {
    loop {
        let of = project.clone();
        let (since, was_complete) = desk
            .cache
            .read(move |tx| projects::feed(tx, &of))
            .await
            .map_err(|error| local(&error))?;
        let page = desk
            .station
            .ask(desk.station.api.changes(project, since, PAGE))
            .await?;
        let (of, me, has_more) = (project.clone(), desk.user.id, page.has_more);
        let news = desk
            .cache
            .write(move |tx| {
                let mut news = News::default();
                for change in &page.changes {
                    apply_change(tx, &of, me, change, &mut news)?;
                }
                projects::advance_feed(tx, &of, page.next, !page.has_more)?;
                Ok(news)
            })
            .await
            .map_err(|error| local(&error))?;
        tell(desk, project, news, was_complete, has_more).await;
        if !has_more {
            return Ok(());
        }
    }
}

/// A cache that fails now is asked again later, as a network is.
fn local(error: &Error) -> ApiError {
    tracing::error!(%error, "the feed could not be stored");
    ApiError::Network("the local database failed".to_owned())
}

fn apply_change(
    db: &Db,
    project: &ProjectId,
    me: UserId,
    change: &Change,
    news: &mut News,
) -> Result<(), Error> {
    match change {
        Change::Annotation { annotation, .. } => {
            let place = Place::new(project, &annotation.image_id);
            if annotations::take_server(db, annotation)? {
                news.annotations.push((place.clone(), annotation.id.clone()));
            }
            news.images.push(place);
        }
        Change::AnnotationDeleted {
            id,
            image_id,
            version,
            ..
        } => {
            let place = Place::new(project, image_id);
            if annotations::take_tombstone(db, &place, id, *version)? {
                news.annotations.push((place.clone(), id.clone()));
            }
            news.images.push(place);
        }
        Change::Image { image, .. } => {
            let place = Place::new(project, &image.id);
            news.list |= images::get(db, &place)?.is_none();
            images::put(db, project, image)?;
            news.images.push(place);
        }
        Change::ImageDeleted { id, .. } => {
            images::remove(db, &Place::new(project, id))?;
            news.list = true;
        }
        Change::Label { label, .. } => {
            labels::put(db, project, label)?;
            news.labels = true;
        }
        Change::LabelDeleted { id, .. } => {
            labels::remove(db, project, id)?;
            news.labels = true;
        }
        Change::Member {
            user_id,
            role: Some(role),
            ..
        } if *user_id == me => {
            projects::set_role(db, project, *role)?;
        }
        // Someone else's, or the end of one's own membership: nothing here is purged for that (S7).
        Change::Member { .. } => {}
    }
    Ok(())
}

async fn tell<A: Api>(desk: &Desk<A>, project: &ProjectId, news: News, was_complete: bool, has_more: bool) {
    let News {
        annotations,
        images,
        list,
        labels,
    } = news;
    for (place, id) in annotations {
        desk.announce_annotations(&place, vec![id]).await;
    }
    let is_first_end = !was_complete && !has_more;
    if is_first_end || (was_complete && labels) {
        desk.announce_labels(project).await;
    }
    if !was_complete {
        // The first reading brings everything; the list is read again once, at its end.
        if is_first_end {
            desk.announce_list(project);
        }
    } else if list {
        desk.announce_list(project);
    } else {
        let mut told: Vec<Place> = Vec::new();
        for place in images {
            if !told.contains(&place) {
                desk.announce_image(&place).await;
                told.push(place);
            }
        }
    }
}
