//! An image within its project, as one thing: what is opened, locked, watched and sent.

use lockstep_wire::{ImageId, ProjectId};

/// Which image of which project.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub project: ProjectId,
    pub image: ImageId,
}

impl Place {
    pub(crate) fn new(project: &ProjectId, image: &ImageId) -> Self {
        Self {
            project: project.clone(),
            image: image.clone(),
        }
    }
}
