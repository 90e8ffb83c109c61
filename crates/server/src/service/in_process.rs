//! The protocol without a network: a client in the server's own process.

use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use lockstep_wire::{
    AcquireAnswer, AcquireRequest, AnnotationId, Answer, Api, ChangePage, CreateAnnotation, Cursor,
    Heartbeat, HeartbeatRequest, ImageAnnotations, ImageId, ImagePage, Label, Lock, LockList, LoginRequest,
    Meta, Project, ProjectId, Refusal, Release, ReleaseRequest, Removed, SaveContext, Saved, ServerEvent,
    UpdateAnnotation, User, UserId, Version,
};

use super::Service;

/// One client of a service; like an HTTP client, it first signs in.
pub struct InProcess {
    service: Arc<Service>,
    user: Mutex<Option<UserId>>,
}

impl Service {
    /// A client that has not signed in.
    pub fn caller(self: &Arc<Self>) -> InProcess {
        InProcess {
            service: Arc::clone(self),
            user: Mutex::new(None),
        }
    }
}

impl InProcess {
    fn user(&self) -> Answer<UserId> {
        let user = *self.user.lock().expect("nothing panics while it holds this");
        Ok(user.ok_or_else(|| Refusal::Unauthorized.because("Please sign in."))?)
    }

    fn set_user(&self, user: Option<UserId>) {
        *self.user.lock().expect("nothing panics while it holds this") = user;
    }
}

impl Api for InProcess {
    async fn meta(&self) -> Answer<Meta> {
        self.service.meta().await
    }

    async fn login(&self, request: LoginRequest) -> Answer<User> {
        let user = self.service.check_password(request).await?;
        self.set_user(Some(user.id));
        Ok(user)
    }

    async fn logout(&self) -> Answer<()> {
        self.set_user(None);
        Ok(())
    }

    async fn me(&self) -> Answer<User> {
        self.service.me(self.user()?).await
    }

    async fn projects(&self) -> Answer<Vec<Project>> {
        self.service.projects(self.user()?).await
    }

    async fn labels(&self, project: &ProjectId) -> Answer<Vec<Label>> {
        self.service.labels(self.user()?, project).await
    }

    async fn images(&self, project: &ProjectId, after: Option<&str>) -> Answer<ImagePage> {
        self.service.images(self.user()?, project, after, None).await
    }

    async fn content(&self, project: &ProjectId, image: &ImageId) -> Answer<Bytes> {
        let image = self
            .service
            .image(self.user()?, project.clone(), image.clone())
            .await?;
        let mut content = self.service.content(&image, None).await?.bytes;
        let mut bytes = BytesMut::new();
        while let Some(part) = content.stream.next().await {
            bytes.extend_from_slice(&part?);
        }
        Ok(bytes.freeze())
    }

    async fn thumbnail(&self, project: &ProjectId, image: &ImageId) -> Answer<Bytes> {
        let image = self
            .service
            .image(self.user()?, project.clone(), image.clone())
            .await?;
        self.service.thumbnail(&image).await
    }

    async fn annotations(&self, project: &ProjectId, image: &ImageId) -> Answer<ImageAnnotations> {
        self.service
            .annotations(self.user()?, project.clone(), image.clone())
            .await?
            .parse()
    }

    async fn acquire(&self, request: AcquireRequest) -> Answer<AcquireAnswer> {
        self.service.acquire(self.user()?, request).await
    }

    async fn heartbeat(
        &self,
        project: &ProjectId,
        image: &ImageId,
        request: HeartbeatRequest,
    ) -> Answer<Heartbeat> {
        self.service
            .heartbeat(self.user()?, project.clone(), image.clone(), request)
            .await
    }

    async fn release(
        &self,
        project: &ProjectId,
        image: &ImageId,
        request: ReleaseRequest,
    ) -> Answer<Release> {
        self.service
            .release(self.user()?, project.clone(), image.clone(), request)
            .await
    }

    async fn force_release(&self, project: &ProjectId, image: &ImageId) -> Answer<Release> {
        self.service
            .force_release(self.user()?, project.clone(), image.clone())
            .await
    }

    async fn locks(&self, project: &ProjectId) -> Answer<LockList> {
        self.service.locks(self.user()?, project).await
    }

    async fn lock_status(&self, project: &ProjectId, image: &ImageId) -> Answer<Option<Lock>> {
        self.service
            .lock_status(self.user()?, project.clone(), image.clone())
            .await
    }

    async fn create(&self, request: CreateAnnotation, context: SaveContext) -> Answer<Saved> {
        Ok(self.service.create(self.user()?, request, context).await?.0)
    }

    async fn update(
        &self,
        id: &AnnotationId,
        request: UpdateAnnotation,
        context: SaveContext,
    ) -> Answer<Saved> {
        self.service
            .update(self.user()?, id.clone(), request, context)
            .await
    }

    async fn delete(&self, id: &AnnotationId, version: Version, context: SaveContext) -> Answer<Removed> {
        self.service
            .delete(self.user()?, id.clone(), version, context)
            .await
    }

    async fn changes(&self, project: &ProjectId, since: Cursor, limit: u32) -> Answer<ChangePage> {
        self.service
            .changes(self.user()?, project, since, Some(limit))
            .await
    }

    async fn events(&self, project: &ProjectId) -> Answer<BoxStream<'static, ServerEvent>> {
        self.service.watch(self.user()?, project.clone(), None).await
    }
}
