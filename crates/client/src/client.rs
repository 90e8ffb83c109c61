//! The facade: every command a shell may give, each a call that comes back with what the window shows.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lockstep_wire::{AnnotationId, Api, ImageId, Label, ProjectId};
use tokio::sync::mpsc;
use url::Url;

use crate::ports::{Clock, Keychain};
use crate::view::{
    AccountView, ConflictView, Delta, Edit, Event, ImageRow, KeptVersion, OpenOutcome, OpenedImage,
    ProjectView, Resolution, SaveView,
};
use crate::{Error, HttpApi};

/// Where a client keeps its things and whom it talks to.
#[derive(Debug, Clone)]
pub struct Config {
    /// Databases and pictures.
    pub data_dir: PathBuf,
    /// Base address of the server.
    pub server: Url,
    /// This machine, for people: what others read beside the holder's name.
    pub device: String,
}

/// The machine.
#[derive(Clone)]
pub struct Ports {
    /// Where the refresh token lives between runs.
    pub keychain: Arc<dyn Keychain>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// A handle on the core of a Lockstep client; clones are the same client.
pub struct Client<A: Api = HttpApi> {
    core: Arc<A>,
}

impl<A: Api> Clone for Client<A> {
    fn clone(&self) -> Self {
        Self {
            core: Arc::clone(&self.core),
        }
    }
}

impl Client<HttpApi> {
    /// Starts over HTTP: opens the cache, replays, gives back locks an earlier run left. Does not wait for
    /// the network.
    pub async fn start(
        config: Config,
        ports: Ports,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Event>), Error> {
        let _ = (config, ports);
        todo!()
    }
}

impl<A: Api> Client<A> {
    /// As [`Client::start`], over any implementation of the wire.
    pub async fn start_with(
        config: Config,
        ports: Ports,
        api: A,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Event>), Error> {
        let _ = (config, ports, api);
        todo!()
    }

    /// Who is signed in.
    pub async fn account(&self) -> AccountView {
        todo!()
    }

    /// Signs in; unsent work of an earlier sign-in of the same person goes on.
    pub async fn sign_in(&self, email: &str, password: &str) -> Result<AccountView, Error> {
        let _ = (email, password);
        todo!()
    }

    /// Signs out; unsent work stays on this machine.
    pub async fn sign_out(&self) -> Result<AccountView, Error> {
        todo!()
    }

    /// The person's projects, from the server or as it gave them last.
    pub async fn projects(&self) -> Result<Vec<ProjectView>, Error> {
        todo!()
    }

    /// The project's images; from now on its news are followed.
    pub async fn open_project(&self, project: &ProjectId) -> Result<Vec<ImageRow>, Error> {
        let _ = project;
        todo!()
    }

    /// The project's images as this machine knows them.
    pub async fn images(&self, project: &ProjectId) -> Result<Vec<ImageRow>, Error> {
        let _ = project;
        todo!()
    }

    /// The project's labels as this machine knows them.
    pub async fn labels(&self, project: &ProjectId) -> Result<Vec<Label>, Error> {
        let _ = project;
        todo!()
    }

    /// Opens an image for editing: the lock first. Closes the one open before it.
    pub async fn open_image(
        &self,
        project: &ProjectId,
        image: &ImageId,
        take_over: bool,
    ) -> Result<OpenOutcome, Error> {
        let _ = (project, image, take_over);
        todo!()
    }

    /// Opens an image to look at. Closes the one open before it.
    pub async fn open_read_only(&self, project: &ProjectId, image: &ImageId) -> Result<OpenedImage, Error> {
        let _ = (project, image);
        todo!()
    }

    /// Closes the open image; its lock is given back when this returns, or will be.
    pub async fn close_image(&self) -> Result<(), Error> {
        todo!()
    }

    /// Makes one step of editing; durable when this returns.
    pub async fn edit(&self, edit: Edit) -> Result<Delta, Error> {
        let _ = edit;
        todo!()
    }

    /// Takes the last step back; durable when this returns.
    pub async fn undo(&self) -> Result<Delta, Error> {
        todo!()
    }

    /// Does the last step taken back again; durable when this returns.
    pub async fn redo(&self) -> Result<Delta, Error> {
        todo!()
    }

    /// Asks for the lock of the open image after it was lost, or after looking only.
    pub async fn take_back(&self) -> Result<OpenOutcome, Error> {
        todo!()
    }

    /// Ends someone else's lock.
    pub async fn force_release(&self, project: &ProjectId, image: &ImageId) -> Result<(), Error> {
        let _ = (project, image);
        todo!()
    }

    /// Tells once when the image is free; survives a restart.
    pub async fn watch(&self, project: &ProjectId, image: &ImageId) -> Result<(), Error> {
        let _ = (project, image);
        todo!()
    }

    /// Does not tell after all.
    pub async fn unwatch(&self, project: &ProjectId, image: &ImageId) -> Result<(), Error> {
        let _ = (project, image);
        todo!()
    }

    /// Conflicts waiting for a decision.
    pub async fn conflicts(&self) -> Result<Vec<ConflictView>, Error> {
        todo!()
    }

    /// Decides one; what changed on the open image, where it is on that.
    pub async fn resolve(
        &self,
        annotation: &AnnotationId,
        resolution: Resolution,
    ) -> Result<Option<Delta>, Error> {
        let _ = (annotation, resolution);
        todo!()
    }

    /// Versions that lost a conflict on this image.
    pub async fn kept(&self, project: &ProjectId, image: &ImageId) -> Result<Vec<KeptVersion>, Error> {
        let _ = (project, image);
        todo!()
    }

    /// Brings one back as a step of editing on the open image.
    pub async fn restore(&self, kept: i64) -> Result<Delta, Error> {
        let _ = kept;
        todo!()
    }

    /// The image's bytes and media type, from this machine or the server.
    pub async fn picture(&self, project: &ProjectId, image: &ImageId) -> Result<(String, Bytes), Error> {
        let _ = (project, image);
        todo!()
    }

    /// A small picture of it and its media type.
    pub async fn thumbnail(&self, project: &ProjectId, image: &ImageId) -> Result<(String, Bytes), Error> {
        let _ = (project, image);
        todo!()
    }

    /// Looks at outbox and feed now.
    pub async fn sync_now(&self) -> Result<(), Error> {
        todo!()
    }

    /// Where the changes stand.
    pub fn save(&self) -> SaveView {
        todo!()
    }

    /// Gives the lock back and closes the cache; never takes longer than `deadline`.
    pub async fn shutdown(&self, deadline: Duration) {
        let _ = deadline;
        todo!()
    }
}
