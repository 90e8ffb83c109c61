//! What a round has read and decided so far.
//!
//! **Invariant:** nothing here asks the database; a rule sees what those before it in the round decided.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use lockstep_wire::changes::ReleaseReason;
use lockstep_wire::refusal::Author;
use lockstep_wire::{
    Annotation, AnnotationFields, AnnotationId, ClientId, Cursor, Generation, IdempotencyKey, ImageId, Lock,
    ProjectId, User, UserId, Version,
};

use super::scenes::Seat;
use crate::store::changes::Kind;
use crate::store::names::to_name;
use crate::store::{
    Applied, Ended, Ending, Hold, ImageKey, LockDecision, LockOutcome, LockQuestion, LockRule, LockScene,
    Party, PastGrant, Presence, Save, SaveDecision, SaveOutcome, SaveQuestion, SaveReport, SaveScene, Stored,
    WriteDone,
};

pub(super) struct Table {
    pub(super) now: DateTime<Utc>,
    generation_floor: i64,
    /// There is something to settle first.
    pub(super) unsettled: bool,
    pub(super) images: HashMap<ImageKey, ImageState>,
    pub(super) annotations: HashMap<AnnotationId, AnnotationState>,
    pub(super) applied: HashMap<(UserId, IdempotencyKey), KeyState>,
    /// Of this round, in order.
    pub(super) versions: Vec<(Annotation, bool)>,
    pub(super) remembered: Vec<(UserId, IdempotencyKey, Vec<u8>, WriteDone)>,
    pub(super) attempts: BTreeMap<(ProjectId, ImageId, UserId, String), i64>,
    /// What goes to the end of which project's feed, in order; the last mention of a thing counts.
    pub(super) feed: Vec<(ProjectId, Kind, String)>,
}

pub(super) struct ImageState {
    pub(super) presence: Presence,
    pub(super) revision: i64,
    pub(super) more_annotations: i64,
    pub(super) touched: bool,
    pub(super) lock: Option<Lock>,
    pub(super) lock_change: LockChange,
    /// The highest generation there ever was.
    pub(super) newest: Generation,
    pub(super) held: Option<Held>,
    pub(super) counter_changed: bool,
    /// Those that the round's questions are about.
    pub(super) grants: BTreeMap<Generation, GrantState>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum LockChange {
    None,
    /// The row stays and its lease goes on.
    Renewed,
    /// The row went, came or became another's.
    Other,
}

pub(super) struct Held {
    pub(super) keeper: User,
    pub(super) until: DateTime<Utc>,
}

pub(super) struct GrantState {
    pub(super) user: UserId,
    pub(super) client: Option<ClientId>,
    pub(super) ended: Option<Ending>,
    pub(super) change: GrantChange,
}

pub(super) enum GrantChange {
    None,
    Ended,
    /// Of this round.
    New {
        device: Option<String>,
    },
}

#[derive(Default)]
pub(super) struct AnnotationState {
    pub(super) stored: Option<Stored>,
    /// What its first version said, where there is a later one and a question would create it.
    pub(super) first: Option<AnnotationFields>,
    pub(super) written: bool,
}

pub(super) struct KeyState {
    pub(super) fingerprint: Vec<u8>,
    pub(super) done: WriteDone,
    pub(super) annotation: AnnotationId,
    pub(super) newest: Version,
}

impl AnnotationState {
    fn first_fields(&self) -> Option<&AnnotationFields> {
        let only = self.stored.as_ref().map(|stored| &stored.annotation);
        let only = only.filter(|annotation| annotation.version == Version::FIRST);
        self.first.as_ref().or(only.map(|annotation| &annotation.fields))
    }
}

impl ImageState {
    fn end(
        &mut self,
        key: &ImageKey,
        at: DateTime<Utc>,
        reason: ReleaseReason,
        by: Option<&User>,
    ) -> Option<Ended> {
        let lock = self.lock.take()?;
        self.lock_change = LockChange::Other;
        let grant = self.grants.entry(lock.generation).or_insert_with(|| GrantState {
            user: lock.user_id,
            client: lock.client_id.clone(),
            ended: None,
            change: GrantChange::None,
        });
        grant.ended = Some(Ending {
            reason,
            by: by.map(|by| Author::from(by.clone())),
            at,
        });
        if let GrantChange::None = grant.change {
            grant.change = GrantChange::Ended;
        }
        Some(Ended {
            project: key.project.clone(),
            image: key.image.clone(),
            user: lock.user_id,
            generation: lock.generation,
            reason,
        })
    }

    fn end_lapsed(&mut self, key: &ImageKey, now: DateTime<Utc>) -> Option<Ended> {
        let at = self.lock.as_ref()?.expires_at;
        if at > now {
            return None;
        }
        self.end(key, at, ReleaseReason::Expired, None)
    }

    /// Gives the image to someone, whose generation is above every earlier one and above the floor.
    fn grant(&mut self, lock: Lock, floor: i64) {
        self.newest = Generation(self.newest.0.max(floor) + 1);
        self.held = None;
        self.counter_changed = true;
        self.lock_change = LockChange::Other;
        let grant = GrantState {
            user: lock.user_id,
            client: lock.client_id.clone(),
            ended: None,
            change: GrantChange::New {
                device: lock.device.clone(),
            },
        };
        self.grants.insert(self.newest, grant);
        self.lock = Some(Lock {
            generation: self.newest,
            ..lock
        });
    }

    fn live(&self, now: DateTime<Utc>) -> Option<&Lock> {
        self.lock.as_ref().filter(|lock| lock.expires_at > now)
    }

    fn scene(
        &self,
        key: &ImageKey,
        seat: &Seat,
        party: &Party,
        generation: Option<Generation>,
        now: DateTime<Utc>,
    ) -> LockScene {
        let past = |(generation, grant): (&Generation, &GrantState)| PastGrant {
            generation: *generation,
            ended: grant.ended.clone(),
        };
        let own_last = self
            .grants
            .iter()
            .rev()
            .find(|(_, grant)| party.is(grant.user, grant.client.as_ref()));
        let named = generation
            .and_then(|generation| self.grants.get_key_value(&generation))
            .filter(|(_, grant)| grant.user == party.user);
        let hold = self
            .held
            .as_ref()
            .filter(|held| held.until > now)
            .map(|held| Hold {
                seen_as: Lock {
                    image_id: key.image.clone(),
                    user_id: held.keeper.id,
                    locked_at: now,
                    expires_at: held.until,
                    heartbeat_at: now,
                    user_name: held.keeper.name.clone(),
                    user_email: held.keeper.email.clone(),
                    generation: self.newest,
                    client_id: None,
                    device: None,
                },
            });
        LockScene {
            now,
            role: seat.role,
            image: self.presence,
            image_revision: self.revision,
            live: self.live(now).cloned(),
            newest: self.newest,
            own_last: own_last.map(past),
            named: named.map(past),
            hold,
        }
    }
}

impl Table {
    pub(super) fn begin(now: DateTime<Utc>, generation_floor: i64, unsettled: bool) -> Self {
        Self {
            now,
            generation_floor,
            unsettled,
            images: HashMap::new(),
            annotations: HashMap::new(),
            applied: HashMap::new(),
            versions: Vec::new(),
            remembered: Vec::new(),
            attempts: BTreeMap::new(),
            feed: Vec::new(),
        }
    }

    pub(super) fn update_lock(
        &mut self,
        seat: &Seat,
        question: &LockQuestion,
        rule: &LockRule,
    ) -> anyhow::Result<LockOutcome> {
        let LockQuestion {
            image: key,
            party,
            generation,
        } = question;
        let now = self.now;
        let image = self.images.get_mut(key).context("a lock of no image")?;
        let mut ended = Vec::new();
        ended.extend(image.end_lapsed(key, now));
        let scene = image.scene(key, seat, party, *generation, now);
        let decision = rule(&scene);
        let asker = || seat.asker.as_ref().context("a lock of nobody's");
        match &decision {
            LockDecision::Refuse(_) | LockDecision::HeldBy(_) | LockDecision::Nothing => {}
            LockDecision::RefuseAttempt(attempt, _) => {
                let place = (
                    key.project.clone(),
                    key.image.clone(),
                    party.user,
                    to_name(*attempt)?,
                );
                *self.attempts.entry(place).or_default() += 1;
            }
            LockDecision::Grant { expires_at, device } => {
                let asker = asker()?;
                ended.extend(image.end(key, now, ReleaseReason::TakenOver, Some(asker)));
                let lock = lock_for(key, party, asker, device.clone(), now, *expires_at);
                image.grant(lock, self.generation_floor);
            }
            LockDecision::Renew { expires_at } => {
                if let Some(lock) = &mut image.lock {
                    lock.heartbeat_at = now;
                    lock.expires_at = *expires_at;
                    if lock.client_id.is_none() {
                        lock.client_id.clone_from(&party.client);
                    }
                    if image.lock_change == LockChange::None {
                        image.lock_change = LockChange::Renewed;
                    }
                }
            }
            LockDecision::End { reason, hold_until } => {
                let by = match reason {
                    ReleaseReason::Released => None,
                    _ => Some(asker()?),
                };
                ended.extend(image.end(key, now, *reason, by));
                if let Some(until) = hold_until {
                    image.held = Some(Held {
                        keeper: asker()?.clone(),
                        until: *until,
                    });
                    image.counter_changed = true;
                }
            }
        }
        Ok(LockOutcome {
            now,
            decision,
            lock: image.live(now).cloned(),
            image_revision: scene.image_revision,
            ended,
        })
    }

    pub(super) fn save(&mut self, seats: &[Seat], saves: &[Save]) -> anyhow::Result<SaveReport> {
        let mut ended = Vec::new();
        let mut outcomes = Vec::with_capacity(saves.len());
        // A re-granted lock's new generation stands for the one that the later saves of this batch still name.
        let mut regranted: Option<(Generation, Generation)> = None;
        for (Save { question, rule }, seat) in saves.iter().zip(seats) {
            let generation = match regranted {
                Some((old, new)) if question.generation == Some(old) => Some(new),
                _ => question.generation,
            };
            let scene = self.save_scene(seat, question, generation);
            outcomes.push(match rule(&scene) {
                SaveDecision::Refuse(detail) => SaveOutcome::Refused(detail),
                SaveDecision::Replay { done, newest } => SaveOutcome::Replayed { done, newest },
                SaveDecision::Write {
                    annotation,
                    deleted,
                    regrant,
                } => {
                    let done = self.write(seat, question, *annotation, deleted, regrant, &mut ended)?;
                    if let Some(lock) = &done.lock {
                        regranted = generation.map(|old| (old, lock.generation));
                    }
                    // Its place in the feed is known once the round is stored.
                    SaveOutcome::Applied {
                        done: Box::new(done),
                        cursor: Cursor(0),
                    }
                }
            });
        }
        Ok(SaveReport { outcomes, ended })
    }

    fn save_scene(&self, seat: &Seat, question: &SaveQuestion, generation: Option<Generation>) -> SaveScene {
        let now = self.now;
        // Without a place it was not there when the round began, whatever an earlier save of the round has made.
        let state = self
            .annotations
            .get(&question.annotation)
            .filter(|_| seat.place.is_some());
        let stored = state.and_then(|state| state.stored.clone());
        let first = state.and_then(AnnotationState::first_fields).cloned();
        let lock = match seat
            .place
            .as_ref()
            .and_then(|key| Some((key, self.images.get(key)?)))
        {
            Some((key, image)) => image.scene(key, seat, &question.party, generation, now),
            None => LockScene::nowhere(now),
        };
        let applied = question.key.as_ref().and_then(|(key, _)| {
            let state = self.applied.get(&(question.party.user, key.clone()))?;
            let newest = self.annotations.get(&state.annotation);
            let newest = newest.and_then(|annotation| annotation.stored.as_ref());
            Some(Applied {
                fingerprint: state.fingerprint.clone(),
                done: state.done.clone(),
                newest: newest.map_or(state.newest, |stored| stored.annotation.version),
            })
        });
        SaveScene {
            role: lock.role,
            annotators_edit_all: seat.annotators_edit_all,
            label_known: seat.label_known,
            first,
            stored,
            applied,
            lock,
        }
    }

    fn write(
        &mut self,
        seat: &Seat,
        question: &SaveQuestion,
        annotation: Annotation,
        deleted: bool,
        regrant: Option<DateTime<Utc>>,
        ended: &mut Vec<Ended>,
    ) -> anyhow::Result<WriteDone> {
        let now = self.now;
        let key = ImageKey::of(&annotation);
        let asker = seat.asker.as_ref().context("a save of nobody's")?;
        let image = self.images.get_mut(&key).context("an annotation of no image")?;
        let state = self.annotations.entry(annotation.id.clone()).or_default();
        let was_live = state.stored.as_ref().is_some_and(|stored| !stored.deleted);
        state.first = state.first_fields().cloned();
        state.stored = Some(Stored {
            annotation: annotation.clone(),
            deleted,
            updated_by: Author::from(asker.clone()),
        });
        state.written = true;
        image.revision = image.revision.max(self.generation_floor) + 1;
        image.touched = true;
        image.more_annotations += i64::from(!deleted) - i64::from(was_live);
        let mut lock = None;
        if let Some(expires_at) = regrant {
            ended.extend(image.end(&key, now, ReleaseReason::Expired, None));
            let (party, device) = (&question.party, seat.last_device.clone());
            let granted = lock_for(&key, party, asker, device, now, expires_at);
            image.grant(granted, self.generation_floor);
            lock = image.live(now).cloned();
        }
        self.versions.push((annotation.clone(), deleted));
        self.feed
            .push((key.project.clone(), Kind::Annotation, annotation.id.0.clone()));
        self.feed.push((key.project, Kind::Image, key.image.0));
        let done = WriteDone {
            annotation,
            deleted,
            lock,
            image_revision: image.revision,
        };
        if let Some((key, fingerprint)) = &question.key {
            let user = question.party.user;
            let state = KeyState {
                fingerprint: fingerprint.clone(),
                done: done.clone(),
                annotation: done.annotation.id.clone(),
                newest: done.annotation.version,
            };
            self.applied.insert((user, key.clone()), state);
            self.remembered
                .push((user, key.clone(), fingerprint.clone(), done.clone()));
        }
        Ok(done)
    }
}

/// Its generation is given with the grant.
fn lock_for(
    key: &ImageKey,
    party: &Party,
    holder: &User,
    device: Option<String>,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Lock {
    Lock {
        image_id: key.image.clone(),
        user_id: party.user,
        locked_at: now,
        expires_at,
        heartbeat_at: now,
        user_name: holder.name.clone(),
        user_email: holder.email.clone(),
        generation: Generation(0),
        client_id: party.client.clone(),
        device,
    }
}
