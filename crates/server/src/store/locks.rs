//! What a rule about locks may know, and what it may decide.

use chrono::{DateTime, Duration, Utc};
use lockstep_wire::changes::ReleaseReason;
use lockstep_wire::refusal::Author;
use lockstep_wire::{
    ClientId, Generation, ImageId, Lock, ProjectId, RefusalDetail, Role, ServerEvent, UserId,
};
use serde::Serialize;

use super::{Announcement, ImageKey, Presence};

/// Who asks: a person, in one of his windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// The person.
    pub user: UserId,
    /// The window; absent for a client that knows part A alone.
    pub client: Option<ClientId>,
}

impl Party {
    /// Whether this party and a grant's holder are one. Without a window's name on either side, a lock is the
    /// person's.
    pub fn is(&self, user: UserId, client: Option<&ClientId>) -> bool {
        let same_window = match (&self.client, client) {
            (Some(mine), Some(theirs)) => mine == theirs,
            _ => true,
        };
        self.user == user && same_window
    }

    /// Whether this party holds the lock.
    pub fn holds(&self, lock: &Lock) -> bool {
        self.is(lock.user_id, lock.client_id.as_ref())
    }
}

/// How a grant ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// By what.
    pub reason: ReleaseReason,
    /// By whom, where it was not its holder.
    pub by: Option<Author>,
    /// When.
    pub at: DateTime<Utc>,
}

/// A grant there has been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastGrant {
    /// Which.
    pub generation: Generation,
    /// Absent while it is the live one.
    pub ended: Option<Ending>,
}

/// After a forced release the image is kept for the one who forced it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// As the others see it: the holder they are told of.
    pub seen_as: Lock,
}

/// Everything a rule about one image's lock may know, as of one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct LockScene {
    /// By the database's clock, the only one there is.
    pub now: DateTime<Utc>,
    /// Of the asking user.
    pub role: Option<Role>,
    /// Of the image.
    pub image: Presence,
    /// Changes whenever anything on the image does.
    pub image_revision: i64,
    /// The lock, when someone holds the image.
    pub live: Option<Lock>,
    /// The highest there ever was on this image; 0 when there was none.
    pub newest: Generation,
    /// The asking party's latest grant.
    pub own_last: Option<PastGrant>,
    /// The grant the request names, when it is the asking user's.
    pub named: Option<PastGrant>,
    /// When it has not lapsed.
    pub hold: Option<Hold>,
}

impl LockScene {
    /// Of an annotation that never was: nobody is a member of nowhere.
    pub(super) fn nowhere(now: DateTime<Utc>) -> Self {
        Self {
            now,
            role: None,
            image: Presence::Absent,
            image_revision: 0,
            live: None,
            newest: Generation(0),
            own_last: None,
            named: None,
            hold: None,
        }
    }
}

/// What someone without the right tried upon another's lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Attempt {
    /// To end it.
    Force,
    /// To take it over.
    TakeOver,
}

/// What becomes of a lock.
#[derive(Debug, Clone, PartialEq)]
pub enum LockDecision {
    /// Nothing: the request is refused.
    Refuse(RefusalDetail),
    /// Nothing: the request is refused, and that it was made is written down.
    RefuseAttempt(Attempt, RefusalDetail),
    /// Nothing: someone else has the image.
    HeldBy(Box<Lock>),
    /// Nothing: there was no such lock.
    Nothing,
    /// A new grant to the asking party; a live lock of anyone's is taken over.
    Grant {
        /// When it lapses.
        expires_at: DateTime<Utc>,
        /// The asker's machine, for people.
        device: Option<String>,
    },
    /// The asking party's live lock goes on.
    Renew {
        /// When it lapses now.
        expires_at: DateTime<Utc>,
    },
    /// The live lock ends.
    End {
        /// Why.
        reason: ReleaseReason,
        /// Until when the image is then kept for the asker.
        hold_until: Option<DateTime<Utc>>,
    },
}

/// Judges a scene. It may be run again, and must then judge alike.
pub type LockRule = Box<dyn Fn(&LockScene) -> LockDecision + Send>;

/// Which scene a rule is asked about.
#[derive(Debug, Clone)]
pub struct LockQuestion {
    /// Whose lock.
    pub image: ImageKey,
    /// Who asks.
    pub party: Party,
    /// The grant the request names.
    pub generation: Option<Generation>,
}

/// What came of a question.
#[derive(Debug, Clone)]
pub struct LockOutcome {
    /// The instant it was decided.
    pub now: DateTime<Utc>,
    /// What the rule said.
    pub decision: LockDecision,
    /// The lock as the decision left it.
    pub lock: Option<Lock>,
    /// Of the same instant.
    pub image_revision: i64,
    /// Every lock that ended on the way, lapsed ones of other images included.
    pub ended: Vec<Ended>,
}

/// A lock that has just ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Where.
    pub project: ProjectId,
    /// On which image.
    pub image: ImageId,
    /// Whose it was.
    pub user: UserId,
    /// Which grant.
    pub generation: Generation,
    /// By what.
    pub reason: ReleaseReason,
}

impl From<Ended> for Announcement {
    fn from(ended: Ended) -> Self {
        let event = ServerEvent::LockReleased {
            image_id: ended.image,
            user_id: ended.user,
            generation: ended.generation,
            reason: ended.reason,
        };
        Self {
            project: ended.project,
            event,
        }
    }
}

/// Lapsed locks ended in one step. The rest is ended by the next; no step is held up by thousands (E34).
pub(crate) const SETTLED_AT_ONCE: u32 = 200;

/// How stale the sign of life may get. A write a second would cost more than a lease made up a little too well.
pub(crate) const SIGN_OF_LIFE: Duration = Duration::seconds(5);

/// A pause longer than this is an outage: nobody could have renewed meanwhile, so nobody loses his lock by it.
pub(crate) const OUTAGE: Duration = Duration::seconds(30);

/// How long the server was away, when that was long enough to count; it must then be made up to every live lease. Not to
/// an image that is kept after a forced release: where nobody holds a lock there is no sign of life either, and what is
/// kept for half a minute would be kept for as long as nobody asks.
pub fn outage(alive_at: DateTime<Utc>, now: DateTime<Utc>) -> Option<Duration> {
    let away = now - alive_at;
    (away > OUTAGE).then_some(away)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(client: Option<&str>) -> Party {
        Party {
            user: UserId(1),
            client: client.map(ClientId::from),
        }
    }

    #[test]
    fn two_windows_of_one_person_are_two_parties() {
        assert!(party(Some("a")).is(UserId(1), Some(&"a".into())));
        assert!(!party(Some("a")).is(UserId(1), Some(&"b".into())));
        assert!(!party(Some("a")).is(UserId(2), Some(&"a".into())));
    }

    #[test]
    fn without_a_windows_name_a_lock_is_the_persons() {
        assert!(party(None).is(UserId(1), Some(&"a".into())));
        assert!(party(Some("a")).is(UserId(1), None));
        assert!(!party(None).is(UserId(2), None));
    }

    #[test]
    fn a_short_pause_is_no_outage_and_a_long_one_is_made_up_whole() {
        let then = DateTime::UNIX_EPOCH;
        assert_eq!(outage(then, then + Duration::seconds(30)), None);
        assert_eq!(
            outage(then, then + Duration::minutes(4)),
            Some(Duration::minutes(4))
        );
        assert_eq!(outage(then, then - Duration::hours(1)), None);
    }
}
