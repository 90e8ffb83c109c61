//! Conflicts: what waits for a decision, deciding, and what lost.

use lockstep_wire::{AnnotationId, Api, ImageId, ProjectId};

use super::Client;
use crate::cache::{conflicts, journal, kept};
use crate::view::{ConflictView, Delta, KeptVersion, Resolution};
use crate::{Error, Place};

impl<A: Api> Client<A> {
    /// Conflicts waiting for a decision.
    pub async fn conflicts(&self) -> Result<Vec<ConflictView>, Error> {
        self.desk()?.cache.read(|tx| conflicts::views(tx)).await
    }

    /// Decides one; what changed on the open image, where it is on that.
    pub async fn resolve(
        &self,
        annotation: &AnnotationId,
        resolution: Resolution,
    ) -> Result<Option<Delta>, Error> {
        let desk = self.desk()?;
        let (id, now) = (annotation.clone(), desk.station.clock.wall());
        let place = desk
            .cache
            .write(move |tx| journal::resolve(tx, &id, resolution, now))
            .await?;
        desk.announce_save().await;
        desk.announce_image(&place).await;
        desk.sync.wake();
        match desk.session.open_place() {
            Some((open, _)) if open == place => Ok(Some(desk.delta(&place, vec![annotation.clone()]).await?)),
            _ => Ok(None),
        }
    }

    /// Versions that lost a conflict on this image.
    pub async fn kept(&self, project: &ProjectId, image: &ImageId) -> Result<Vec<KeptVersion>, Error> {
        let place = Place::new(project, image);
        self.desk()?
            .cache
            .read(move |tx| kept::of_image(tx, &place))
            .await
    }
}
