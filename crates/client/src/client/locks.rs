//! Locks a person asks for, ends or waits for.

use lockstep_wire::{Api, ImageId, ProjectId};

use super::Client;
use crate::cache::watches;
use crate::follow::follow;
use crate::view::OpenOutcome;
use crate::{Error, Place};

impl<A: Api> Client<A> {
    /// Asks for the lock of the open image after it was lost, or after looking only.
    pub async fn take_back(&self) -> Result<OpenOutcome, Error> {
        let desk = self.desk()?;
        let Some((place, _)) = desk.session.open_place() else {
            return Err(Error::NotEditing);
        };
        let opening = desk.session.take_back().await?;
        self.opened(&desk, &place, opening).await
    }

    /// Ends someone else's lock.
    pub async fn force_release(&self, project: &ProjectId, image: &ImageId) -> Result<(), Error> {
        let desk = self.desk()?;
        desk.station
            .ask(desk.station.api.force_release(project, image))
            .await?;
        desk.follows.poke(project);
        Ok(())
    }

    /// Tells once when the image is free; survives a restart.
    pub async fn watch(&self, project: &ProjectId, image: &ImageId) -> Result<(), Error> {
        let desk = self.desk()?;
        let place = Place::new(project, image);
        if desk.lane.is_windows(&place) {
            return Ok(());
        }
        let at = place.clone();
        desk.cache.write(move |tx| watches::put(tx, &at)).await?;
        follow(&desk, project);
        // It may have become free while someone was asked.
        desk.follows.poke(project);
        desk.announce_image(&place).await;
        Ok(())
    }

    /// Does not tell after all.
    pub async fn unwatch(&self, project: &ProjectId, image: &ImageId) -> Result<(), Error> {
        let desk = self.desk()?;
        let place = Place::new(project, image);
        let at = place.clone();
        desk.cache.write(move |tx| watches::remove(tx, &at)).await?;
        desk.announce_image(&place).await;
        Ok(())
    }
}
