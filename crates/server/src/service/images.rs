//! Images in and out.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use lockstep_wire::{Answer, ApiError, Image, ImageId, ImagePage, ProjectId, Refusal, RefusalDetail, UserId};

use super::{
    MAY_MANAGE, Service, check_text, image_is_gone, internal, invalid, no_such_image, no_such_project,
};
use crate::blobs::{Fault, Source, Stretch, Trouble};
use crate::store::{Added, AddedImage, Deletion, ImageKey, NewImage, Presence};

/// Images of one page unless asked for fewer or more.
const PAGE: u32 = 500;
const LONGEST_PAGE: u32 = 2000;

/// An image in memory, to be added.
#[derive(Debug, Clone)]
pub struct Upload {
    /// The file's name when left out.
    pub id: Option<ImageId>,
    /// As people see it.
    pub file_name: String,
    /// The file.
    pub content: Bytes,
}

/// An image to be added, wherever its bytes are.
#[derive(Debug, Clone)]
pub struct NewFile {
    /// The file's name when left out, or where that is another image's, made from a UUID.
    pub id: Option<ImageId>,
    /// As people see it.
    pub file_name: String,
    /// The file.
    pub source: Source,
}

/// What came of a file, and what is worth saying of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// Whether it is in, and as what.
    pub image: AddedImage,
    /// Sentences for people.
    pub notes: Vec<String>,
}

/// Bytes on their way, and what they are.
pub struct Content {
    /// As they come, and of how many.
    pub bytes: Stretch,
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

    /// As [`Self::receive`], of bytes in memory.
    pub async fn add_image(&self, user: UserId, project: &ProjectId, upload: Upload) -> Answer<Added<Image>> {
        let file = NewFile {
            id: upload.id,
            file_name: upload.file_name,
            source: Source::Memory(upload.content),
        };
        Ok(match self.receive(user, project, file).await?.image {
            AddedImage::New(image) => Added::New(image),
            AddedImage::Present(_) | AddedImage::Taken => Added::Taken,
        })
    }

    /// Adds a file to a project. One whose content is there already, under any id or under the id it names, is not added
    /// again.
    pub async fn receive(&self, user: UserId, project: &ProjectId, file: NewFile) -> Answer<Received> {
        self.manager(user, project).await?;
        let NewFile {
            id,
            file_name,
            source,
        } = file;
        check_text("The file's name", &file_name, 255)?;
        if let Some(id) = &id {
            check_text("The image's id", id.as_str(), 255)?;
        }
        let (content_hash, length) = self.blobs.hash(&source).await?.map_err(refuse)?;
        let named = id.is_some();
        if !named && let Some(there) = self.store.image_of_content(project, &content_hash).await? {
            // Known before it is decoded: an import that is repeated takes no longer than reading the files.
            return Ok(Received::present(there));
        }
        let picture = self
            .blobs
            .add(&source, &content_hash, length)
            .await?
            .map_err(refuse)?;
        let mut notes = Vec::new();
        if let Some(called) = picture.misnomer(&file_name) {
            let kind = picture.format_name();
            notes.push(format!(
                "It is called a {called}, but is a {kind}, and is kept as one."
            ));
        }
        let mut image = NewImage {
            key: ImageKey {
                project: project.clone(),
                image: id.unwrap_or_else(|| ImageId(file_name.clone())),
            },
            file_name,
            width: picture.width,
            height: picture.height,
            media_type: picture.media_type().into(),
            content_hash,
            added_by: user,
            unless_present: !named,
        };
        let mut added = self.store.add_image(image.clone(), MAY_MANAGE).await??;
        if added == AddedImage::Taken {
            let there = self.store.image(&image.key, user).await?;
            if named {
                return Ok(match there {
                    Some((Presence::Live, Some(there))) if there.content_hash == image.content_hash => {
                        Received::present(there)
                    }
                    _ => Received {
                        image: AddedImage::Taken,
                        notes,
                    },
                });
            }
            let other = match there {
                Some((Presence::Live, _)) => "Another image of this name is here",
                _ => "An image of this name was deleted here",
            };
            image.key.image = ImageId(uuid::Uuid::now_v7().to_string());
            notes.push(format!("{other}; this one has the id {}.", image.key.image));
            added = self.store.add_image(image, MAY_MANAGE).await??;
        }
        self.changed(project).await?;
        Ok(Received { image: added, notes })
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

    /// An image's bytes as they were imported; or those of a range of them, which must be within.
    pub async fn content(&self, image: &Image, range: Option<Range<u64>>) -> Answer<Content> {
        Ok(Content {
            bytes: self.blobs.content(&image.content_hash, range).await?,
            media_type: image.media_type.clone(),
        })
    }

    /// How many bytes an image has.
    pub async fn content_size(&self, image: &Image) -> Answer<u64> {
        Ok(self.blobs.size(&image.content_hash).await?)
    }

    /// A small upright picture of it: a JPEG.
    pub async fn thumbnail(&self, image: &Image) -> Answer<Bytes> {
        Ok(self.blobs.thumbnail(&image.content_hash).await?)
    }
}

impl Received {
    fn present(there: Image) -> Self {
        Self {
            notes: vec![format!(
                "The project has this picture already, as {}.",
                there.file_name
            )],
            image: AddedImage::Present(there),
        }
    }
}

fn refuse(fault: Fault) -> RefusalDetail {
    match fault {
        Fault::TooManyBytes(_) => Refusal::TooLarge.because(fault.to_string()),
        fault => invalid(fault.to_string()),
    }
}

/// A bucket that is away comes back, or someone must see to it.
const BUCKET_TO_COME_BACK: Duration = Duration::from_secs(5);

impl From<Trouble> for ApiError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Unreadable(_) => invalid(trouble.to_string()).into(),
            Trouble::Unreachable(_) => {
                tracing::error!("{:#}", anyhow::Error::from(trouble));
                Self::Later {
                    retry_after: BUCKET_TO_COME_BACK,
                }
            }
            Trouble::Missing | Trouble::Failed(_) => internal(&trouble.into()),
        }
    }
}
