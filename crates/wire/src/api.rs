//! The protocol as one trait: implemented by the HTTP client, and by the server's service for whoever runs
//! both in one process.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;

use crate::{
    AcquireAnswer, AcquireRequest, AnnotationId, ChangePage, CreateAnnotation, Cursor, Heartbeat,
    HeartbeatRequest, ImageAnnotations, ImageId, ImagePage, Label, Lock, LockList, LoginRequest, Meta,
    Project, ProjectId, RefusalDetail, Release, ReleaseRequest, Removed, SaveContext, Saved, ServerEvent,
    UpdateAnnotation, User, Version,
};

/// Why there is no answer of the kind one asked for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ApiError {
    /// The server said no, in the contract's words.
    #[error(transparent)]
    Refused(#[from] RefusalDetail),
    /// The server asks to come again later (429, 503).
    #[error("the server is busy")]
    Later {
        /// Not before this.
        retry_after: Duration,
    },
    /// No answer, or one that is not this contract's (a captive portal's page). Whether the request took
    /// effect is not known.
    #[error("no answer from the server: {0}")]
    Network(String),
}

/// An answer, or why there is none.
pub type Answer<T> = Result<T, ApiError>;

/// What a signed-in client asks of a server. Each call is one request; none repeats itself.
pub trait Api: Send + Sync + 'static {
    /// Who the server is and how long its leases are.
    fn meta(&self) -> impl Future<Output = Answer<Meta>> + Send;
    /// Signs in; the tokens stay inside.
    fn login(&self, request: LoginRequest) -> impl Future<Output = Answer<User>> + Send;
    /// Forgets the tokens, here and there.
    fn logout(&self) -> impl Future<Output = Answer<()>> + Send;
    /// Whose tokens these are.
    fn me(&self) -> impl Future<Output = Answer<User>> + Send;

    /// The caller's projects.
    fn projects(&self) -> impl Future<Output = Answer<Vec<Project>>> + Send;
    /// A project's labels.
    fn labels(&self, project: &ProjectId) -> impl Future<Output = Answer<Vec<Label>>> + Send;
    /// A page of a project's images.
    fn images(
        &self,
        project: &ProjectId,
        after: Option<&str>,
    ) -> impl Future<Output = Answer<ImagePage>> + Send;
    /// An image's bytes as they were imported.
    fn content(&self, project: &ProjectId, image: &ImageId) -> impl Future<Output = Answer<Bytes>> + Send;
    /// A small upright picture of it.
    fn thumbnail(&self, project: &ProjectId, image: &ImageId) -> impl Future<Output = Answer<Bytes>> + Send;
    /// What has been said about an image.
    fn annotations(
        &self,
        project: &ProjectId,
        image: &ImageId,
    ) -> impl Future<Output = Answer<ImageAnnotations>> + Send;

    /// Asks for the right to edit an image.
    fn acquire(&self, request: AcquireRequest) -> impl Future<Output = Answer<AcquireAnswer>> + Send;
    /// Renews it.
    fn heartbeat(
        &self,
        project: &ProjectId,
        image: &ImageId,
        request: HeartbeatRequest,
    ) -> impl Future<Output = Answer<Heartbeat>> + Send;
    /// Gives it back.
    fn release(
        &self,
        project: &ProjectId,
        image: &ImageId,
        request: ReleaseRequest,
    ) -> impl Future<Output = Answer<Release>> + Send;
    /// Ends someone else's.
    fn force_release(
        &self,
        project: &ProjectId,
        image: &ImageId,
    ) -> impl Future<Output = Answer<Release>> + Send;
    /// Who holds what.
    fn locks(&self, project: &ProjectId) -> impl Future<Output = Answer<LockList>> + Send;
    /// Who holds this one.
    fn lock_status(
        &self,
        project: &ProjectId,
        image: &ImageId,
    ) -> impl Future<Output = Answer<Option<Lock>>> + Send;

    /// Stores a new annotation.
    fn create(
        &self,
        request: CreateAnnotation,
        context: SaveContext,
    ) -> impl Future<Output = Answer<Saved>> + Send;
    /// Saves upon the version it names.
    fn update(
        &self,
        id: &AnnotationId,
        request: UpdateAnnotation,
        context: SaveContext,
    ) -> impl Future<Output = Answer<Saved>> + Send;
    /// Deletes the version it names.
    fn delete(
        &self,
        id: &AnnotationId,
        version: Version,
        context: SaveContext,
    ) -> impl Future<Output = Answer<Removed>> + Send;

    /// What happened since.
    fn changes(
        &self,
        project: &ProjectId,
        since: Cursor,
        limit: u32,
    ) -> impl Future<Output = Answer<ChangePage>> + Send;
    /// Hints as things happen, until the connection ends.
    fn events(
        &self,
        project: &ProjectId,
    ) -> impl Future<Output = Answer<BoxStream<'static, ServerEvent>>> + Send;
}
