//! A project's pictures, as rows; their bytes are in `blobs`.

use lockstep_wire::{Annotation, Image, ImageId, ProjectId, UserId};

use super::Ended;

/// Names one image among all.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageKey {
    /// Where it is.
    pub project: ProjectId,
    /// Which one there.
    pub image: ImageId,
}

impl ImageKey {
    /// Where an annotation is.
    pub(crate) fn of(annotation: &Annotation) -> Self {
        Self {
            project: annotation.project_id.clone(),
            image: annotation.image_id.clone(),
        }
    }
}

/// An image to be added.
#[derive(Debug, Clone)]
pub struct NewImage {
    /// Where to, under which id.
    pub key: ImageKey,
    /// As it was imported.
    pub file_name: String,
    /// Pixels, upright.
    pub width: u32,
    /// Pixels, upright.
    pub height: u32,
    /// `image/jpeg` and the like.
    pub media_type: String,
    /// SHA-256 of the content in hex.
    pub content_hash: String,
    /// Who adds it.
    pub added_by: UserId,
    /// Add nothing where the project has a live image of this content.
    pub unless_present: bool,
}

/// What came of adding an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddedImage {
    /// Here it is.
    New(Image),
    /// Nothing: the project has this one, of the same content.
    Present(Image),
    /// Nothing: its id is in use, perhaps by one that was deleted.
    Taken,
}

/// Whether a thing is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is.
    Live,
    /// It was.
    Deleted,
    /// It never was.
    Absent,
}

/// What came of deleting an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// Only a live one was deleted.
    pub before: Presence,
    /// The lock that ended by it.
    pub ended: Option<Ended>,
}
