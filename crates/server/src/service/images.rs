//! Images in and out.

use bytes::Bytes;
use lockstep_wire::{Answer, Image, ImageId, ImagePage, ProjectId, UserId};

use super::{
    MAY_MANAGE, Service, check_text, image_is_gone, internal, invalid, no_such_image, no_such_project,
};
use crate::store::{Added, AddedImage, Deletion, ImageKey, NewImage, Presence};

/// Images of one page unless asked for fewer or more.
const PAGE: u32 = 500;
const LONGEST_PAGE: u32 = 2000;

/// A file to be added.
#[derive(Debug, Clone)]
pub struct Upload {
    /// The file's name when left out.
    pub id: Option<ImageId>,
    /// As people see it.
    pub file_name: String,
    /// The file.
    pub content: Bytes,
}

/// Bytes, and what they are.
#[derive(Debug, Clone)]
pub struct Content {
    /// The bytes.
    pub bytes: Bytes,
    /// `image/jpeg` and the like.
    pub media_type: String,
}

impl Service {
    /// A page of a project's images.
    pub async fn images(
        &self,
        user: UserId,
        project: &ProjectId,
        after: Option<&str>,
        limit: Option<u32>,
    ) -> Answer<ImagePage> {
        let limit = limit.unwrap_or(PAGE).clamp(1, LONGEST_PAGE);
        let page = self.store.images(project, user, after, limit).await?;
        Ok(page.ok_or_else(no_such_project)?)
    }

    /// Whether someone may add files at all: asked before hundreds of megabytes are read from him.
    pub async fn may_add_images(&self, user: UserId, project: &ProjectId) -> Answer<()> {
        self.manager(user, project).await
    }

    /// Adds a file to a project. One that is there already, with the same name and content, is not added again.
    pub async fn add_image(&self, user: UserId, project: &ProjectId, upload: Upload) -> Answer<Added<Image>> {
        self.manager(user, project).await?;
        let Upload {
            id,
            file_name,
            content,
        } = upload;
        check_text("The file's name", &file_name, 255)?;
        if let Some(id) = &id {
            check_text("The image's id", id.as_str(), 255)?;
        }
        let added = self.blobs.add(content).await.map_err(|error| internal(&error))?;
        let (content_hash, picture) = added.map_err(|fault| invalid(fault.to_string()))?;
        let named = id.is_some();
        let key = ImageKey {
            project: project.clone(),
            image: id.unwrap_or_else(|| ImageId(file_name.clone())),
        };
        let mut image = NewImage {
            key,
            file_name,
            width: picture.width,
            height: picture.height,
            media_type: picture.media_type.into(),
            content_hash,
            added_by: user,
            unless_present: !named,
        };
        let mut added = self.store.add_image(image.clone(), MAY_MANAGE).await??;
        if added == AddedImage::Taken && !named {
            // Another picture of the same name, or one that was deleted: it gets an id of its own.
            image.key.image = ImageId(uuid::Uuid::now_v7().to_string());
            added = self.store.add_image(image, MAY_MANAGE).await??;
        }
        self.changed(project).await?;
        Ok(match added {
            AddedImage::New(image) => Added::New(image),
            AddedImage::Present(_) | AddedImage::Taken => Added::Taken,
        })
    }

    /// Deletes an image; whoever was editing it learns so at his next save.
    pub async fn delete_image(&self, user: UserId, project: ProjectId, image: ImageId) -> Answer<()> {
        let key = ImageKey { project, image };
        let Deletion { before, ended } = self.store.delete_image(&key, user, MAY_MANAGE).await??;
        match before {
            Presence::Live => {}
            Presence::Deleted => return Err(image_is_gone().into()),
            Presence::Absent => return Err(no_such_image().into()),
        }
        self.announce(ended);
        self.changed(&key.project).await
    }

    /// What an image's bytes and thumbnail are known by.
    pub async fn image(&self, user: UserId, project: ProjectId, image: ImageId) -> Answer<Image> {
        let found = self.store.image(&ImageKey { project, image }, user).await?;
        match found.ok_or_else(no_such_project)? {
            (Presence::Live, Some(image)) => Ok(image),
            (Presence::Deleted, _) => Err(image_is_gone().into()),
            _ => Err(no_such_image().into()),
        }
    }

    /// An image's bytes as they were imported.
    pub async fn content(&self, image: &Image) -> Answer<Content> {
        let bytes = self
            .blobs
            .content(&image.content_hash)
            .await
            .map_err(|error| internal(&error))?;
        Ok(Content {
            bytes,
            media_type: image.media_type.clone(),
        })
    }

    /// A small upright picture of it.
    pub async fn thumbnail(&self, image: &Image) -> Answer<Content> {
        let bytes = self
            .blobs
            .thumbnail(&image.content_hash)
            .await
            .map_err(|error| internal(&error))?;
        Ok(Content {
            bytes,
            media_type: "image/jpeg".into(),
        })
    }
}
