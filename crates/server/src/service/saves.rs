//! Whether a save is stored: the one decision everything else is there for.

use std::time::Duration;

use lockstep_wire::{
    Annotation, AnnotationFields, AnnotationId, Generation, Refusal, RefusalDetail, Role, UpdateAnnotation,
    UserId, Version,
};

use super::locks::{WriteLock, decide_write_lock};
use super::{forbidden, image_is_gone, invalid, no_such_image};
use crate::store::{ImageKey, Party, Presence, SaveDecision, SaveScene, Stored, WriteDone};

/// What someone wants to do to an annotation.
#[derive(Debug, Clone)]
pub(super) struct Intent {
    pub(super) party: Party,
    pub(super) id: AnnotationId,
    pub(super) edit: Edit,
    /// The lock's generation it names.
    pub(super) generation: Option<Generation>,
    /// Of the request: another one under the same key is a mistake.
    pub(super) fingerprint: Vec<u8>,
    /// Of a lock that is granted anew.
    pub(super) lease: Duration,
}

#[derive(Debug, Clone)]
pub(super) enum Edit {
    Create {
        image: ImageKey,
        fields: AnnotationFields,
    },
    Update(UpdateAnnotation),
    Delete {
        version: Version,
    },
}

/// The contract's order: authorise, applied before?, lock, version, write (B1).
pub(super) fn decide_save(scene: &SaveScene, intent: &Intent) -> SaveDecision {
    if let Err(refusal) = authorise(scene, intent) {
        return SaveDecision::Refuse(refusal);
    }
    if let Some(decision) = decide_applied(scene, intent) {
        return decision;
    }
    if scene.lock.image == Presence::Deleted {
        return SaveDecision::Refuse(image_is_gone());
    }
    if !scene.label_known {
        return SaveDecision::Refuse(invalid("The project has no such label."));
    }
    let regrant = match decide_write_lock(&scene.lock, &intent.party, intent.generation) {
        WriteLock::Go => None,
        WriteLock::GoAndRegrant => Some(scene.lock.now + intent.lease),
        WriteLock::Refuse(refusal) => return SaveDecision::Refuse(refusal),
    };
    match decide_version(scene, intent) {
        Ok((annotation, deleted)) => SaveDecision::Write {
            annotation: Box::new(annotation),
            deleted,
            regrant,
        },
        Err(refusal) => SaveDecision::Refuse(refusal),
    }
}

fn authorise(scene: &SaveScene, intent: &Intent) -> Result<(), RefusalDetail> {
    let Some(role) = scene.role else {
        return Err(match intent.edit {
            Edit::Create { .. } => no_such_image(),
            _ => no_such_annotation(),
        });
    };
    match (&intent.edit, &scene.stored) {
        (Edit::Create { .. }, _) if scene.lock.image == Presence::Absent => Err(no_such_image()),
        (Edit::Create { .. }, _) if !role.annotates() => {
            Err(forbidden("Your role in this project does not let you annotate."))
        }
        (Edit::Create { image, .. }, Some(stored)) if !is_on(&stored.annotation, image) => {
            // Whose it is and what it says is none of the caller's business.
            Err(invalid("This annotation id is in use on another image."))
        }
        (Edit::Create { .. }, _) => Ok(()),
        (_, None) => Err(no_such_annotation()),
        (_, Some(stored)) => authorise_change(role, scene.annotators_edit_all, stored, intent.party.user),
    }
}

fn authorise_change(role: Role, edit_all: bool, stored: &Stored, user: UserId) -> Result<(), RefusalDetail> {
    let own = stored.annotation.created_by == user;
    if role.manages() || (role == Role::Annotator && (own || edit_all)) {
        Ok(())
    } else {
        Err(forbidden(
            "Only its creator and the project's owner and managers may change this annotation.",
        ))
    }
}

fn is_on(annotation: &Annotation, image: &ImageKey) -> bool {
    annotation.project_id == image.project && annotation.image_id == image.image
}

/// A write that took effect before is answered as it was then, whatever has happened since.
fn decide_applied(scene: &SaveScene, intent: &Intent) -> Option<SaveDecision> {
    if let Some(applied) = &scene.applied {
        return Some(if applied.fingerprint == intent.fingerprint {
            SaveDecision::Replay {
                done: Box::new(applied.done.clone()),
                newest: applied.newest,
            }
        } else {
            let message = "This idempotency key was used for another request.";
            SaveDecision::Refuse(Refusal::KeyReused.because(message))
        });
    }
    // A create needs no key to be told apart: its id is one.
    let (Edit::Create { fields, .. }, Some(stored)) = (&intent.edit, &scene.stored) else {
        return None;
    };
    let annotation = &stored.annotation;
    let same = scene.first.as_ref() == Some(fields) && annotation.created_by == intent.party.user;
    same.then(|| {
        let created = Annotation {
            fields: fields.clone(),
            updated_by: annotation.created_by,
            updated_at: annotation.created_at,
            version: Version::FIRST,
            ..annotation.clone()
        };
        let done = WriteDone {
            annotation: created,
            deleted: false,
            lock: None,
            image_revision: scene.lock.image_revision,
        };
        SaveDecision::Replay {
            done: Box::new(done),
            newest: annotation.version,
        }
    })
}

/// The next version, and whether it is a tombstone.
fn decide_version(scene: &SaveScene, intent: &Intent) -> Result<(Annotation, bool), RefusalDetail> {
    let now = scene.lock.now;
    match (&intent.edit, &scene.stored) {
        (Edit::Create { image, fields }, None) => {
            let annotation = Annotation {
                id: intent.id.clone(),
                project_id: image.project.clone(),
                image_id: image.image.clone(),
                fields: fields.clone(),
                created_by: intent.party.user,
                created_at: now,
                updated_by: intent.party.user,
                updated_at: now,
                version: Version::FIRST,
            };
            Ok((annotation, false))
        }
        (Edit::Create { .. }, Some(stored)) => Err(conflict(stored, Version(0))),
        (_, None) => Err(no_such_annotation()),
        (Edit::Update(update), Some(stored)) => {
            if update.version != stored.annotation.version {
                return Err(conflict(stored, update.version));
            }
            // Upon a tombstone this brings the annotation back: it is what Overwrite means after a deletion.
            let fields = update.clone().apply_to(&stored.annotation.fields);
            Ok((next_version(scene, intent, stored, fields), false))
        }
        (Edit::Delete { version }, Some(stored)) => {
            if *version != stored.annotation.version {
                return Err(conflict(stored, *version));
            }
            if stored.deleted {
                return Err(Refusal::Gone.because("This annotation has been deleted."));
            }
            Ok((
                next_version(scene, intent, stored, stored.annotation.fields.clone()),
                true,
            ))
        }
    }
}

fn next_version(scene: &SaveScene, intent: &Intent, stored: &Stored, fields: AnnotationFields) -> Annotation {
    Annotation {
        fields,
        updated_by: intent.party.user,
        updated_at: scene.lock.now,
        version: stored.annotation.version.next(),
        ..stored.annotation.clone()
    }
}

fn conflict(stored: &Stored, your_version: Version) -> RefusalDetail {
    let annotation = &stored.annotation;
    let what = if stored.deleted { "deleted" } else { "changed" };
    let message = format!(
        "This annotation was {what} by {} in the meantime.",
        stored.updated_by.user_name
    );
    Refusal::Conflict {
        current_version: annotation.version,
        your_version,
        last_updated_at: annotation.updated_at,
        last_updated_by: stored.updated_by.clone(),
        current: (!stored.deleted).then(|| Box::new(annotation.clone())),
        deleted: stored.deleted,
    }
    .because(message)
}

fn no_such_annotation() -> RefusalDetail {
    Refusal::NotFound.because("There is no such annotation.")
}
