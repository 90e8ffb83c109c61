//! Projects, their image lists and labels: from the server, or as it gave them last.

use lockstep_wire::{Answer, Api, ApiError, Label, ProjectId, Refusal};

use super::Client;
use crate::Error;
use crate::cache::{images, labels, projects};
use crate::desk::Desk;
use crate::follow::follow;
use crate::view::{ImageRow, ProjectView};

impl<A: Api> Client<A> {
    /// The person's projects, from the server or as it gave them last.
    pub async fn projects(&self) -> Result<Vec<ProjectView>, Error> {
        let desk = self.desk()?;
        self.refresh_projects(&desk).await?;
        desk.cache.read(|tx| projects::all(tx)).await
    }

    async fn refresh_projects(&self, desk: &Desk<A>) -> Result<(), Error> {
        if let Some(list) = fresh(desk, desk.station.api.projects()).await? {
            desk.cache
                .write(move |tx| projects::replace_all(tx, &list))
                .await?;
        }
        Ok(())
    }

    /// The project's images; from now on its news are followed.
    pub async fn open_project(&self, project: &ProjectId) -> Result<Vec<ImageRow>, Error> {
        let desk = self.desk()?;
        let of = project.clone();
        if desk.cache.read(move |tx| projects::get(tx, &of)).await?.is_none() {
            self.refresh_projects(&desk).await?;
        }
        let of = project.clone();
        if desk.cache.read(move |tx| projects::get(tx, &of)).await?.is_none() {
            return Err(if desk.station.link.is_offline() {
                Error::Offline
            } else {
                Error::NotFound("project")
            });
        }
        let of = project.clone();
        let (_, complete) = desk.cache.read(move |tx| projects::feed(tx, &of)).await?;
        if !complete {
            self.read_lists(&desk, project).await?;
        }
        follow(&desk, project);
        desk.rows(project).await
    }

    /// The first visit: the lists come at once, all that is on the images through the feed.
    async fn read_lists(&self, desk: &Desk<A>, project: &ProjectId) -> Result<(), Error> {
        if let Some(list) = fresh(desk, desk.station.api.labels(project)).await? {
            let of = project.clone();
            desk.cache
                .write(move |tx| labels::replace_all(tx, &of, &list))
                .await?;
        }
        let mut after = None;
        loop {
            let Some(page) = fresh(desk, desk.station.api.images(project, after.as_deref())).await? else {
                return Ok(());
            };
            let of = project.clone();
            after = desk
                .cache
                .write(move |tx| {
                    page.images
                        .iter()
                        .try_for_each(|image| images::put(tx, &of, image))?;
                    Ok(page.next)
                })
                .await?;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// The project's images as this machine knows them.
    pub async fn images(&self, project: &ProjectId) -> Result<Vec<ImageRow>, Error> {
        self.desk()?.rows(project).await
    }

    /// The project's labels as this machine knows them.
    pub async fn labels(&self, project: &ProjectId) -> Result<Vec<Label>, Error> {
        let of = project.clone();
        self.desk()?.cache.read(move |tx| labels::all(tx, &of)).await
    }
}

/// The server's answer, or nothing where it cannot be asked.
pub(super) async fn fresh<A: Api, T>(
    desk: &Desk<A>,
    call: impl Future<Output = Answer<T>>,
) -> Result<Option<T>, Error> {
    if desk.station.link.is_offline() {
        return Ok(None);
    }
    match desk.station.ask(call).await {
        Ok(value) => Ok(Some(value)),
        Err(ApiError::Network(_) | ApiError::Later { .. }) => Ok(None),
        // What is here is still the person's own.
        Err(ApiError::Refused(detail)) if detail.refusal == Refusal::Unauthorized => Ok(None),
        Err(error) => Err(error.into()),
    }
}
