//! What a rule about saves may know, and what it may decide.

use chrono::{DateTime, Utc};
use lockstep_wire::refusal::Author;
use lockstep_wire::{
    Annotation, AnnotationFields, AnnotationId, Change, Cursor, Generation, IdempotencyKey, LabelId, Lock,
    RefusalDetail, Role, UserId, Version,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Ended, ImageKey, LockScene, Party};

/// An annotation as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Its newest version.
    pub annotation: Annotation,
    /// That version is a tombstone.
    pub deleted: bool,
    /// Who saved it.
    pub updated_by: Author,
}

impl Stored {
    /// As the feed tells of it.
    pub(super) fn change(self, cursor: Cursor) -> Change {
        let annotation = self.annotation;
        if self.deleted {
            Change::AnnotationDeleted {
                cursor,
                id: annotation.id,
                image_id: annotation.image_id,
                version: annotation.version,
                by: annotation.updated_by,
            }
        } else {
            Change::Annotation { cursor, annotation }
        }
    }
}

/// What an idempotency key has done before.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// Of the request it came with.
    pub fingerprint: Vec<u8>,
    /// What was answered.
    pub done: WriteDone,
    /// The annotation's version by now.
    pub newest: Version,
}

/// Everything a rule about one save may know, as of one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct SaveScene {
    /// Of the asking user.
    pub role: Option<Role>,
    /// The project lets annotators change what others drew.
    pub annotators_edit_all: bool,
    /// The label the save names is, or was, one of the project's.
    pub label_known: bool,
    /// The annotation, when there ever was one.
    pub stored: Option<Stored>,
    /// What its first version said, where the save would create it.
    pub first: Option<AnnotationFields>,
    /// What the save's key did before.
    pub applied: Option<Applied>,
    /// The image and its lock.
    pub lock: LockScene,
}

/// What becomes of a save.
#[derive(Debug, Clone, PartialEq)]
pub enum SaveDecision {
    /// Nothing is stored.
    Refuse(RefusalDetail),
    /// Nothing is stored: it was before.
    Replay {
        /// What was answered then.
        done: Box<WriteDone>,
        /// The annotation's version by now.
        newest: Version,
    },
    /// The new version.
    Write {
        /// The whole of it.
        annotation: Box<Annotation>,
        /// It is a tombstone.
        deleted: bool,
        /// Grant the lapsed lock anew, until then.
        regrant: Option<DateTime<Utc>>,
    },
}

/// What a write did; also what its key remembers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WriteDone {
    /// As the write left it.
    pub annotation: Annotation,
    /// It left a tombstone.
    pub deleted: bool,
    /// The lock that was granted anew.
    pub lock: Option<Lock>,
    /// Of the image, after it.
    pub image_revision: i64,
}

/// Judges a scene. It may be run again, and must then judge alike.
pub type SaveRule = Box<dyn Fn(&SaveScene) -> SaveDecision + Send>;

/// Which scene a rule is asked about.
#[derive(Debug, Clone)]
pub struct SaveQuestion {
    /// Who saves.
    pub party: Party,
    /// What.
    pub annotation: AnnotationId,
    /// Where, for one that may not exist yet.
    pub create_on: Option<ImageKey>,
    /// The label the save names.
    pub label: Option<LabelId>,
    /// The lock's generation the save names.
    pub generation: Option<Generation>,
    /// The save's key, and the fingerprint of its request.
    pub key: Option<(IdempotencyKey, Vec<u8>)>,
}

/// One save.
pub struct Save {
    /// What to show the rule.
    pub question: SaveQuestion,
    /// The rule.
    pub rule: SaveRule,
}

/// What came of a save.
#[derive(Debug, Clone)]
pub enum SaveOutcome {
    /// Nothing was stored.
    Refused(RefusalDetail),
    /// It had been applied before.
    Replayed {
        /// What was answered then.
        done: Box<WriteDone>,
        /// The annotation's version by now.
        newest: Version,
    },
    /// It is stored.
    Applied {
        /// What it did.
        done: Box<WriteDone>,
        /// The feed's newest place after it.
        cursor: Cursor,
    },
}

/// The outcomes of saves, and what else happened on the way.
#[derive(Debug, Clone)]
pub struct SaveReport {
    /// One for each save, in order.
    pub outcomes: Vec<SaveOutcome>,
    /// Locks that lapsed.
    pub ended: Vec<Ended>,
}

/// One state an annotation was in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AnnotationVersion {
    /// The number of this state.
    pub version: Version,
    /// What it said.
    #[serde(flatten)]
    pub fields: AnnotationFields,
    /// Who saved it.
    pub updated_by: UserId,
    /// When.
    pub updated_at: DateTime<Utc>,
    /// It is a tombstone.
    pub deleted: bool,
}
