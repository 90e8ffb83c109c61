//! Editing: each step changes what is drawn, the outbox and the undo history in one transaction.
//!
//! **Invariant:** whatever changes `working` by a person's act goes through [`write_working`], so that no edit
//! is ever without its outbox entry.

use chrono::{DateTime, Utc};
use lockstep_wire::{AnnotationFields, AnnotationId};
use rusqlite::Connection;

use super::annotations::{self, Rights, Stored};
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
        let id = write_working(db, place, rights, id, after.clone(), &mut touched)?;
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
        write_working(db, place, rights, id, working, &mut touched)?;
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

/// Sets what is drawn, and sees to it that the server will learn of it. The id it is drawn under: a new one
/// where the server has deleted the old one for good.
fn write_working(
    db: &Connection,
    place: &Place,
    rights: Rights,
    id: AnnotationId,
    working: Option<AnnotationFields>,
    touched: &mut Touched,
) -> Result<AnnotationId, Error> {
    touch(touched, &id);
    let stored = match annotations::get(db, &id)? {
        None if working.is_none() => return Ok(id),
        None => Stored::new(&id, place, rights.me),
        Some(stored) => stored,
    };
    if stored.place != *place {
        return Err(Error::NotFound("annotation"));
    }
    if !rights.may_change(stored.created_by) {
        return Err(Error::NotAllowed("this annotation is someone else's.".to_owned()));
    }
    if working.is_some() && is_deleted_for_good(db, &stored)? {
        let new = AnnotationId::new();
        undo::rename(db, place, &id, &new)?;
        return write_working(db, place, rights, new, working, touched);
    }
    put_working(db, stored, working)?;
    Ok(id)
}

/// A tombstone stays one, and a deletion on its way may have made one.
fn is_deleted_for_good(db: &Connection, stored: &Stored) -> Result<bool, Error> {
    if stored.is_tombstone() && outbox::draft(db, &stored.id)? != Some(Draft::Conflict) {
        return Ok(true);
    }
    let sent = outbox::sent(db, &stored.id)?;
    Ok(sent.is_some_and(|sent| matches!(sent.write, outbox::Write::Delete { .. })))
}

fn put_working(db: &Connection, mut stored: Stored, working: Option<AnnotationFields>) -> Result<(), Error> {
    let is_sent = outbox::sent(db, &stored.id)?.is_some();
    let draft = outbox::draft(db, &stored.id)?;
    if !is_sent && draft.is_none() {
        stored.base = stored.server_base();
    }
    stored.working = working;
    let is_as_it_was = stored.working.as_ref() == stored.base.as_ref().map(|base| &base.fields);
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
) -> Result<(Place, Touched), Error> {
    let conflict = conflicts::get(db, annotation)?.ok_or(Error::NotFound("conflict"))?;
    let mut stored = annotations::get(db, annotation)?.ok_or(Error::NotFound("annotation"))?;
    let place = conflict.place;
    let mine = stored.working.clone();
    let theirs = conflict.theirs.as_ref().map(|theirs| theirs.fields.clone());
    let mut touched = vec![annotation.clone()];
    conflicts::remove(db, annotation)?;
    let step = |id: &AnnotationId, before: &Option<AnnotationFields>, after: &Option<AnnotationFields>| {
        let part = StepPart {
            id: id.clone(),
            before: before.clone(),
            after: after.clone(),
        };
        undo::push(db, &place, &[part])
    };
    match resolution {
        Resolution::ReloadLatest => {
            kept::put(db, &place, annotation, None, mine.as_ref(), now)?;
            outbox::remove_draft(db, annotation)?;
            stored.base = None;
            // The server may have moved on since the conflict was found; the newest known is the latest.
            stored.working = stored.server.as_ref().map(|server| server.fields.clone());
            annotations::put(db, &stored)?;
            step(annotation, &mine, &stored.working)?;
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
            match (&conflict.theirs, &mine) {
                // Nothing to overwrite any more: what was drawn here comes back as a copy.
                (None, Some(_)) => {
                    outbox::remove_draft(db, annotation)?;
                    let copy = AnnotationId::new();
                    let author = stored.created_by;
                    stored.base = None;
                    stored.working = None;
                    annotations::put(db, &stored)?;
                    undo::rename(db, &place, annotation, &copy)?;
                    let drawn = Stored {
                        created_by: author,
                        working: mine.clone(),
                        ..Stored::new(&copy, &place, author.unwrap_or(lockstep_wire::UserId(0)))
                    };
                    annotations::put(db, &drawn)?;
                    outbox::set_draft(db, &place, &copy, Draft::Waiting, None)?;
                    step(&copy, &None, &mine)?;
                    touched.push(copy);
                }
                // Deleted on both sides.
                (None, None) => outbox::remove_draft(db, annotation)?,
                (Some(theirs), _) => {
                    stored.base = Some(annotations::Base {
                        fields: theirs.fields.clone(),
                        version: conflict.current_version,
                    });
                    annotations::put(db, &stored)?;
                    outbox::set_draft(db, &place, annotation, Draft::Waiting, None)?;
                    step(annotation, &Some(theirs.fields.clone()), &mine)?;
                }
            }
        }
    }
    Ok((place, touched))
}

fn touch(touched: &mut Touched, id: &AnnotationId) {
    if !touched.contains(id) {
        touched.push(id.clone());
    }
}
