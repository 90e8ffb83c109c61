//! Who holds which image, as the server said last. Not stored: offline, nobody knows.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use lockstep_wire::{ClientId, Generation, ImageId, Lock, ProjectId, UserId};

use crate::Place;
use crate::view::{Holder, LockView};

/// The locks of the projects that are followed.
#[derive(Default)]
pub(crate) struct Board {
    projects: Mutex<HashMap<ProjectId, HashMap<ImageId, Lock>>>,
}

impl Board {
    fn projects(&self) -> MutexGuard<'_, HashMap<ProjectId, HashMap<ImageId, Lock>>> {
        self.projects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the whole list; which images changed hands, or `None` where nothing was known before.
    pub(crate) fn set_all(&self, project: &ProjectId, locks: Vec<Lock>) -> Option<Vec<ImageId>> {
        let new: HashMap<_, _> = locks
            .into_iter()
            .map(|lock| (lock.image_id.clone(), lock))
            .collect();
        let mut projects = self.projects();
        let old = projects.insert(project.clone(), new.clone())?;
        let images: HashSet<&ImageId> = old.keys().chain(new.keys()).collect();
        let grant =
            |locks: &HashMap<ImageId, Lock>, image: &ImageId| locks.get(image).map(|lock| lock.generation);
        let is_changed = |image: &&ImageId| grant(&old, image) != grant(&new, image);
        Some(images.into_iter().filter(is_changed).cloned().collect())
    }

    /// Someone has it now.
    pub(crate) fn set(&self, project: &ProjectId, lock: Lock) {
        if let Some(locks) = self.projects().get_mut(project) {
            locks.insert(lock.image_id.clone(), lock);
        }
    }

    /// That grant ended; a later one stands.
    pub(crate) fn clear(&self, place: &Place, generation: Generation) {
        if let Some(locks) = self.projects().get_mut(&place.project)
            && locks
                .get(&place.image)
                .is_some_and(|lock| lock.generation <= generation)
        {
            locks.remove(&place.image);
        }
    }

    /// The server is out of reach.
    pub(crate) fn forget(&self) {
        self.projects().clear();
    }

    pub(crate) fn lock(&self, place: &Place) -> Option<Lock> {
        self.projects().get(&place.project)?.get(&place.image).cloned()
    }

    /// As the list shows it, for a window that does not hold the image.
    pub(crate) fn view(&self, place: &Place, me: UserId, window: &ClientId) -> LockView {
        let projects = self.projects();
        let Some(locks) = projects.get(&place.project) else {
            return LockView::Unknown;
        };
        match locks.get(&place.image) {
            None => LockView::Free,
            // Left from before, and this window's for the asking.
            Some(lock) if lock.client_id.as_ref() == Some(window) => LockView::Free,
            Some(lock) if lock.user_id == me => LockView::MineElsewhere {
                device: lock.device.clone(),
                since: lock.locked_at,
            },
            Some(lock) => LockView::Theirs {
                user_id: lock.user_id,
                user_name: lock.user_name.clone(),
                since: lock.locked_at,
            },
        }
    }
}

/// A lock's holder as people see him.
pub(crate) fn holder_of(lock: &Lock, me: UserId) -> Holder {
    Holder {
        user_id: lock.user_id,
        user_name: lock.user_name.clone(),
        is_me: lock.user_id == me,
        device: lock.device.clone(),
        since: lock.locked_at,
    }
}
