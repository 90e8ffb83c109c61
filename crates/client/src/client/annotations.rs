//! Editing the open image: each call is one step in the journal.

use lockstep_wire::Api;

use super::Client;
use crate::cache::Db;
use crate::cache::annotations::Rights;
use crate::cache::journal::{self, Touched};
use crate::desk::rights;
use crate::view::{Delta, Edit};
use crate::{Error, Place};

impl<A: Api> Client<A> {
    /// Makes one step of editing; durable when this returns.
    pub async fn edit(&self, edit: Edit) -> Result<Delta, Error> {
        self.journal(move |db, place, rights| journal::edit(db, place, rights, edit))
            .await
    }

    /// Takes the last step back; durable when this returns.
    pub async fn undo(&self) -> Result<Delta, Error> {
        self.journal(journal::undo).await
    }

    /// Does the last step taken back again; durable when this returns.
    pub async fn redo(&self) -> Result<Delta, Error> {
        self.journal(journal::redo).await
    }

    /// Brings a version that lost a conflict back as a step of editing on the open image.
    pub async fn restore(&self, kept: i64) -> Result<Delta, Error> {
        self.journal(move |db, place, rights| journal::restore(db, place, rights, kept))
            .await
    }

    async fn journal(
        &self,
        step: impl FnOnce(&Db, &Place, Rights) -> Result<Touched, Error> + Send + 'static,
    ) -> Result<Delta, Error> {
        let (desk, place) = self.editing()?;
        let (at, me) = (place.clone(), desk.user.id);
        let touched = desk
            .cache
            .write(move |tx| {
                let rights = rights(tx, &at.project, me)?;
                step(tx, &at, rights)
            })
            .await?;
        desk.announce_save().await;
        desk.announce_image(&place).await;
        let delta = desk.delta(&place, touched).await;
        // Only now, so that the window does not hear of the save before it hears of the edit.
        desk.sync.wake();
        delta
    }
}
