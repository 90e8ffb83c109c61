//! The open image: opening, looking, closing, and pictures.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lockstep_wire::{Answer, Api, Image, ImageId, ProjectId};

use super::projects::fresh;
use super::{CLOSE_DEADLINE, Client};
use crate::board::holder_of;
use crate::cache::annotations::Rights;
use crate::cache::images;
use crate::cache::pictures::{self, Kind};
use crate::desk::{Desk, rights};
use crate::follow::follow;
use crate::session::Opening;
use crate::sync::push_image;
use crate::view::{OpenOutcome, OpenedImage, SaveState};
use crate::{Error, Place};

/// Of a closing, what may go to sending the image's last edits under its lock; the rest is for giving it back.
const FLUSH_DEADLINE: Duration = Duration::from_millis(700);
const _: () = assert!(
    FLUSH_DEADLINE.as_millis() * 2 <= CLOSE_DEADLINE.as_millis(),
    "the lock must have its turn"
);

impl<A: Api> Client<A> {
    /// Opens an image for editing: the lock first. Closes the one open before it.
    pub async fn open_image(
        &self,
        project: &ProjectId,
        image: &ImageId,
        take_over: bool,
    ) -> Result<OpenOutcome, Error> {
        let desk = self.desk()?;
        let place = Place::new(project, image);
        if !self.known(&desk, &place).await?.annotates {
            let image = Box::new(self.open_read_only(project, image).await?);
            return Ok(OpenOutcome::Opened { image });
        }
        leave(&desk, Some(&place)).await;
        let opening = desk.session.open(place.clone(), take_over).await?;
        self.opened(&desk, &place, opening).await
    }

    pub(super) async fn opened(
        &self,
        desk: &Desk<A>,
        place: &Place,
        opening: Opening,
    ) -> Result<OpenOutcome, Error> {
        match opening {
            Opening::Open => Ok(OpenOutcome::Opened {
                image: Box::new(desk.opened_image(place).await?),
            }),
            Opening::Locked(holder) => Ok(OpenOutcome::Locked { holder }),
            Opening::Unreachable => Err(Error::Offline),
        }
    }

    /// An image this machine knows of, from now on followed; what may be done in its project.
    async fn known(&self, desk: &Arc<Desk<A>>, place: &Place) -> Result<Rights, Error> {
        if stored_image(desk, place).await?.is_none() {
            self.open_project(&place.project).await?;
        }
        if stored_image(desk, place).await?.is_none() {
            return Err(Error::NotFound("image"));
        }
        follow(desk, &place.project);
        let (project, me) = (place.project.clone(), desk.user.id);
        desk.cache.read(move |tx| rights(tx, &project, me)).await
    }

    /// Opens an image to look at. Closes the one open before it.
    pub async fn open_read_only(&self, project: &ProjectId, image: &ImageId) -> Result<OpenedImage, Error> {
        let desk = self.desk()?;
        let place = Place::new(project, image);
        self.known(&desk, &place).await?;
        leave(&desk, None).await;
        if let Some(list) = fresh(&desk, desk.station.api.annotations(project, image)).await? {
            desk.take_annotations(&place, list.annotations, list.image_revision)
                .await?;
        }
        let lock = desk
            .board
            .lock(&place)
            .filter(|lock| lock.client_id.as_ref() != Some(&desk.station.client_id));
        let holder = lock.map(|lock| holder_of(&lock, desk.user.id));
        desk.session.look(place.clone(), holder).await?;
        // The holder may not be known yet, or may have changed since.
        desk.follows.poke(project);
        desk.opened_image(&place).await
    }

    /// Closes the open image; its lock is given back when this returns, or will be.
    pub async fn close_image(&self) -> Result<(), Error> {
        let desk = self.desk()?;
        if tokio::time::timeout(CLOSE_DEADLINE, leave(&desk, None))
            .await
            .is_err()
        {
            tracing::info!("a lock could not be given back in time; it will be");
        }
        Ok(())
    }

    /// The image's bytes and media type, from this machine or the server.
    pub async fn picture(&self, project: &ProjectId, image: &ImageId) -> Result<(String, Bytes), Error> {
        let desk = self.desk()?;
        let place = Place::new(project, image);
        let stored = stored_image(&desk, &place)
            .await?
            .ok_or(Error::NotFound("image"))?;
        let call = desk.station.api.content(project, image);
        let bytes = self
            .load(&desk, Kind::Picture, &stored.content_hash, call)
            .await?;
        Ok((stored.media_type, bytes))
    }

    /// A small picture of it and its media type.
    pub async fn thumbnail(&self, project: &ProjectId, image: &ImageId) -> Result<(String, Bytes), Error> {
        let desk = self.desk()?;
        let place = Place::new(project, image);
        let stored = stored_image(&desk, &place)
            .await?
            .ok_or(Error::NotFound("image"))?;
        let call = desk.station.api.thumbnail(project, image);
        let bytes = self
            .load(&desk, Kind::Thumbnail, &stored.content_hash, call)
            .await?;
        Ok((pictures::sniff(&bytes).to_owned(), bytes))
    }

    async fn load(
        &self,
        desk: &Desk<A>,
        kind: Kind,
        content_hash: &str,
        call: impl Future<Output = Answer<Bytes>>,
    ) -> Result<Bytes, Error> {
        let pictures = &self.core.pictures;
        if let Some(bytes) = pictures.read(kind, content_hash).await? {
            return Ok(bytes);
        }
        let bytes = fresh(desk, call).await?.ok_or(Error::PictureNotHere)?;
        let is_right = match kind {
            Kind::Picture => pictures::matches_hash(&bytes, content_hash),
            Kind::Thumbnail => pictures::sniff(&bytes).starts_with("image/"),
        };
        if !is_right {
            return Err(Error::PictureNotHere);
        }
        if let Err(error) = pictures.write(kind, content_hash, bytes.clone()).await {
            // It can be shown all the same; the next time it is fetched again.
            tracing::warn!(%error, "a picture could not be kept");
        }
        Ok(bytes)
    }
}

async fn stored_image<A: Api>(desk: &Desk<A>, place: &Place) -> Result<Option<Image>, Error> {
    let at = place.clone();
    desk.cache.read(move |tx| images::get(tx, &at)).await
}

/// Leaves the open image for `next`: its last edits go under its lock, then the lock goes.
pub(super) async fn leave<A: Api>(desk: &Desk<A>, next: Option<&Place>) {
    let Some((open, _)) = desk.session.open_place() else {
        if next.is_none() {
            desk.session.close().await;
            desk.lane.fence().await;
        }
        return;
    };
    if next == Some(&open) {
        return;
    }
    let has_work = !matches!(desk.save().state, SaveState::Synced);
    if has_work && desk.lane.is_windows(&open) && !desk.station.link.is_offline() {
        // What does not go now goes later, under a lock of its own.
        let sent = tokio::time::timeout(FLUSH_DEADLINE, push_image(desk, &open)).await;
        if sent.is_err() {
            desk.announce_save().await;
        }
    }
    if next.is_none() {
        desk.session.close().await;
        desk.lane.fence().await;
    }
}
