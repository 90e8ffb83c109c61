//! Editing: each step changes what is drawn, the outbox and the undo history in one transaction.
//!
//! **Invariant:** whatever changes `working` by a person's act goes through [`write_working`], so that no edit
//! is ever without its outbox entry.

use chrono::{DateTime, Utc};
use lockstep_wire::{AnnotationFields, AnnotationId};
use rusqlite::Connection;

use super::annotations::{self, Base, Rights, Stored};
use super::outbox::{self, Draft};
use super::undo::{self, StepPart};
use super::{conflicts, kept};
use crate::view::{Edit, EditChange, Resolution};
use crate::{Error, Place};

/// The annotations a step touched, each once.
pub(crate) type Touched = Vec<AnnotationId>;

/// Makes a step.
pub(crate) fn edit(db: &Connection, place: &Place, rights: Rights, edit: Edit) -> Result<Touched, Error> {
    let changes = edit.changes.into_iter().map(|change| match change {
        EditChange::Put { id, fields } => (id, Some(fields)),
        EditChange::Remove { id } => (id, None),
    });
    let mut touched = Touched::new();
    let mut parts: Vec<StepPart> = Vec::new();
    for (id, after) in changes {
        if let Some(fault) = after.as_ref().and_then(|fields| fields.geometry.fault()) {
            return Err(Error::Malformed(fault.to_owned()));
        }
        let before = annotations::get(db, &id)?.and_then(|stored| stored.working);
        write_working(db, place, rights, &id, after.clone())?;
        touch(&mut touched, &id);
        match parts.iter_mut().find(|part| part.id == id) {
            Some(part) => part.after = after,
            None => parts.push(StepPart { id, before, after }),
        }
    }
    parts.retain(|part| part.before != part.after);
    if !parts.is_empty() {
        undo::push(db, place, &parts)?;
    }
    Ok(touched)
}

/// Takes the last step back; nothing where there is none.
pub(crate) fn undo(db: &Connection, place: &Place, rights: Rights) -> Result<Touched, Error> {
    let parts = undo::take_back(db, place)?.unwrap_or_default();
    let backwards = parts
        .into_iter()
        .rev()
        .map(|part| (part.id, part.after, part.before));
    replay(db, place, rights, backwards)
}

/// Does the last step taken back again; nothing where there is none.
pub(crate) fn redo(db: &Connection, place: &Place, rights: Rights) -> Result<Touched, Error> {
    let parts = undo::do_again(db, place)?.unwrap_or_default();
    let forwards = parts.into_iter().map(|part| (part.id, part.before, part.after));
    replay(db, place, rights, forwards)
}

type Transition = (AnnotationId, Option<AnnotationFields>, Option<AnnotationFields>);

fn replay(
    db: &Connection,
    place: &Place,
    rights: Rights,
    transitions: impl Iterator<Item = Transition>,
) -> Result<Touched, Error> {
    let mut touched = Touched::new();
    for (id, from, to) in transitions {
        let current = annotations::get(db, &id)?.and_then(|stored| stored.working);
        let working = undo::replay(current.as_ref(), from.as_ref(), to.as_ref());
        write_working(db, place, rights, &id, working)?;
        touch(&mut touched, &id);
    }
    Ok(touched)
}

/// Brings a kept version back as a step.
pub(crate) fn restore(db: &Connection, place: &Place, rights: Rights, kept: i64) -> Result<Touched, Error> {
    let version = kept::get(db, place, kept)?.ok_or(Error::NotFound("kept version"))?;
    let id = version.annotation_id;
    let change = match version.fields {
        Some(fields) => EditChange::Put { id, fields },
        None => EditChange::Remove { id },
    };
    edit(
        db,
        place,
        rights,
        Edit {
            changes: vec![change],
        },
    )
}

/// Sets what is drawn, and sees to it that the server will learn of it.
fn write_working(
    db: &Connection,
    place: &Place,
    rights: Rights,
    id: &AnnotationId,
    working: Option<AnnotationFields>,
) -> Result<(), Error> {
    let stored = match annotations::get(db, id)? {
        None if working.is_none() => return Ok(()),
        None => Stored::new(id, place, rights.me),
        Some(stored) => stored,
    };
    if stored.place != *place {
        return Err(Error::NotFound("annotation"));
    }
    if !rights.may_change(stored.created_by) {
        return Err(Error::NotAllowed("this annotation is someone else's.".to_owned()));
    }
    put_working(db, stored, working)
}

fn put_working(db: &Connection, mut stored: Stored, working: Option<AnnotationFields>) -> Result<(), Error> {
    let is_sent = outbox::sent(db, &stored.id)?.is_some();
    let draft = outbox::draft(db, &stored.id)?;
    if !is_sent && draft.is_none() {
        stored.base = stored.server_base();
    }
    stored.working = working;
    let is_as_it_was = stored.working.as_ref() == stored.base.as_ref().and_then(|base| base.fields.as_ref());
    if !is_sent && draft != Some(Draft::Conflict) && is_as_it_was {
        outbox::remove_draft(db, &stored.id)?;
        return if stored.server_version.is_none() {
            annotations::remove(db, &stored.id)
        } else {
            stored.base = None;
            stored.working = stored.server.as_ref().map(|server| server.fields.clone());
            annotations::put(db, &stored)
        };
    }
    annotations::put(db, &stored)?;
    // A conflict waits for its decision, whatever is drawn meanwhile.
    let state = if draft == Some(Draft::Conflict) {
        Draft::Conflict
    } else {
        Draft::Waiting
    };
    outbox::set_draft(db, &stored.place, &stored.id, state, None)
}

/// Decides a conflict. What loses is kept, and the decision is a step that can be taken back.
pub(crate) fn resolve(
    db: &Connection,
    annotation: &AnnotationId,
    resolution: Resolution,
    now: DateTime<Utc>,
) -> Result<Place, Error> {
    let conflict = conflicts::get(db, annotation)?.ok_or(Error::NotFound("conflict"))?;
    let mut stored = annotations::get(db, annotation)?.ok_or(Error::NotFound("annotation"))?;
    let place = conflict.place;
    let mine = stored.working.clone();
    let theirs = conflict.theirs.as_ref().map(|theirs| theirs.fields.clone());
    conflicts::remove(db, annotation)?;
    let (before, after) = match resolution {
        Resolution::ReloadLatest => {
            kept::put(db, &place, annotation, None, mine.as_ref(), now)?;
            outbox::remove_draft(db, annotation)?;
            stored.base = None;
            // The server may have moved on since the conflict was found; the newest known is the latest.
            stored.working = stored.server.as_ref().map(|server| server.fields.clone());
            (mine, stored.working.clone())
        }
        Resolution::Overwrite => {
            kept::put(
                db,
                &place,
                annotation,
                Some(&conflict.last_updated_by),
                theirs.as_ref(),
                now,
            )?;
            stored.base = Some(Base {
                fields: theirs.clone(),
                version: conflict.current_version,
            });
            outbox::set_draft(db, &place, annotation, Draft::Waiting, None)?;
            (theirs, mine)
        }
    };
    annotations::put(db, &stored)?;
    undo::push(
        db,
        &place,
        &[StepPart {
            id: annotation.clone(),
            before,
            after,
        }],
    )?;
    Ok(place)
}

fn touch(touched: &mut Touched, id: &AnnotationId) {
    if !touched.contains(id) {
        touched.push(id.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cache, images};
    use super::*;
    use crate::view::HistoryView;
    use lockstep_wire::{Geometry, UserId};

    const RIGHTS: Rights = Rights {
        me: UserId(1),
        annotates: true,
        edits_all: false,
    };

    fn place() -> Place {
        Place::new(&"p".into(), &"a".into())
    }

    fn at_x(x: f64) -> AnnotationFields {
        AnnotationFields {
            label_id: None,
            geometry: Geometry::bbox(x, 0.0, 5.0, 5.0),
            attributes: serde_json::Map::new(),
        }
    }

    fn draw(id: &str, x: f64) -> Edit {
        let change = EditChange::Put {
            id: id.into(),
            fields: at_x(x),
        };
        Edit {
            changes: vec![change],
        }
    }

    fn remove(id: &str) -> Edit {
        Edit {
            changes: vec![EditChange::Remove { id: id.into() }],
        }
    }

    /// What is drawn under each id, and whether something of it is to be sent.
    async fn drawn(cache: &Cache, id: &'static str) -> (Option<AnnotationFields>, Option<Draft>) {
        let look = move |tx: &rusqlite::Transaction<'_>| {
            let working = annotations::get(tx, &id.into())?.and_then(|stored| stored.working);
            Ok((working, outbox::draft(tx, &id.into())?))
        };
        cache.read(look).await.expect("a row")
    }

    async fn step(cache: &Cache, edit: Edit) -> Result<Touched, Error> {
        cache
            .write(move |tx| super::edit(tx, &place(), RIGHTS, edit))
            .await
    }

    async fn history(cache: &Cache) -> HistoryView {
        cache
            .read(|tx| undo::history(tx, &place()))
            .await
            .expect("a history")
    }

    #[tokio::test]
    async fn e30_edits_outbox_and_undo_steps_are_there_when_the_file_is_opened_again() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("cache.sqlite");
        {
            let cache = Cache::open(&path).await.expect("a cache");
            step(&cache, draw("x", 1.0)).await.expect("a step");
            step(&cache, draw("x", 2.0)).await.expect("a step");
            // Not closed: what was acknowledged is on the disk already.
        }
        let cache = Cache::open(&path).await.expect("a cache");
        assert_eq!(drawn(&cache, "x").await, (Some(at_x(2.0)), Some(Draft::Waiting)));
        cache
            .write(|tx| super::undo(tx, &place(), RIGHTS))
            .await
            .expect("undone");
        assert_eq!(drawn(&cache, "x").await.0, Some(at_x(1.0)));
        let both = HistoryView {
            can_undo: true,
            can_redo: true,
        };
        assert_eq!(history(&cache).await, both);
        cache
            .write(|tx| super::redo(tx, &place(), RIGHTS))
            .await
            .expect("redone");
        assert_eq!(drawn(&cache, "x").await.0, Some(at_x(2.0)));
    }

    #[tokio::test]
    async fn what_is_drawn_and_taken_back_before_it_was_sent_leaves_nothing_to_send() {
        let dir = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(&dir.path().join("cache.sqlite"))
            .await
            .expect("a cache");
        step(&cache, draw("x", 1.0)).await.expect("a step");
        cache
            .write(|tx| super::undo(tx, &place(), RIGHTS))
            .await
            .expect("undone");
        assert_eq!(drawn(&cache, "x").await, (None, None));
        step(&cache, draw("y", 1.0)).await.expect("a step");
        step(&cache, remove("y")).await.expect("a step");
        assert_eq!(drawn(&cache, "y").await, (None, None));
        assert_eq!(cache.read(|tx| outbox::places(tx)).await, Ok(Vec::new()));
    }

    #[tokio::test]
    async fn a_step_with_a_fault_in_it_changes_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(&dir.path().join("cache.sqlite"))
            .await
            .expect("a cache");
        let mut edit = draw("x", 1.0);
        edit.changes.push(EditChange::Put {
            id: "y".into(),
            fields: AnnotationFields {
                geometry: Geometry::polygon(vec![[0.0, 0.0]]),
                ..at_x(0.0)
            },
        });
        assert!(matches!(step(&cache, edit).await, Err(Error::Malformed(_))));
        assert_eq!(drawn(&cache, "x").await, (None, None));
        assert_eq!(history(&cache).await, HistoryView::default());
    }

    #[tokio::test]
    async fn anothers_annotation_is_changed_only_by_who_may() {
        let dir = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(&dir.path().join("cache.sqlite"))
            .await
            .expect("a cache");
        step(&cache, draw("x", 1.0)).await.expect("a step");
        for (rights, allowed) in [
            (
                Rights {
                    me: UserId(2),
                    ..RIGHTS
                },
                false,
            ),
            (
                Rights {
                    annotates: false,
                    edits_all: true,
                    ..RIGHTS
                },
                false,
            ),
            (
                Rights {
                    me: UserId(2),
                    edits_all: true,
                    ..RIGHTS
                },
                true,
            ),
        ] {
            let moved = cache
                .write(move |tx| super::edit(tx, &place(), rights, draw("x", 2.0)))
                .await;
            assert_eq!(moved.is_ok(), allowed, "{rights:?}");
        }
    }

    #[tokio::test]
    async fn e29_an_image_that_is_gone_stays_while_unsent_work_is_on_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(&dir.path().join("cache.sqlite"))
            .await
            .expect("a cache");
        step(&cache, draw("x", 1.0)).await.expect("a step");
        cache
            .write(|tx| {
                tx.execute(
                    "INSERT INTO images (project_id, id, file_name, revision, image)
                     VALUES ('p', 'a', 'a.png', 1, '{}'), ('p', 'b', 'b.png', 1, '{}')",
                    [],
                )?;
                images::remove(tx, &place())?;
                images::remove(tx, &Place::new(&"p".into(), &"b".into()))
            })
            .await
            .expect("removed");
        let left = cache
            .read(|tx| {
                Ok(tx.query_row("SELECT group_concat(id) FROM images", [], |row| {
                    row.get::<_, String>(0)
                })?)
            })
            .await;
        assert_eq!(left, Ok("a".to_owned()));
    }
}
