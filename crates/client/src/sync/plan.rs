//! What to send, under which lock, and what an answer means.
//!
//! **Invariant:** nothing here reads anything but its arguments.

use std::time::Duration;

use chrono::{DateTime, Utc};
use lockstep_wire::annotations::SaveNotes;
use lockstep_wire::{
    Annotation, Answer, ApiError, Generation, Lock, LockLoss, Refusal, Removed, Saved, UpdateAnnotation,
    Version,
};

use crate::cache::annotations::Stored;
use crate::cache::outbox::Write;

/// The write that brings the server from what this machine's work started from to what is drawn here;
/// nothing where that is the same.
pub(super) fn plan_write(stored: &Stored) -> Option<Write> {
    let Some(base) = &stored.base else {
        return stored.working.clone().map(|fields| Write::Create { fields });
    };
    let version = base.version;
    match (&base.fields, &stored.working) {
        (base, working) if base == working => None,
        (None, Some(working)) => Some(Write::Update {
            request: UpdateAnnotation::whole(version, working.clone()),
        }),
        (_, None) => Some(Write::Delete { version }),
        (Some(base), Some(working)) => {
            let request = UpdateAnnotation {
                version,
                label_id: (working.label_id != base.label_id).then(|| working.label_id.clone()),
                geometry: (working.geometry != base.geometry).then(|| working.geometry.clone()),
                attributes: (working.attributes != base.attributes).then(|| working.attributes.clone()),
            };
            Some(Write::Update { request })
        }
    }
}

/// What is known of an image's lock when its work could be sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LockFacts {
    /// This window's own, believed good.
    pub held: Option<Generation>,
    /// The session asks for it, or will.
    pub session_asks: bool,
    /// It was ended by someone; only its author takes the image again.
    pub displaced: bool,
    /// Another has it.
    pub others: bool,
}

/// Whether an image's work may go now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Under the lock there is.
    Send(Generation),
    /// Under one asked for on purpose.
    Borrow,
    /// Not now.
    Wait,
}

/// Locks serialise sending: an image's work goes under its lock, or waits.
pub(super) fn decide_turn(facts: LockFacts) -> Turn {
    match facts {
        LockFacts {
            held: Some(generation),
            ..
        } => Turn::Send(generation),
        LockFacts {
            session_asks: false,
            displaced: false,
            others: false,
            ..
        } => Turn::Borrow,
        _ => Turn::Wait,
    }
}

/// A success.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Success {
    Saved(Box<Saved>),
    Removed(Box<Removed>),
}

impl Success {
    pub(super) fn notes(&self) -> &SaveNotes {
        match self {
            Self::Saved(saved) => &saved.notes,
            Self::Removed(removed) => &removed.notes,
        }
    }
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fate {
    /// The server has it.
    Stored(Success),
    /// Both wanted it deleted, and it is.
    AlreadyGone,
    /// The server has another version.
    Differs(Rival),
    /// Another has the image; the write waits as it is.
    Locked(Box<Lock>),
    /// This window's lock is no more; the write waits as it is.
    LockGone { reason: LockLoss, by: Option<String> },
    /// The key means something else to the server; under a new one it may go.
    Rekey,
    /// The server will never take it.
    Refused(String),
    /// Nothing is known; the same again under the same key.
    Unanswered,
    /// As before, but not so soon.
    Later(Duration),
}

/// The version that is in the way.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rival {
    /// `None`: deleted.
    pub current: Option<Box<Annotation>>,
    /// Not said where it was deleted.
    pub version: Option<Version>,
    /// When and by whom it was saved, where the server said.
    pub saved: Option<(DateTime<Utc>, String)>,
}

/// Reads an answer.
pub(super) fn decide_fate(write: &Write, answer: Answer<Success>) -> Fate {
    let detail = match answer {
        Ok(success) => return Fate::Stored(success),
        Err(ApiError::Network(_)) => return Fate::Unanswered,
        Err(ApiError::Later { retry_after }) => return Fate::Later(retry_after),
        Err(ApiError::Refused(detail)) => detail,
    };
    let is_delete = matches!(write, Write::Delete { .. });
    match detail.refusal {
        Refusal::Gone | Refusal::Conflict { current: None, .. } if is_delete => Fate::AlreadyGone,
        Refusal::Gone => Fate::Differs(Rival {
            current: None,
            version: None,
            saved: None,
        }),
        Refusal::Conflict {
            current,
            current_version,
            last_updated_at,
            last_updated_by,
            ..
        } => {
            let saved = Some((last_updated_at, last_updated_by.user_name));
            Fate::Differs(Rival {
                current,
                version: Some(current_version),
                saved,
            })
        }
        Refusal::ImageLocked { locked_by } => Fate::Locked(locked_by),
        Refusal::LockExpired { reason, by, .. } => Fate::LockGone {
            reason,
            by: by.map(|by| by.user_name),
        },
        Refusal::KeyReused => Fate::Rekey,
        Refusal::Unauthorized
        | Refusal::TooManyRequests { .. }
        | Refusal::Unavailable
        | Refusal::Internal => Fate::Unanswered,
        Refusal::Invalid
        | Refusal::Forbidden
        | Refusal::NotFound
        | Refusal::MethodNotAllowed
        | Refusal::TooLarge
        | Refusal::OutOfRange => Fate::Refused(detail.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Place;
    use crate::cache::annotations::Base;
    use lockstep_wire::{AnnotationFields, Geometry, UserId};

    fn fields(label: &str, x: f64) -> AnnotationFields {
        let attributes = serde_json::Map::new();
        AnnotationFields {
            label_id: Some(label.into()),
            geometry: Geometry::bbox(x, 0.0, 5.0, 5.0),
            attributes,
        }
    }

    fn stored(base: Option<(AnnotationFields, i64)>, working: Option<AnnotationFields>) -> Stored {
        let place = Place::new(&"p".into(), &"a".into());
        let base = base.map(|(fields, version)| Base {
            fields: Some(fields),
            version: Version(version),
        });
        Stored {
            base,
            working,
            ..Stored::new(&"x".into(), &place, UserId(1))
        }
    }

    #[test]
    fn what_was_drawn_here_is_created_and_what_was_deleted_here_is_deleted() {
        let cat = fields("cat", 1.0);
        assert_eq!(
            plan_write(&stored(None, Some(cat.clone()))),
            Some(Write::Create { fields: cat.clone() })
        );
        assert_eq!(
            plan_write(&stored(Some((cat, 3)), None)),
            Some(Write::Delete { version: Version(3) })
        );
        assert_eq!(plan_write(&stored(None, None)), None);
    }

    #[test]
    fn an_update_carries_the_changed_fields_and_the_version_it_is_based_on() {
        let write = plan_write(&stored(Some((fields("cat", 1.0), 3)), Some(fields("dog", 1.0))));
        let request = UpdateAnnotation {
            version: Version(3),
            label_id: Some(Some("dog".into())),
            geometry: None,
            attributes: None,
        };
        assert_eq!(write, Some(Write::Update { request }));
        assert_eq!(
            plan_write(&stored(Some((fields("cat", 1.0), 3)), Some(fields("cat", 1.0)))),
            None
        );
    }

    #[test]
    fn what_was_deleted_at_the_server_is_brought_back_by_an_update_upon_its_tombstone() {
        let mut stored = stored(None, Some(fields("cat", 1.0)));
        stored.base = Some(Base {
            fields: None,
            version: Version(4),
        });
        let request = UpdateAnnotation::whole(Version(4), fields("cat", 1.0));
        assert_eq!(plan_write(&stored), Some(Write::Update { request }));
    }

    #[test]
    fn an_images_work_goes_under_its_lock_or_waits() {
        let g = Generation(4);
        for (held, session_asks, displaced, others, turn) in [
            (Some(g), false, false, false, Turn::Send(g)),
            (Some(g), false, false, true, Turn::Send(g)),
            (None, false, false, false, Turn::Borrow),
            (None, true, false, false, Turn::Wait),
            (None, false, true, false, Turn::Wait),
            (None, false, false, true, Turn::Wait),
        ] {
            assert_eq!(
                decide_turn(LockFacts {
                    held,
                    session_asks,
                    displaced,
                    others
                }),
                turn
            );
        }
    }

    #[test]
    fn an_answer_means_what_the_contract_says() {
        let update = Write::Update {
            request: UpdateAnnotation::whole(Version(1), fields("cat", 1.0)),
        };
        let delete = Write::Delete { version: Version(1) };
        let fate = |write, refusal: Refusal| decide_fate(write, Err(refusal.because("why").into()));
        let expired = |reason| Refusal::LockExpired {
            reason,
            by: None,
            at: None,
        };
        assert_eq!(fate(&delete, Refusal::Gone), Fate::AlreadyGone);
        assert!(matches!(
            fate(&update, Refusal::Gone),
            Fate::Differs(Rival { current: None, .. })
        ));
        assert!(matches!(
            fate(&update, expired(LockLoss::Forced)),
            Fate::LockGone {
                reason: LockLoss::Forced,
                ..
            }
        ));
        assert_eq!(fate(&update, Refusal::Forbidden), Fate::Refused("why".to_owned()));
        assert_eq!(fate(&update, Refusal::KeyReused), Fate::Rekey);
        // Signed out is not refused: the work waits for the next sign-in.
        assert_eq!(fate(&update, Refusal::Unauthorized), Fate::Unanswered);
        assert_eq!(
            decide_fate(&update, Err(ApiError::Network(String::new()))),
            Fate::Unanswered
        );
    }
}
