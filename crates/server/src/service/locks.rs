//! Who may edit an image, and until when.

use std::time::Duration;

use chrono::{DateTime, Utc};
use lockstep_wire::changes::ReleaseReason;
use lockstep_wire::{
    AcquireAnswer, AcquireRequest, Answer, ClientId, Generation, Grant, Heartbeat, HeartbeatRequest, ImageId,
    Lock, LockList, LockLoss, ProjectId, Refusal, RefusalDetail, Release, ReleaseRequest, Role, ServerEvent,
    UserId,
};

use super::{Service, check_text, forbidden, image_is_gone, internal, no_such_image, no_such_project};
use crate::store::{
    Announcement, Attempt, ImageKey, LockDecision, LockOutcome, LockQuestion, LockRule, LockScene, Party,
    PastGrant, Presence,
};

impl Service {
    /// Gives the image to the asker if it is free or already his.
    pub async fn acquire(&self, user: UserId, request: AcquireRequest) -> Answer<AcquireAnswer> {
        check_client(request.client_id.as_ref())?;
        if let Some(device) = &request.device {
            check_text("The device's name", device, 100)?;
        }
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
        };
        let (party, lease) = (question.party.clone(), self.settings.lease);
        let rule: LockRule =
            Box::new(move |scene| decide_acquire(scene, &party, take_over, device.clone(), lease));
        let image = question.image.clone();
        let outcome = self.update_lock(question, rule).await?;
        let now = outcome.now;
        // Read once the lock is the asker's: from then on it is he alone who changes them.
        let with_annotations = async |mut grant: Grant| {
            if include.iter().any(|part| part == "annotations") {
                let there = self
                    .annotations(user, image.project, image.image)
                    .await?
                    .parse()?;
                grant.image_revision = there.image_revision;
                grant.annotations = Some(there.annotations);
            }
            Answer::Ok(grant)
        };
        match outcome.decision {
            LockDecision::HeldBy(holder) => Ok(AcquireAnswer::AlreadyLocked {
                locked_by: *holder,
                server_time: now,
            }),
            LockDecision::Grant { .. } => {
                Ok(AcquireAnswer::Acquired(with_annotations(grant(outcome)?).await?))
            }
            LockDecision::Renew { .. } => {
                Ok(AcquireAnswer::Refreshed(with_annotations(grant(outcome)?).await?))
            }
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
        let (locks, ended) = self.store.locks(project, user).await?;
        self.announce(ended);
        let locks = locks.ok_or_else(no_such_project)?;
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
            LockDecision::HeldBy(_) => self.metrics.lock_refused(),
            LockDecision::Renew { .. } => self.metrics.lock_renewed(),
            _ => {}
        }
        match outcome.decision {
            LockDecision::Refuse(refusal) | LockDecision::RefuseAttempt(_, refusal) => Err(refusal.into()),
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
    })
}

pub(super) fn check_client(client: Option<&ClientId>) -> Result<(), RefusalDetail> {
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
        annotations: None,
    })
}

/// Of a decision its rule never makes.
fn refusal_of(decision: LockDecision) -> RefusalDetail {
    match decision {
        LockDecision::Refuse(refusal) | LockDecision::RefuseAttempt(_, refusal) => refusal,
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

/// Of what is not there nothing is written down.
fn refuse_attempt(scene: &LockScene, attempt: Attempt, refusal: RefusalDetail) -> LockDecision {
    match scene.image {
        Presence::Absent => LockDecision::Refuse(refusal),
        _ => LockDecision::RefuseAttempt(attempt, refusal),
    }
}

fn decide_acquire(
    scene: &LockScene,
    party: &Party,
    take_over: bool,
    device: Option<String>,
    lease: Duration,
) -> LockDecision {
    let refuse = |refusal| match take_over {
        true => refuse_attempt(scene, Attempt::TakeOver, refusal),
        false => LockDecision::Refuse(refusal),
    };
    let role = match authorise_lock(scene) {
        Ok(role) => role,
        Err(refusal) => return refuse(refusal),
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
        Some(lock) if lock.user_id != party.user && !role.manages() => refuse(forbidden(
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
    let allowed = authorise_look(scene).and_then(|()| match scene.role {
        Some(role) if role.manages() => Ok(()),
        _ => Err(forbidden(
            "Only the project's owner and managers may end another person's lock.",
        )),
    });
    if let Err(refusal) = allowed {
        return refuse_attempt(scene, Attempt::Force, refusal);
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::store::{Ending, Hold};
    use lockstep_wire::refusal::Author;

    const LEASE: Duration = Duration::from_secs(300);

    pub(in crate::service) fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + chrono::Duration::seconds(seconds)
    }

    pub(in crate::service) fn party(user: i64, client: Option<&str>) -> Party {
        Party {
            user: UserId(user),
            client: client.map(ClientId::from),
        }
    }

    /// A free image that nobody ever held, seen by an annotator.
    pub(in crate::service) fn free() -> LockScene {
        LockScene {
            now: at(1000),
            role: Some(Role::Annotator),
            image: Presence::Live,
            image_revision: 1,
            live: None,
            newest: Generation(0),
            own_last: None,
            named: None,
            hold: None,
        }
    }

    pub(in crate::service) fn lock(user: i64, client: Option<&str>, generation: i64) -> Lock {
        Lock {
            image_id: "i".into(),
            user_id: UserId(user),
            locked_at: at(900),
            expires_at: at(1200),
            heartbeat_at: at(900),
            user_name: format!("user {user}"),
            user_email: format!("{user}@example.org"),
            generation: Generation(generation),
            client_id: client.map(ClientId::from),
            device: None,
        }
    }

    pub(in crate::service) fn held(user: i64, client: Option<&str>, generation: i64) -> LockScene {
        LockScene {
            live: Some(lock(user, client, generation)),
            newest: Generation(generation),
            ..free()
        }
    }

    pub(in crate::service) fn past(generation: i64, reason: Option<ReleaseReason>) -> Option<PastGrant> {
        let by = |reason| match reason {
            ReleaseReason::Forced | ReleaseReason::TakenOver => Some(Author {
                user_id: UserId(9),
                user_name: "Olga".into(),
            }),
            _ => None,
        };
        let ended = reason.map(|reason| Ending {
            reason,
            by: by(reason),
            at: at(950),
        });
        Some(PastGrant {
            generation: Generation(generation),
            ended,
        })
    }

    fn kept_for(user: i64) -> Option<Hold> {
        Some(Hold {
            seen_as: lock(user, None, 3),
        })
    }

    fn acquire(scene: &LockScene, party: &Party, take_over: bool) -> String {
        match decide_acquire(scene, party, take_over, None, LEASE) {
            LockDecision::Grant { expires_at, .. } if expires_at == at(1300) => "grant".into(),
            LockDecision::Renew { expires_at } if expires_at == at(1300) => "renew".into(),
            LockDecision::HeldBy(lock) => format!("held by {}", lock.user_id),
            LockDecision::Refuse(refusal) | LockDecision::RefuseAttempt(Attempt::TakeOver, refusal) => {
                refusal.refusal.status().to_string()
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn an_image_is_given_to_one_party_at_a_time() {
        let role = |role, scene| LockScene { role, ..scene };
        #[rustfmt::skip]
        let rows = [
            ("free", free(), party(1, None), false, "grant"),
            ("mine", held(1, None, 3), party(1, None), false, "renew"),
            ("mine, another window", held(1, Some("a"), 3), party(1, Some("b")), false, "held by 1"),
            ("mine, another window, take over", held(1, Some("a"), 3), party(1, Some("b")), true, "grant"),
            ("another's", held(2, None, 3), party(1, None), false, "held by 2"),
            ("another's, take over", held(2, None, 3), party(1, None), true, "403"),
            ("another's, manager", role(Some(Role::Manager), held(2, None, 3)), party(1, None), false, "held by 2"),
            ("another's, manager, take over", role(Some(Role::Manager), held(2, None, 3)), party(1, None), true, "grant"),
            ("kept for another", LockScene { hold: kept_for(2), ..free() }, party(1, None), false, "held by 2"),
            ("kept for me", LockScene { hold: kept_for(1), ..free() }, party(1, None), false, "grant"),
            ("a viewer", role(Some(Role::Viewer), free()), party(1, None), false, "403"),
            ("a reviewer", role(Some(Role::Reviewer), free()), party(1, None), false, "403"),
            ("a stranger", role(None, free()), party(1, None), false, "404"),
            ("deleted", LockScene { image: Presence::Deleted, ..free() }, party(1, None), false, "410"),
            ("a stranger, deleted", LockScene { image: Presence::Deleted, role: None, ..free() }, party(1, None), false, "404"),
            ("never there", LockScene { image: Presence::Absent, ..free() }, party(1, None), false, "404"),
        ];
        for (case, scene, party, take_over, expected) in rows {
            assert_eq!(acquire(&scene, &party, take_over), expected, "{case}");
        }
    }

    #[test]
    fn a_shorter_lease_does_not_move_the_end_of_a_longer_one() {
        let decision = decide_acquire(
            &held(1, None, 3),
            &party(1, None),
            false,
            None,
            Duration::from_secs(1),
        );
        assert_eq!(decision, LockDecision::Renew { expires_at: at(1200) });
    }

    #[test]
    fn a_beat_renews_its_own_grant_and_touches_no_other() {
        let lost = |reason| format!("423 {reason:?}");
        #[rustfmt::skip]
        let rows = [
            ("mine", held(1, None, 3), party(1, None), None, "renew".to_owned()),
            ("mine, named", held(1, None, 3), party(1, None), Some(3), "renew".to_owned()),
            ("an older grant of mine", LockScene { named: past(2, Some(ReleaseReason::Expired)), ..held(1, None, 3) }, party(1, None), Some(2), lost(LockLoss::Expired)),
            ("my other window's", held(1, Some("a"), 3), party(1, Some("b")), None, lost(LockLoss::Unknown)),
            ("another's", held(2, None, 3), party(1, None), None, lost(LockLoss::Unknown)),
            ("another's, who took it over", LockScene { own_last: past(2, Some(ReleaseReason::TakenOver)), ..held(2, None, 3) }, party(1, None), None, lost(LockLoss::TakenOver)),
            ("forced", LockScene { own_last: past(2, Some(ReleaseReason::Forced)), ..free() }, party(1, None), None, lost(LockLoss::Forced)),
            ("never mine", free(), party(1, None), None, lost(LockLoss::Unknown)),
        ];
        for (case, scene, party, generation, expected) in rows {
            let decided = match decide_heartbeat(&scene, &party, generation.map(Generation), LEASE) {
                LockDecision::Renew { .. } => "renew".to_owned(),
                LockDecision::Refuse(RefusalDetail {
                    refusal: Refusal::LockExpired { reason, .. },
                    ..
                }) => lost(reason),
                other => format!("{other:?}"),
            };
            assert_eq!(decided, expected, "{case}");
        }
    }

    #[test]
    fn a_release_frees_its_own_grant_and_no_other() {
        #[rustfmt::skip]
        let rows = [
            ("mine", held(1, None, 3), None, true),
            ("mine, named", held(1, None, 3), Some(3), true),
            ("an older grant of mine", held(1, None, 3), Some(2), false),
            ("another's", held(2, None, 3), None, false),
            ("free", free(), None, false),
            ("mine, though no longer a member", LockScene { role: None, ..held(1, None, 3) }, None, true),
        ];
        for (case, scene, generation, released) in rows {
            let decision = decide_release(&scene, &party(1, None), generation.map(Generation));
            assert_eq!(matches!(decision, LockDecision::End { .. }), released, "{case}");
        }
    }

    #[test]
    fn only_owner_and_manager_force_and_the_image_is_then_kept_for_them() {
        for (role, status) in [
            (Some(Role::Owner), None),
            (Some(Role::Manager), None),
            (Some(Role::Annotator), Some(403)),
            (Some(Role::Viewer), Some(403)),
            (None, Some(404)),
        ] {
            let decision = decide_force(
                &LockScene {
                    role,
                    ..held(2, None, 3)
                },
                Duration::from_secs(30),
            );
            match (decision, status) {
                (LockDecision::End { reason, hold_until }, None) => {
                    assert_eq!((reason, hold_until), (ReleaseReason::Forced, Some(at(1030))));
                }
                (LockDecision::RefuseAttempt(Attempt::Force, refusal), Some(status)) => {
                    assert_eq!(refusal.refusal.status(), status);
                }
                (other, _) => panic!("{role:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_write_passes_the_lock_as_the_contract_says() {
        use ReleaseReason::{Expired, Forced, Released, TakenOver};
        let own = |last, newest, scene| LockScene {
            own_last: last,
            newest: Generation(newest),
            ..scene
        };
        let named = |last, newest, scene| LockScene {
            named: last,
            newest: Generation(newest),
            ..scene
        };
        #[rustfmt::skip]
        let rows = [
            // No generation named.
            ("never locked, free", free(), party(1, None), None, "go"),
            ("never locked, another's", held(2, None, 3), party(1, None), None, "locked"),
            ("never locked, kept for another", LockScene { hold: kept_for(2), ..free() }, party(1, None), None, "locked"),
            ("mine", own(past(3, None), 3, held(1, None, 3)), party(1, None), None, "go"),
            ("my other window's", held(1, Some("a"), 3), party(1, Some("b")), None, "locked"),
            ("forced", own(past(3, Some(Forced)), 3, free()), party(1, None), None, "lost Forced"),
            ("forced, held again", own(past(3, Some(Forced)), 4, held(2, None, 4)), party(1, None), None, "lost Forced"),
            ("taken over", own(past(3, Some(TakenOver)), 4, held(2, None, 4)), party(1, None), None, "lost TakenOver"),
            ("expired, nobody since", own(past(3, Some(Expired)), 3, free()), party(1, None), None, "regrant"),
            ("expired, not yet ended", own(past(3, None), 3, free()), party(1, None), None, "regrant"),
            ("expired, someone since", own(past(3, Some(Expired)), 4, free()), party(1, None), None, "lost Expired"),
            ("expired, another's", own(past(3, Some(Expired)), 4, held(2, None, 4)), party(1, None), None, "locked"),
            ("released", own(past(3, Some(Released)), 5, free()), party(1, None), None, "go"),
            // A generation named.
            ("mine, named", named(past(3, None), 3, held(1, None, 3)), party(1, None), Some(3), "go"),
            ("mine, an older one", named(past(2, Some(Expired)), 3, held(1, None, 3)), party(1, None), Some(2), "lost Expired"),
            ("named, forced", named(past(3, Some(Forced)), 3, free()), party(1, None), Some(3), "lost Forced"),
            ("named, expired, nobody since", named(past(3, Some(Expired)), 3, free()), party(1, None), Some(3), "regrant"),
            ("named, expired, someone since", named(past(3, Some(Expired)), 4, free()), party(1, None), Some(3), "lost Expired"),
            ("named, released, under way", named(past(3, Some(Released)), 3, free()), party(1, None), Some(3), "go"),
            ("named, released, someone since", named(past(3, Some(Released)), 4, free()), party(1, None), Some(3), "lost Unknown"),
            ("named, never given", named(None, 3, free()), party(1, None), Some(7), "lost Unknown"),
        ];
        for (case, scene, party, generation, expected) in rows {
            let decided = match decide_write_lock(&scene, &party, generation.map(Generation)) {
                WriteLock::Go => "go".to_owned(),
                WriteLock::GoAndRegrant => "regrant".to_owned(),
                WriteLock::Refuse(detail) => match detail.refusal {
                    Refusal::ImageLocked { .. } => "locked".to_owned(),
                    Refusal::LockExpired { reason, .. } => format!("lost {reason:?}"),
                    other => format!("{other:?}"),
                },
            };
            assert_eq!(decided, expected, "{case}");
        }
    }
}
