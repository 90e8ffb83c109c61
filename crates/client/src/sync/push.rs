//! The outbox goes up, image by image under the image's lock.
//!
//! **Invariant:** an entry is sealed with its key on the disk before it is sent the first time, is sent word for
//! word the same until it is answered, and is removed by nothing but that answer.

use std::time::Duration;

use chrono::{DateTime, Utc};
use lockstep_wire::annotations::SaveNotes;
use lockstep_wire::{
    AnnotationId, Answer, Api, ApiError, CreateAnnotation, Generation, IdempotencyKey, LockLoss, SaveContext,
    Version,
};

use super::merge::{Merged, merge};
use super::plan::{Fate, LockFacts, Rival, Success, Turn, decide_fate, decide_turn, plan_write};
use crate::board::holder_of;
use crate::cache::annotations::{self, Base, Stored};
use crate::cache::conflicts::{self, Conflict};
use crate::cache::held_locks::{self, HeldLock};
use crate::cache::outbox::{self, Draft, Sent, Write};
use crate::cache::{Db, images};
use crate::desk::Desk;
use crate::session::state::Event;
use crate::session::{Borrowed, Renewal};
use crate::view::{ConflictView, Event as Fact};
use crate::{Error, Place};

/// How sending an image's work went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// Nothing is left that could be sent.
    Done,
    /// It waits for a lock.
    Locked,
    /// Something got no answer.
    Unanswered,
    /// The server asked for a pause.
    Later(Duration),
}

/// Sends what waits of one image, if its lock allows.
pub(crate) async fn push_image<A: Api>(desk: &Desk<A>, place: &Place) -> Pushed {
    let turn = desk.sync.turn(place);
    let _turn = turn.lock().await;
    let at = place.clone();
    let work = desk
        .cache
        .read(move |tx| Ok((outbox::sendable(tx, &at)?, images::is_displaced(tx, &at)?)))
        .await;
    let displaced = match work {
        Ok((entries, _)) if entries.is_empty() => return Pushed::Done,
        Ok((_, displaced)) => displaced,
        Err(error) => return failed(&error),
    };
    let is_mine = |lock: &lockstep_wire::Lock| lock.client_id.as_ref() == Some(&desk.station.client_id);
    let facts = LockFacts {
        held: desk.lane.generation(place),
        session_asks: desk.session.wants(place),
        displaced,
        others: desk.board.lock(place).is_some_and(|lock| !is_mine(&lock)),
    };
    let sending = desk.sync.begin_sending();
    let pushed = match decide_turn(facts) {
        Turn::Send(generation) => send_all(desk, place, generation).await,
        Turn::Wait => Pushed::Locked,
        Turn::Borrow => match desk.lane.borrow(place).await {
            Ok(Borrowed::Granted(loan)) => send_all(desk, place, loan.generation).await,
            Ok(Borrowed::Locked) => Pushed::Locked,
            // This person may no longer take the lock; each write is refused on its own and seen as such.
            Err(ApiError::Refused(_)) if !desk.station.must_sign_in_again() => {
                send_all(desk, place, Generation(0)).await
            }
            Err(ApiError::Later { retry_after }) => Pushed::Later(retry_after),
            Err(_) => Pushed::Unanswered,
        },
    };
    drop(sending);
    desk.announce_image(place).await;
    desk.announce_save().await;
    pushed
}

/// The cache failed; the work is where it was, and the next round tries again.
fn failed(error: &Error) -> Pushed {
    tracing::error!(%error, "the outbox could not be worked on");
    Pushed::Unanswered
}

async fn send_all<A: Api>(desk: &Desk<A>, place: &Place, generation: Generation) -> Pushed {
    desk.announce_save().await;
    loop {
        let at = place.clone();
        let entries = match desk.cache.read(move |tx| outbox::sendable(tx, &at)).await {
            Ok(entries) if entries.is_empty() => return Pushed::Done,
            Ok(entries) => entries,
            Err(error) => return failed(&error),
        };
        // What is drawn while this runs is found by the next look.
        for id in entries {
            match send_one(desk, place, &id, generation).await {
                Ok(None) => {}
                Ok(Some(stop)) => return stop,
                Err(error) => return failed(&error),
            }
        }
    }
}

/// Sends one annotation's next entry; a reason to stop where one came up.
async fn send_one<A: Api>(
    desk: &Desk<A>,
    place: &Place,
    id: &AnnotationId,
    generation: Generation,
) -> Result<Option<Pushed>, Error> {
    let (of, key) = (id.clone(), IdempotencyKey::new());
    let Some(sent) = desk.cache.write(move |tx| seal_next(tx, &of, &key)).await? else {
        desk.announce_annotations(place, vec![id.clone()]).await;
        return Ok(None);
    };
    // A lock that a save was granted anew has a new generation.
    let generation = desk.lane.generation(place).unwrap_or(generation);
    let sent_at = desk.station.clock.steady();
    let answer = send(desk, place, &sent, generation).await;
    let fate = decide_fate(&sent.write, answer);
    match &fate {
        Fate::Unanswered => return Ok(Some(Pushed::Unanswered)),
        Fate::Later(retry_after) => return Ok(Some(Pushed::Later(*retry_after))),
        Fate::Locked(lock) => {
            let holder = Some(holder_of(lock, desk.user.id));
            desk.session.tell(Event::Seen {
                place: place.clone(),
                holder,
            });
            desk.board.set(&place.project, (**lock).clone());
            return Ok(Some(Pushed::Locked));
        }
        Fate::LockGone { reason, by } => {
            lock_gone(desk, place, generation, *reason, by.clone()).await?;
            return Ok(Some(Pushed::Locked));
        }
        Fate::Stored(success) => note_regrant(desk, place, success.notes(), sent_at).await?,
        Fate::AlreadyGone | Fate::Differs(_) | Fate::Rekey | Fate::Refused(_) => {}
    }
    let (at, now) = (place.clone(), desk.station.clock.wall());
    let conflict = desk
        .cache
        .write(move |tx| apply_fate(tx, &at, &sent, fate, now))
        .await?;
    desk.announce_annotations(place, vec![id.clone()]).await;
    if let Some(conflict) = conflict {
        desk.station.tell(Fact::Conflict(Box::new(conflict)));
    }
    Ok(None)
}

/// The session learns that its lock is no more. Where the lock was ended by a person and the image is not
/// open, the work waits until its author opens it again.
async fn lock_gone<A: Api>(
    desk: &Desk<A>,
    place: &Place,
    generation: Generation,
    reason: LockLoss,
    by: Option<String>,
) -> Result<(), Error> {
    if desk.lane.is_windows(place) {
        let generation = Some(generation);
        desk.session.tell(Event::Gone {
            place: place.clone(),
            generation,
            reason,
            by,
            attempt: 0,
        });
    } else if matches!(reason, LockLoss::Forced | LockLoss::TakenOver) {
        let at = place.clone();
        desk.cache
            .write(move |tx| images::set_displaced(tx, &at, true))
            .await?;
    }
    Ok(())
}

/// The lock had lapsed, nobody had taken it, and the save was granted it anew: whoever held it goes on under
/// the new generation, and that is the one to give back.
async fn note_regrant<A: Api>(
    desk: &Desk<A>,
    place: &Place,
    notes: &SaveNotes,
    sent_at: Duration,
) -> Result<(), Error> {
    let Some(lock) = notes.lock.as_ref().filter(|_| !notes.replayed) else {
        return Ok(());
    };
    let held = HeldLock {
        place: place.clone(),
        generation: Some(lock.generation),
        client_id: desk.station.client_id.clone(),
    };
    desk.cache.write(move |tx| held_locks::put(tx, &held)).await?;
    desk.board.set(&place.project, lock.clone());
    if !desk.lane.regranted(place, lock.generation) {
        // It was closed while the save was on its way.
        desk.lane.give_back_leftovers();
    }
    let renewal = Renewal {
        generation: lock.generation,
        sent_at,
        ttl: (lock.expires_at - lock.heartbeat_at).to_std().unwrap_or_default(),
        beat_every: desk.station.link.beat_every(),
    };
    desk.session.tell(Event::Renewed {
        place: place.clone(),
        renewal,
    });
    Ok(())
}

async fn send<A: Api>(desk: &Desk<A>, place: &Place, sent: &Sent, generation: Generation) -> Answer<Success> {
    let api = &desk.station.api;
    let context = SaveContext {
        key: Some(sent.key.clone()),
        generation: (generation.0 > 0).then_some(generation),
        client_id: Some(desk.station.client_id.clone()),
    };
    match sent.write.clone() {
        Write::Create { fields } => {
            let request = CreateAnnotation {
                id: Some(sent.annotation.clone()),
                project_id: place.project.clone(),
                image_id: place.image.clone(),
                fields,
            };
            desk.station
                .ask(api.create(request, context))
                .await
                .map(|saved| Success::Saved(Box::new(saved)))
        }
        Write::Update { request } => {
            let call = api.update(&sent.annotation, request, context);
            desk.station
                .ask(call)
                .await
                .map(|saved| Success::Saved(Box::new(saved)))
        }
        Write::Delete { version } => {
            let call = api.delete(&sent.annotation, version, context);
            desk.station
                .ask(call)
                .await
                .map(|removed| Success::Removed(Box::new(removed)))
        }
    }
}

/// The entry that may have been sent before, or the waiting one with its key from now on.
fn seal_next(db: &Db, id: &AnnotationId, key: &IdempotencyKey) -> Result<Option<Sent>, Error> {
    if let Some(sent) = outbox::sent(db, id)? {
        return Ok(Some(sent));
    }
    if outbox::draft(db, id)? != Some(Draft::Waiting) {
        return Ok(None);
    }
    let Some(stored) = annotations::get(db, id)? else {
        return Ok(None);
    };
    match plan_write(&stored) {
        Some(write) => {
            outbox::seal(db, id, key, &write)?;
            Ok(Some(Sent {
                annotation: id.clone(),
                key: key.clone(),
                write,
            }))
        }
        None => {
            outbox::remove_draft(db, id)?;
            settle(db, stored)?;
            Ok(None)
        }
    }
}

/// With nothing left to send, what is drawn here is what the server has.
fn settle(db: &Db, mut stored: Stored) -> Result<(), Error> {
    if stored.server_version.is_none() {
        return annotations::remove(db, &stored.id);
    }
    stored.base = None;
    stored.working = stored.server.as_ref().map(|server| server.fields.clone());
    annotations::put(db, &stored)
}

/// Stores what an answer means; a conflict that is news is handed back to be told.
fn apply_fate(
    db: &Db,
    place: &Place,
    sent: &Sent,
    fate: Fate,
    now: DateTime<Utc>,
) -> Result<Option<ConflictView>, Error> {
    if !outbox::answered(db, &sent.key)? {
        return Ok(None);
    }
    let mut stored = annotations::get(db, &sent.annotation)?.ok_or(Error::NotFound("annotation"))?;
    if let Fate::Stored(success) = &fate
        && let Some(revision) = success.notes().image_revision
    {
        images::advance_revision(db, place, revision)?;
    }
    match fate {
        Fate::Stored(Success::Saved(saved)) => {
            let saved = saved.annotation;
            let base = Base {
                fields: Some(saved.fields.clone()),
                version: saved.version,
            };
            // The feed may have brought a later one already; a version never goes back.
            if stored.server_version.is_none_or(|known| known < saved.version) {
                stored.server_version = Some(saved.version);
                stored.created_by = Some(saved.created_by);
                stored.server = Some(saved);
            }
            go_on(db, stored, base)?;
        }
        Fate::Stored(Success::Removed(removed)) => {
            go_on_without(db, stored, removed.version)?;
        }
        Fate::AlreadyGone => {
            let version = stored
                .base
                .as_ref()
                .map_or(Version::FIRST, |base| base.version.next());
            go_on_without(db, stored, version)?;
        }
        Fate::Differs(rival) => return apply_rival(db, stored, rival, now),
        Fate::Rekey => outbox::set_draft(db, place, &sent.annotation, Draft::Waiting, None)?,
        Fate::Refused(why) => outbox::set_draft(db, place, &sent.annotation, Draft::Refused, Some(&why))?,
        Fate::Locked(_) | Fate::LockGone { .. } | Fate::Unanswered | Fate::Later(_) => {
            return Err(Error::Storage(
                "an unanswered write was taken for an answered one".to_owned(),
            ));
        }
    }
    Ok(None)
}

/// A deletion is acknowledged: what was drawn since is to be brought back upon the tombstone.
fn go_on_without(db: &Db, mut stored: Stored, version: Version) -> Result<(), Error> {
    if stored.server_version.is_none_or(|known| known < version) {
        stored.server_version = Some(version);
        stored.server = None;
    }
    let tombstone = Base {
        fields: None,
        version,
    };
    go_on(db, stored, tombstone)
}

/// What was sent is acknowledged: what waits behind it is based on that, and with nothing behind it the
/// newest known is drawn.
fn go_on(db: &Db, mut stored: Stored, base: Base) -> Result<(), Error> {
    if outbox::draft(db, &stored.id)?.is_none() {
        return settle(db, stored);
    }
    stored.base = Some(base);
    annotations::put(db, &stored)
}

/// Someone else was faster: merged where nobody's field is lost, else a conflict.
fn apply_rival(
    db: &Db,
    mut stored: Stored,
    rival: Rival,
    now: DateTime<Utc>,
) -> Result<Option<ConflictView>, Error> {
    let your_version = stored.base.as_ref().map_or(Version(0), |base| base.version);
    let current_version = rival
        .version
        .or(stored.server_version.filter(|known| *known > your_version))
        .unwrap_or_else(|| your_version.next());
    if stored.server_version.is_none_or(|known| known <= current_version) {
        stored.server_version = Some(current_version);
        stored.server = rival.current.as_deref().cloned();
    }
    let theirs = rival.current.as_deref().map(|current| &current.fields);
    let base = stored.base.as_ref().and_then(|base| base.fields.as_ref());
    let merged = merge(base, stored.working.as_ref(), theirs);
    match merged {
        Merged::Clean(merged) if merged.as_ref() == theirs => {
            outbox::remove_draft(db, &stored.id)?;
            settle(db, stored)?;
            Ok(None)
        }
        Merged::Clean(merged) => {
            stored.base = Some(Base {
                fields: theirs.cloned(),
                version: current_version,
            });
            stored.working = merged;
            annotations::put(db, &stored)?;
            outbox::set_draft(db, &stored.place, &stored.id, Draft::Waiting, None)?;
            Ok(None)
        }
        Merged::Conflict(fields) => {
            annotations::put(db, &stored)?;
            outbox::set_draft(db, &stored.place, &stored.id, Draft::Conflict, None)?;
            let (last_updated_at, last_updated_by) =
                rival.saved.unwrap_or_else(|| (now, "Someone".to_owned()));
            let conflict = Conflict {
                place: stored.place,
                annotation: stored.id,
                theirs: rival.current.map(|current| *current),
                your_version,
                current_version,
                last_updated_at,
                last_updated_by,
                fields,
            };
            let is_news = conflicts::put(db, &conflict)?;
            Ok(if is_news {
                Some(conflicts::view_of(db, conflict)?)
            } else {
                None
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Cache;
    use crate::cache::annotations::Rights;
    use crate::cache::journal;
    use crate::view::{Edit, EditChange};
    use lockstep_wire::{Annotation, AnnotationFields, Geometry, Saved, UserId};
    use rusqlite::Transaction;

    const ME: UserId = UserId(1);

    fn place() -> Place {
        Place::new(&"p".into(), &"a".into())
    }

    fn at_x(x: f64) -> AnnotationFields {
        let attributes = serde_json::Map::new();
        AnnotationFields {
            label_id: None,
            geometry: Geometry::bbox(x, 0.0, 5.0, 5.0),
            attributes,
        }
    }

    fn at_server(version: i64, x: f64) -> Annotation {
        Annotation {
            id: "x".into(),
            project_id: "p".into(),
            image_id: "a".into(),
            fields: at_x(x),
            created_by: ME,
            created_at: DateTime::UNIX_EPOCH,
            updated_by: ME,
            updated_at: DateTime::UNIX_EPOCH,
            version: Version(version),
        }
    }

    fn draw(db: &Db, x: f64) {
        let rights = Rights {
            me: ME,
            annotates: true,
            edits_all: true,
        };
        let change = EditChange::Put {
            id: "x".into(),
            fields: at_x(x),
        };
        journal::edit(
            db,
            &place(),
            rights,
            Edit {
                changes: vec![change],
            },
        )
        .expect("a step");
    }

    fn seal(db: &Db) -> Sent {
        seal_next(db, &"x".into(), &IdempotencyKey::new())
            .expect("sealed")
            .expect("something to send")
    }

    fn answer(db: &Db, sent: &Sent, fate: Fate) -> Option<ConflictView> {
        apply_fate(db, &place(), sent, fate, DateTime::UNIX_EPOCH).expect("stored")
    }

    fn saved(version: i64, x: f64) -> Fate {
        let saved = Saved {
            annotation: at_server(version, x),
            notes: SaveNotes::default(),
        };
        Fate::Stored(Success::Saved(Box::new(saved)))
    }

    fn working(db: &Db) -> Option<AnnotationFields> {
        annotations::get(db, &"x".into())
            .expect("read")
            .and_then(|stored| stored.working)
    }

    async fn on_a_real_file(test: impl FnOnce(&Transaction<'_>) + Send + 'static) {
        let dir = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(&dir.path().join("cache.sqlite"))
            .await
            .expect("a cache");
        let done = cache.write(|tx| {
            test(tx);
            Ok(())
        });
        done.await.expect("done");
    }

    #[tokio::test]
    async fn l5_what_was_sent_stays_word_for_word_the_same_whatever_is_drawn_meanwhile() {
        on_a_real_file(|db| {
            draw(db, 1.0);
            let first = seal(db);
            draw(db, 2.0);
            assert_eq!(seal(db), first);
            assert_eq!(first.write, Write::Create { fields: at_x(1.0) });
            assert_eq!(answer(db, &first, saved(1, 1.0)), None);
            let second = seal(db);
            assert_ne!(second.key, first.key);
            let Write::Update { request } = second.write else {
                panic!("not an update")
            };
            assert_eq!(
                (request.version, request.geometry),
                (Version(1), Some(at_x(2.0).geometry))
            );
        })
        .await;
    }

    #[tokio::test]
    async fn e7_an_answer_that_comes_after_a_rivals_newer_version_does_not_bring_the_old_one_back() {
        on_a_real_file(|db| {
            draw(db, 1.0);
            let sent = seal(db);
            annotations::take_server(db, &at_server(2, 7.0)).expect("taken");
            assert_eq!(working(db), Some(at_x(1.0)), "unsent work is not touched");
            answer(db, &sent, saved(1, 1.0));
            assert_eq!(working(db), Some(at_x(7.0)));
            annotations::take_server(db, &at_server(1, 1.0)).expect("passed over");
            assert_eq!(working(db), Some(at_x(7.0)), "a version never goes back");
        })
        .await;
    }

    #[tokio::test]
    async fn s7_news_from_the_server_touches_no_unsent_work() {
        on_a_real_file(|db| {
            annotations::take_server(db, &at_server(1, 1.0)).expect("taken");
            draw(db, 2.0);
            annotations::take_server(db, &at_server(2, 7.0)).expect("taken");
            annotations::take_tombstone(db, &place(), &"x".into(), Version(3)).expect("taken");
            assert_eq!(working(db), Some(at_x(2.0)));
            let Write::Update { request } = seal(db).write else {
                panic!("not an update")
            };
            assert_eq!(request.version, Version(1), "based on what its author saw");
        })
        .await;
    }

    #[tokio::test]
    async fn a_deletion_there_against_a_change_here_is_a_conflict_and_overwrite_brings_it_back() {
        on_a_real_file(|db| {
            annotations::take_server(db, &at_server(1, 1.0)).expect("taken");
            draw(db, 2.0);
            let rival = Rival {
                current: None,
                version: Some(Version(2)),
                saved: None,
            };
            let conflict = answer(db, &seal(db), Fate::Differs(rival)).expect("a conflict");
            assert_eq!(
                (conflict.fields, conflict.theirs),
                (vec!["deleted".to_owned()], None)
            );
            let resolution = crate::view::Resolution::Overwrite;
            journal::resolve(db, &"x".into(), resolution, DateTime::UNIX_EPOCH).expect("decided");
            let Write::Update { request } = seal(db).write else {
                panic!("not an update")
            };
            assert_eq!(
                (request.version, request.geometry),
                (Version(2), Some(at_x(2.0).geometry))
            );
        })
        .await;
    }

    #[tokio::test]
    async fn the_same_conflict_is_told_once() {
        on_a_real_file(|db| {
            annotations::take_server(db, &at_server(1, 1.0)).expect("taken");
            draw(db, 2.0);
            let rival = |version| Rival {
                current: Some(Box::new(at_server(version, 7.0))),
                version: Some(Version(version)),
                saved: None,
            };
            assert!(answer(db, &seal(db), Fate::Differs(rival(2))).is_some());
            draw(db, 3.0);
            assert_eq!(
                outbox::draft(db, &"x".into()),
                Ok(Some(Draft::Conflict)),
                "drawing decides nothing"
            );
            assert_eq!(seal_next(db, &"x".into(), &IdempotencyKey::new()), Ok(None));
        })
        .await;
    }

    #[tokio::test]
    async fn s3_a_list_read_before_a_save_took_effect_does_not_take_what_was_saved_away() {
        on_a_real_file(|db| {
            let image = lockstep_wire::Image {
                id: "a".into(),
                file_name: "a.png".into(),
                width: 10,
                height: 10,
                media_type: "image/png".into(),
                content_hash: String::new(),
                annotation_count: 0,
                revision: 5,
            };
            images::put(db, &"p".into(), &image).expect("an image");
            draw(db, 1.0);
            let notes = SaveNotes {
                image_revision: Some(7),
                ..SaveNotes::default()
            };
            let annotation = at_server(1, 1.0);
            let saved = Success::Saved(Box::new(Saved { annotation, notes }));
            answer(db, &seal(db), Fate::Stored(saved));
            crate::desk::take_annotations(db, &place(), &[], 5).expect("taken");
            assert_eq!(working(db), Some(at_x(1.0)));
            crate::desk::take_annotations(db, &place(), &[], 8).expect("taken");
            assert_eq!(working(db), None, "a later list knows better");
        })
        .await;
    }

    #[tokio::test]
    async fn a_second_answer_to_the_same_key_changes_nothing() {
        on_a_real_file(|db| {
            draw(db, 1.0);
            let sent = seal(db);
            answer(db, &sent, saved(1, 1.0));
            draw(db, 2.0);
            answer(db, &sent, saved(1, 1.0));
            assert_eq!(working(db), Some(at_x(2.0)));
        })
        .await;
    }
}
