//! Who may edit an image, and until when.

use std::time::Duration;

use chrono::{DateTime, Utc};
use lockstep_wire::changes::ReleaseReason;
use lockstep_wire::{
    AcquireAnswer, AcquireRequest, Answer, ClientId, Generation, Grant, Heartbeat, HeartbeatRequest, ImageId,
    Lock, LockList, LockLoss, ProjectId, Refusal, RefusalDetail, Release, ReleaseRequest, Role, ServerEvent,
    UserId,
};

use super::{Service, check_text, forbidden, image_is_gone, internal, no_such_image};
use crate::store::{
    Announcement, ImageKey, LockDecision, LockOutcome, LockQuestion, LockRule, LockScene, Party, PastGrant,
    Presence,
};

impl Service {
    /// Gives the image to the asker if it is free or already his.
    pub async fn acquire(&self, user: UserId, request: AcquireRequest) -> Answer<AcquireAnswer> {
        check_client(request.client_id.as_ref())?;
        let AcquireRequest {
            project_id,
            image_id,
            client_id,
            device,
            take_over,
            include,
        } = request;
        let question = LockQuestion {
            image: ImageKey {
                project: project_id,
                image: image_id,
            },
            party: Party {
                user,
                client: client_id,
            },
            generation: None,
            include_annotations: include.iter().any(|part| part == "annotations"),
        };
        let (party, lease) = (question.party.clone(), self.settings.lease);
        let rule: LockRule =
            Box::new(move |scene| decide_acquire(scene, &party, take_over, device.clone(), lease));
        let outcome = self.update_lock(question, rule).await?;
        let now = outcome.now;
        match outcome.decision {
            LockDecision::HeldBy(holder) => Ok(AcquireAnswer::AlreadyLocked {
                locked_by: *holder,
                server_time: now,
            }),
            LockDecision::Grant { .. } => Ok(AcquireAnswer::Acquired(grant(outcome)?)),
            LockDecision::Renew { .. } => Ok(AcquireAnswer::Refreshed(grant(outcome)?)),
            other => Err(refusal_of(other).into()),
        }
    }

    /// Starts the asker's lease anew.
    pub async fn heartbeat(
        &self,
        user: UserId,
        project: ProjectId,
        image: ImageId,
        request: HeartbeatRequest,
    ) -> Answer<Heartbeat> {
        let HeartbeatRequest {
            generation,
            client_id,
        } = request;
        let question = question(user, client_id, project, image, generation)?;
        let (party, lease) = (question.party.clone(), self.settings.lease);
        let rule: LockRule = Box::new(move |scene| decide_heartbeat(scene, &party, generation, lease));
        let outcome = self.update_lock(question, rule).await?;
        match outcome.decision {
            LockDecision::Renew { .. } => {
                let Grant {
                    lock,
                    server_time,
                    ttl_ms,
                    ..
                } = grant(outcome)?;
                Ok(Heartbeat::Refreshed {
                    lock,
                    server_time,
                    ttl_ms,
                })
            }
            other => Err(refusal_of(other).into()),
        }
    }

    /// Gives the asker's lock back, and never another's.
    pub async fn release(
        &self,
        user: UserId,
        project: ProjectId,
        image: ImageId,
        request: ReleaseRequest,
    ) -> Answer<Release> {
        let ReleaseRequest {
            generation,
            client_id,
        } = request;
        let question = question(user, client_id, project, image, generation)?;
        let party = question.party.clone();
        let rule: LockRule = Box::new(move |scene| decide_release(scene, &party, generation));
        let outcome = self.update_lock(question, rule).await?;
        release_of(outcome.decision)
    }

    /// Ends whoever's lock, and keeps the image for the asker for a little while.
    pub async fn force_release(&self, user: UserId, project: ProjectId, image: ImageId) -> Answer<Release> {
        let question = question(user, None, project, image, None)?;
        let hold = self.settings.force_hold;
        let rule: LockRule = Box::new(move |scene| decide_force(scene, hold));
        let outcome = self.update_lock(question, rule).await?;
        release_of(outcome.decision)
    }

    /// A project's live locks.
    pub async fn locks(&self, user: UserId, project: &ProjectId) -> Answer<LockList> {
        self.member(user, project).await?;
        let (locks, ended) = self.store.locks(project).await?;
        self.announce(ended);
        Ok(LockList { locks })
    }

    /// Who holds an image.
    pub async fn lock_status(
        &self,
        user: UserId,
        project: ProjectId,
        image: ImageId,
    ) -> Answer<Option<Lock>> {
        let question = question(user, None, project, image, None)?;
        let rule: LockRule = Box::new(|scene| match authorise_look(scene) {
            Ok(()) => LockDecision::Nothing,
            Err(refusal) => LockDecision::Refuse(refusal),
        });
        Ok(self.update_lock(question, rule).await?.lock)
    }

    /// Ends lapsed locks; whoever waits for one is told.
    pub async fn sweep(&self) -> Answer<()> {
        self.announce(self.store.settle_locks().await?);
        Ok(())
    }

    async fn update_lock(&self, question: LockQuestion, rule: LockRule) -> Answer<LockOutcome> {
        let project = question.image.project.clone();
        let mut outcome = self.store.update_lock(question, rule).await?;
        self.announce(std::mem::take(&mut outcome.ended));
        if let (LockDecision::Grant { .. }, Some(lock)) = (&outcome.decision, &outcome.lock) {
            self.announce([Announcement {
                project,
                event: ServerEvent::LockAcquired { lock: lock.clone() },
            }]);
        }
        match outcome.decision {
            LockDecision::Refuse(refusal) => Err(refusal.into()),
            _ => Ok(outcome),
        }
    }
}

fn question(
    user: UserId,
    client: Option<ClientId>,
    project: ProjectId,
    image: ImageId,
    generation: Option<Generation>,
) -> Answer<LockQuestion> {
    check_client(client.as_ref())?;
    Ok(LockQuestion {
        image: ImageKey { project, image },
        party: Party { user, client },
        generation,
        include_annotations: false,
    })
}

pub(super) fn check_client(client: Option<&ClientId>) -> Answer<()> {
    client.map_or(Ok(()), |client| check_text("The client id", client.as_str(), 64))
}

fn grant(outcome: LockOutcome) -> Answer<Grant> {
    let lock = outcome
        .lock
        .ok_or_else(|| internal(&anyhow::anyhow!("a granted lock is not there")))?;
    let ttl = lock.expires_at - outcome.now;
    Ok(Grant {
        ttl_ms: ttl.num_milliseconds().unsigned_abs(),
        lock,
        image_revision: outcome.image_revision,
        server_time: outcome.now,
        annotations: outcome.annotations,
    })
}

/// Of a decision its rule never makes.
fn refusal_of(decision: LockDecision) -> RefusalDetail {
    match decision {
        LockDecision::Refuse(refusal) => refusal,
        _ => Refusal::Internal.because("The server decided something it does not understand."),
    }
}

fn release_of(decision: LockDecision) -> Answer<Release> {
    match decision {
        LockDecision::End { .. } => Ok(Release::Released),
        LockDecision::Nothing => Ok(Release::NotHeld),
        other => Err(refusal_of(other).into()),
    }
}

/// Members may look, at what there is.
fn authorise_look(scene: &LockScene) -> Result<(), RefusalDetail> {
    match (scene.role, scene.image) {
        (None, _) | (_, Presence::Absent) => Err(no_such_image()),
        _ => Ok(()),
    }
}

/// Whoever annotates may hold a lock, on what is still there.
fn authorise_lock(scene: &LockScene) -> Result<Role, RefusalDetail> {
    authorise_look(scene)?;
    let role = scene.role.ok_or_else(no_such_image)?;
    if !role.annotates() {
        return Err(forbidden(
            "Your role in this project does not let you edit images.",
        ));
    }
    if scene.image == Presence::Deleted {
        return Err(image_is_gone());
    }
    Ok(role)
}

fn decide_acquire(
    scene: &LockScene,
    party: &Party,
    take_over: bool,
    device: Option<String>,
    lease: Duration,
) -> LockDecision {
    let role = match authorise_lock(scene) {
        Ok(role) => role,
        Err(refusal) => return LockDecision::Refuse(refusal),
    };
    let kept_for_another = scene
        .hold
        .as_ref()
        .map(|hold| &hold.seen_as)
        .filter(|lock| lock.user_id != party.user);
    match scene.live.as_ref().or(kept_for_another) {
        Some(lock) if scene.live.is_some() && party.holds(lock) => LockDecision::Renew {
            expires_at: renewed(lock, scene.now, lease),
        },
        Some(lock) if !take_over => LockDecision::HeldBy(Box::new(lock.clone())),
        Some(lock) if lock.user_id != party.user && !role.manages() => LockDecision::Refuse(forbidden(
            "Only the project's owner and managers may take over another person's lock.",
        )),
        _ => LockDecision::Grant {
            expires_at: scene.now + lease,
            device,
        },
    }
}

/// A lease's end never moves backwards, whatever the settings and the clock have done.
fn renewed(lock: &Lock, now: DateTime<Utc>, lease: Duration) -> DateTime<Utc> {
    lock.expires_at.max(now + lease)
}

fn decide_heartbeat(
    scene: &LockScene,
    party: &Party,
    generation: Option<Generation>,
    lease: Duration,
) -> LockDecision {
    if let Err(refusal) = authorise_lock(scene) {
        return LockDecision::Refuse(refusal);
    }
    match &scene.live {
        Some(lock) if party.holds(lock) && generation.is_none_or(|named| named == lock.generation) => {
            LockDecision::Renew {
                expires_at: renewed(lock, scene.now, lease),
            }
        }
        _ => LockDecision::Refuse(lock_lost(scene, generation)),
    }
}

fn decide_release(scene: &LockScene, party: &Party, generation: Option<Generation>) -> LockDecision {
    match &scene.live {
        // Even for one who is no longer a member: giving back is always right.
        Some(lock) if party.holds(lock) && generation.is_none_or(|named| named == lock.generation) => {
            LockDecision::End {
                reason: ReleaseReason::Released,
                hold_until: None,
            }
        }
        _ => match authorise_look(scene) {
            Ok(()) => LockDecision::Nothing,
            Err(refusal) => LockDecision::Refuse(refusal),
        },
    }
}

fn decide_force(scene: &LockScene, hold: Duration) -> LockDecision {
    if let Err(refusal) = authorise_look(scene) {
        return LockDecision::Refuse(refusal);
    }
    if !scene.role.is_some_and(Role::manages) {
        let message = "Only the project's owner and managers may end another person's lock.";
        return LockDecision::Refuse(forbidden(message));
    }
    match scene.live {
        Some(_) => LockDecision::End {
            reason: ReleaseReason::Forced,
            hold_until: Some(scene.now + hold),
        },
        None => LockDecision::Nothing,
    }
}

/// What the lock means for a write.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum WriteLock {
    /// It may be stored.
    Go,
    /// It may be stored, and the lapsed lock is then granted anew.
    GoAndRegrant,
    /// It may not.
    Refuse(RefusalDetail),
}

/// Whether a write may pass the image's lock (contract B1).
pub(super) fn decide_write_lock(
    scene: &LockScene,
    party: &Party,
    generation: Option<Generation>,
) -> WriteLock {
    let refuse_lost = || WriteLock::Refuse(lock_lost(scene, generation));
    if let Some(lock) = scene.live.as_ref().filter(|lock| party.holds(lock)) {
        return if generation.is_none_or(|named| named == lock.generation) {
            WriteLock::Go
        } else {
            refuse_lost()
        };
    }
    let last = if generation.is_some() {
        &scene.named
    } else {
        &scene.own_last
    };
    let reason = last.as_ref().map(|last| {
        last.ended
            .as_ref()
            .map_or(ReleaseReason::Expired, |ended| ended.reason)
    });
    // Whoever was thrown out is told so, even when the image has a new holder by now.
    if matches!(reason, Some(ReleaseReason::Forced | ReleaseReason::TakenOver)) {
        return refuse_lost();
    }
    let kept_for_another = scene
        .hold
        .as_ref()
        .map(|hold| &hold.seen_as)
        .filter(|lock| lock.user_id != party.user);
    if let Some(holder) = scene.live.as_ref().or(kept_for_another) {
        let message = image_locked_message(holder, party);
        return WriteLock::Refuse(
            Refusal::ImageLocked {
                locked_by: Box::new(holder.clone()),
            }
            .because(message),
        );
    }
    let nobody_since = last.as_ref().is_some_and(|last| last.generation == scene.newest);
    match reason {
        Some(ReleaseReason::Expired) if nobody_since => WriteLock::GoAndRegrant,
        Some(ReleaseReason::Expired) => refuse_lost(),
        // A save that was under way when its own window let go of the image.
        Some(_) if generation.is_none() || nobody_since => WriteLock::Go,
        None if generation.is_none() => WriteLock::Go,
        _ => refuse_lost(),
    }
}

fn image_locked_message(holder: &Lock, party: &Party) -> String {
    if holder.user_id == party.user {
        "You are editing this image in another window.".into()
    } else {
        format!("This image is currently being edited by {}.", holder.user_name)
    }
}

/// How the caller's lock was lost: the one he names, else his latest.
fn lock_lost(scene: &LockScene, generation: Option<Generation>) -> RefusalDetail {
    let last: Option<&PastGrant> = if generation.is_some() {
        scene.named.as_ref()
    } else {
        scene.own_last.as_ref()
    };
    let ending = last.and_then(|last| last.ended.as_ref());
    let reason = match ending.map(|ending| ending.reason) {
        Some(ReleaseReason::Expired) => LockLoss::Expired,
        Some(ReleaseReason::Forced) => LockLoss::Forced,
        Some(ReleaseReason::TakenOver) => LockLoss::TakenOver,
        Some(ReleaseReason::Released) | None => LockLoss::Unknown,
    };
    let by = ending.and_then(|ending| ending.by.clone());
    let who = by.as_ref().map_or("someone", |author| author.user_name.as_str());
    let message = match reason {
        LockLoss::Expired => "Your lock on this image has expired.".to_owned(),
        LockLoss::Forced => format!("Your lock on this image was ended by {who}."),
        LockLoss::TakenOver => format!("This image was taken over by {who}."),
        LockLoss::Unknown => "You do not hold a lock on this image.".to_owned(),
    };
    Refusal::LockExpired {
        reason,
        by,
        at: ending.map(|ending| ending.at),
    }
    .because(message)
}
