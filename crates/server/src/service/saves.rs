//! Whether a save is stored: the one decision everything else is there for.

use std::time::Duration;

use lockstep_wire::annotations::REVIEW_STATE;
use lockstep_wire::{
    Annotation, AnnotationFields, AnnotationId, Generation, LabelId, Refusal, RefusalDetail, Role,
    UpdateAnnotation, UserId, Version,
};

use super::locks::{WriteLock, decide_write_lock};
use super::{forbidden, image_is_gone, invalid, no_such_image};
use crate::store::{ImageKey, Party, Presence, Save, SaveDecision, SaveScene, Stored, WriteDone};

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

impl Edit {
    pub(super) fn creates_on(&self) -> Option<&ImageKey> {
        match self {
            Self::Create { image, .. } => Some(image),
            _ => None,
        }
    }

    pub(super) fn names_label(&self) -> Option<&LabelId> {
        match self {
            Self::Create { fields, .. } => fields.label_id.as_ref(),
            Self::Update(update) => update.label_id.as_ref()?.as_ref(),
            Self::Delete { .. } => None,
        }
    }
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
        // Whoever may no longer hold a lock, but may still say what he thinks, is not given his old one again.
        WriteLock::GoAndRegrant => scene
            .role
            .is_some_and(Role::annotates)
            .then(|| scene.lock.now + intent.lease),
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

/// A save that is meant for one image alone: elsewhere there is no such annotation.
pub(super) fn only_on(image: ImageKey, Save { question, rule }: Save) -> Save {
    let rule = Box::new(move |scene: &SaveScene| match &scene.stored {
        Some(stored) if !is_on(&stored.annotation, &image) => SaveDecision::Refuse(no_such_annotation()),
        _ => rule(scene),
    });
    Save { question, rule }
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
        (Edit::Update(update), Some(stored)) if role == Role::Reviewer => authorise_review(update, stored),
        (_, Some(stored)) => authorise_change(role, scene.annotators_edit_all, stored, intent.party.user),
    }
}

/// A reviewer says what he thinks of an annotation and leaves the rest as it is.
fn authorise_review(update: &UpdateAnnotation, stored: &Stored) -> Result<(), RefusalDetail> {
    let annotation = &stored.annotation;
    let rest = |mut fields: AnnotationFields| {
        fields.attributes.remove(REVIEW_STATE);
        fields
    };
    let is_review = rest(update.clone().apply_to(&annotation.fields)) == rest(annotation.fields.clone());
    // What was based on another version is stored only if it was before: that is for the steps after this one to say.
    if update.version != annotation.version || (is_review && !stored.deleted) {
        Ok(())
    } else {
        Err(forbidden(
            "A reviewer may change an annotation's review state alone.",
        ))
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

pub(super) fn no_such_annotation() -> RefusalDetail {
    Refusal::NotFound.because("There is no such annotation.")
}

#[cfg(test)]
mod tests {
    use super::super::locks::tests::{at, free, held, party, past};
    use super::*;
    use crate::store::{Applied, LockScene};
    use lockstep_wire::Geometry;
    use lockstep_wire::changes::ReleaseReason;
    use lockstep_wire::refusal::Author;

    fn fields(x: f64) -> AnnotationFields {
        AnnotationFields {
            label_id: None,
            geometry: Geometry::bbox(x, 0.0, 1.0, 1.0),
            attributes: serde_json::Map::default(),
        }
    }

    fn image() -> ImageKey {
        ImageKey {
            project: "p".into(),
            image: "i".into(),
        }
    }

    /// Version 2, drawn by user 1 and last saved by user 2.
    fn stored() -> Stored {
        Stored {
            annotation: Annotation {
                id: "a".into(),
                project_id: "p".into(),
                image_id: "i".into(),
                fields: fields(2.0),
                created_by: UserId(1),
                created_at: at(10),
                updated_by: UserId(2),
                updated_at: at(20),
                version: Version(2),
            },
            deleted: false,
            updated_by: Author {
                user_id: UserId(2),
                user_name: "Ben".into(),
            },
        }
    }

    fn scene(stored: Option<Stored>) -> SaveScene {
        SaveScene {
            role: Some(Role::Annotator),
            annotators_edit_all: false,
            label_known: true,
            first: stored.as_ref().map(|_| fields(1.0)),
            stored,
            applied: None,
            lock: free(),
        }
    }

    fn intent(user: i64, edit: Edit) -> Intent {
        Intent {
            party: party(user, None),
            id: "a".into(),
            edit,
            generation: None,
            fingerprint: vec![1],
            lease: Duration::from_secs(300),
        }
    }

    fn create(x: f64) -> Edit {
        Edit::Create {
            image: image(),
            fields: fields(x),
        }
    }

    fn update(version: i64, x: f64) -> Edit {
        Edit::Update(UpdateAnnotation::whole(Version(version), fields(x)))
    }

    fn delete(version: i64) -> Edit {
        Edit::Delete {
            version: Version(version),
        }
    }

    fn decided(scene: &SaveScene, intent: &Intent) -> String {
        match decide_save(scene, intent) {
            SaveDecision::Refuse(detail) => detail.refusal.status().to_string(),
            SaveDecision::Replay { done, newest } => {
                format!("replay {} of {newest}", done.annotation.version)
            }
            SaveDecision::Write {
                annotation,
                deleted: true,
                ..
            } => format!("tombstone {}", annotation.version),
            SaveDecision::Write { annotation, .. } => format!("write {}", annotation.version),
        }
    }

    #[test]
    fn a_reviewer_changes_the_review_state_alone_and_retries_like_anyone() {
        let review = |version, mut fields: AnnotationFields| {
            fields.attributes.insert(REVIEW_STATE.into(), "accepted".into());
            Edit::Update(UpdateAnnotation::whole(Version(version), fields))
        };
        let seen = |stored| SaveScene {
            role: Some(Role::Reviewer),
            ..scene(Some(stored))
        };
        let decide = |stored, edit| decided(&seen(stored), &intent(9, edit));
        assert_eq!(decide(stored(), review(2, fields(2.0))), "write 3");
        assert_eq!(
            decide(stored(), review(2, fields(3.0))),
            "403",
            "it moves the box, too"
        );
        assert_eq!(decide(stored(), review(1, fields(2.0))), "409");
        let tombstone = Stored {
            deleted: true,
            ..stored()
        };
        assert_eq!(
            decide(tombstone, review(2, fields(2.0))),
            "403",
            "it would bring it back"
        );

        // He held the image when he still annotated, and his lock lapsed.
        let once_his = SaveScene {
            lock: LockScene {
                own_last: past(3, Some(ReleaseReason::Expired)),
                newest: Generation(3),
                ..free()
            },
            ..seen(stored())
        };
        let decision = decide_save(&once_his, &intent(9, review(2, fields(2.0))));
        assert!(
            matches!(decision, SaveDecision::Write { regrant: None, .. }),
            "{decision:?}"
        );

        // His review was stored, the answer was lost, and the box was moved since.
        let mut moved = stored();
        moved.annotation.version = Version(4);
        moved.annotation.fields = fields(7.0);
        let done = WriteDone {
            annotation: stored().annotation,
            deleted: false,
            lock: None,
            image_revision: 1,
        };
        let replayed = SaveScene {
            applied: Some(Applied {
                fingerprint: vec![1],
                done,
                newest: Version(4),
            }),
            ..seen(moved)
        };
        assert_eq!(
            decided(&replayed, &intent(9, review(2, fields(2.0)))),
            "replay 2 of 4"
        );
    }

    #[test]
    fn roles_say_who_may_change_what() {
        use Role::{Annotator, Manager, Owner, Reviewer, Viewer};
        // role, the setting, the asker (1 drew it), then: create, update, delete.
        let rows = [
            (Some(Owner), false, 3, ["write 1", "write 3", "tombstone 3"]),
            (Some(Manager), false, 3, ["write 1", "write 3", "tombstone 3"]),
            (Some(Annotator), false, 1, ["write 1", "write 3", "tombstone 3"]),
            (Some(Annotator), false, 3, ["write 1", "403", "403"]),
            (Some(Annotator), true, 3, ["write 1", "write 3", "tombstone 3"]),
            (Some(Reviewer), true, 1, ["403", "403", "403"]),
            (Some(Viewer), true, 1, ["403", "403", "403"]),
            (None, true, 1, ["404", "404", "404"]),
        ];
        for (role, annotators_edit_all, user, expected) in rows {
            let seen = |stored| SaveScene {
                role,
                annotators_edit_all,
                ..scene(stored)
            };
            let got = [
                decided(&seen(None), &intent(user, create(1.0))),
                decided(&seen(Some(stored())), &intent(user, update(2, 3.0))),
                decided(&seen(Some(stored())), &intent(user, delete(2))),
            ];
            assert_eq!(got, expected, "{role:?} {annotators_edit_all} {user}");
        }
    }

    #[test]
    fn a_save_from_another_version_conflicts_and_shows_what_is_there() {
        for (edit, yours) in [
            (update(1, 3.0), 1),
            (update(3, 3.0), 3),
            (delete(1), 1),
            (create(9.0), 0),
        ] {
            let decision = decide_save(&scene(Some(stored())), &intent(1, edit));
            let SaveDecision::Refuse(detail) = decision else {
                panic!("{decision:?}")
            };
            let expected = Refusal::Conflict {
                current_version: Version(2),
                your_version: Version(yours),
                last_updated_at: at(20),
                last_updated_by: stored().updated_by,
                current: Some(Box::new(stored().annotation)),
                deleted: false,
            };
            assert_eq!(detail.refusal, expected);
        }
    }

    #[test]
    fn what_was_deleted_conflicts_is_gone_or_comes_back_by_the_version_named() {
        let tombstone = scene(Some(Stored {
            deleted: true,
            ..stored()
        }));
        assert_eq!(decided(&tombstone, &intent(1, update(1, 3.0))), "409");
        assert_eq!(decided(&tombstone, &intent(1, delete(1))), "409");
        assert_eq!(decided(&tombstone, &intent(1, delete(2))), "410");
        assert_eq!(decided(&tombstone, &intent(1, update(2, 3.0))), "write 3");
        let SaveDecision::Refuse(detail) = decide_save(&tombstone, &intent(1, update(1, 3.0))) else {
            panic!()
        };
        assert!(matches!(
            detail.refusal,
            Refusal::Conflict {
                current: None,
                deleted: true,
                ..
            }
        ));
    }

    #[test]
    fn a_write_that_took_effect_is_answered_as_then_whatever_has_happened_since() {
        let done = WriteDone {
            annotation: stored().annotation,
            deleted: false,
            lock: None,
            image_revision: 4,
        };
        let applied = Some(Applied {
            fingerprint: vec![1],
            done,
            newest: Version(5),
        });
        let since = [
            LockScene {
                image: Presence::Deleted,
                ..free()
            },
            held(2, None, 3),
            free(),
        ];
        for lock in since {
            let scene = SaveScene {
                applied: applied.clone(),
                lock,
                ..scene(Some(stored()))
            };
            assert_eq!(decided(&scene, &intent(1, update(1, 3.0))), "replay 2 of 5");
        }
        let scene = SaveScene {
            applied,
            ..scene(Some(stored()))
        };
        let other = Intent {
            fingerprint: vec![2],
            ..intent(1, update(1, 3.0))
        };
        assert_eq!(decided(&scene, &other), "422");
        let stranger = SaveScene { role: None, ..scene };
        assert_eq!(decided(&stranger, &intent(1, update(1, 3.0))), "404");
    }

    #[test]
    fn the_same_create_again_is_the_same_create_and_anothers_is_not() {
        let there = SaveScene {
            lock: held(2, None, 3),
            ..scene(Some(stored()))
        };
        assert_eq!(decided(&there, &intent(1, create(1.0))), "replay 1 of 2");
        let there = scene(Some(stored()));
        assert_eq!(decided(&there, &intent(1, create(7.0))), "409");
        assert_eq!(decided(&there, &intent(2, create(1.0))), "409");
        let elsewhere = ImageKey {
            project: "p".into(),
            image: "other".into(),
        };
        let edit = Edit::Create {
            image: elsewhere,
            fields: fields(1.0),
        };
        assert_eq!(decided(&there, &intent(1, edit)), "422");
    }

    #[test]
    fn a_deleted_image_an_unknown_label_and_a_lock_are_in_the_way_before_the_version_is() {
        let stale = || intent(1, update(1, 3.0));
        let there = || scene(Some(stored()));
        let gone = LockScene {
            image: Presence::Deleted,
            ..free()
        };
        assert_eq!(
            decided(
                &SaveScene {
                    lock: gone,
                    ..there()
                },
                &stale()
            ),
            "410"
        );
        assert_eq!(
            decided(
                &SaveScene {
                    label_known: false,
                    ..there()
                },
                &stale()
            ),
            "422"
        );
        assert_eq!(
            decided(
                &SaveScene {
                    lock: held(2, None, 3),
                    ..there()
                },
                &stale()
            ),
            "423"
        );
        assert_eq!(decided(&there(), &stale()), "409");
    }

    #[test]
    fn a_save_keeps_who_drew_it_and_says_who_saved_it() {
        let managed = SaveScene {
            role: Some(Role::Manager),
            ..scene(Some(stored()))
        };
        let SaveDecision::Write {
            annotation,
            deleted: false,
            regrant: None,
        } = decide_save(&managed, &intent(3, update(2, 3.0)))
        else {
            panic!("it is stored")
        };
        let expected = Annotation {
            fields: fields(3.0),
            updated_by: UserId(3),
            updated_at: at(1000),
            version: Version(3),
            ..stored().annotation
        };
        assert_eq!(*annotation, expected);
    }
}
