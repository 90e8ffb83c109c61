//! The scenes of a round's questions, read by one statement.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use lockstep_wire::refusal::Author;
use lockstep_wire::{
    AnnotationId, ClientId, Generation, ImageId, LabelId, Lock, ProjectId, Role, User, UserId, Version,
};
use tokio_postgres::Row;

use super::clock::Millis;
use super::connection::Columns;
use super::locks::{self, lock_of};
use super::saves::{self, fields_of, stored_of};
use super::table::{GrantChange, GrantState, Held, ImageState, KeyState, LockChange, Table};
use crate::store::names::from_name;
use crate::store::{Ending, ImageKey, LockQuestion, Party, Presence, Save};

/// What is asked, a column each.
#[derive(Default)]
pub(super) struct Questions<'q> {
    pub(super) projects: Vec<Option<&'q str>>,
    pub(super) images: Vec<Option<&'q str>>,
    pub(super) annotations: Vec<Option<&'q str>>,
    pub(super) users: Vec<i64>,
    pub(super) clients: Vec<Option<&'q str>>,
    pub(super) generations: Vec<Option<i64>>,
    pub(super) labels: Vec<Option<&'q str>>,
    pub(super) keys: Vec<Option<&'q str>>,
}

impl<'q> Questions<'q> {
    fn push(&mut self, place: Option<&'q ImageKey>, party: &'q Party, generation: Option<Generation>) {
        self.projects.push(place.map(|place| place.project.as_str()));
        self.images.push(place.map(|place| place.image.as_str()));
        self.users.push(party.user.0);
        self.clients.push(party.client.as_ref().map(ClientId::as_str));
        self.generations.push(generation.map(|generation| generation.0));
    }

    pub(super) fn push_lock(&mut self, question: &'q LockQuestion) {
        self.push(Some(&question.image), &question.party, question.generation);
        self.annotations.push(None);
        self.labels.push(None);
        self.keys.push(None);
    }

    /// What one of them creates, a later one may change.
    pub(super) fn push_saves(&mut self, saves: &'q [Save]) {
        let mut created = HashMap::new();
        for Save { question, .. } in saves {
            let place = question.create_on.as_ref();
            if let Some(place) = place {
                created.insert(&question.annotation, place);
            }
            let place = place.or_else(|| created.get(&question.annotation).copied());
            self.push(place, &question.party, question.generation);
            self.annotations.push(Some(question.annotation.as_str()));
            self.labels.push(question.label.as_ref().map(LabelId::as_str));
            self.keys.push(question.key.as_ref().map(|(key, _)| key.as_str()));
        }
    }
}

/// A row for each question, in order. Whatever hangs together with a save's annotation is found through it.
pub(super) fn sql() -> String {
    format!(
        "WITH server AS MATERIALIZED (
             SELECT now_ms() AS now, generation_floor, {UNSETTLED} AS unsettled FROM server)
         SELECT server.now, server.generation_floor, server.unsettled,
                place.project, place.image, projects.annotators_edit_all, members.role, asker.name, asker.email,
                images.revision, images.deleted_at IS NOT NULL, {LOCK},
                counters.generation, counters.held_for, counters.held_until, keepers.name, keepers.email,
                own.*, named.*,
                CASE WHEN q.annotation IS NOT NULL
                      AND (image_locks.expires_at IS NULL OR image_locks.expires_at <= server.now)
                     THEN (SELECT device FROM lock_grants AS last
                           WHERE last.project_id = place.project AND last.image_id = place.image
                             AND last.user_id = q.asker AND last.client_id IS NOT DISTINCT FROM q.client
                           ORDER BY last.generation DESC LIMIT 1) END,
                {ANNOTATION}, first.label_id, first.geometry, first.attributes,
                applied.fingerprint, applied.outcome, applied.annotation_id, applied_to.version,
                q.label IS NULL OR place.project IS NULL OR EXISTS (
                    SELECT FROM labels WHERE labels.project_id = place.project AND labels.id = q.label)
         FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::bigint[], $7::text[], $8::text[])
             WITH ORDINALITY AS q (project, image, annotation, asker, client, generation, label, key, place)
         CROSS JOIN server
         LEFT JOIN annotations ON annotations.id = q.annotation
         LEFT JOIN users AS savers ON savers.id = annotations.updated_by
         LEFT JOIN annotation_versions AS first ON q.project IS NOT NULL AND annotations.version > 1
             AND first.annotation_id = q.annotation AND first.version = 1
         LEFT JOIN applied_writes AS applied ON applied.user_id = q.asker AND applied.key = q.key
         LEFT JOIN annotations AS applied_to ON applied_to.id = applied.annotation_id
         CROSS JOIN LATERAL (
             SELECT coalesce(q.project, annotations.project_id) AS project,
                    coalesce(q.image, annotations.image_id) AS image) AS place
         LEFT JOIN projects ON projects.id = place.project
         LEFT JOIN members ON members.project_id = place.project AND members.user_id = q.asker
         LEFT JOIN users AS asker ON asker.id = q.asker
         LEFT JOIN images ON images.project_id = place.project AND images.id = place.image
         LEFT JOIN image_locks ON image_locks.project_id = place.project AND image_locks.image_id = place.image
         LEFT JOIN users AS holders ON holders.id = image_locks.user_id
         LEFT JOIN lock_counters AS counters
             ON counters.project_id = place.project AND counters.image_id = place.image
         LEFT JOIN users AS keepers ON keepers.id = counters.held_for
         LEFT JOIN LATERAL (
             SELECT {GRANT} FROM lock_grants AS grants LEFT JOIN users AS enders ON enders.id = grants.ended_by
             WHERE grants.project_id = place.project AND grants.image_id = place.image AND grants.user_id = q.asker
               AND (q.client IS NULL OR grants.client_id IS NULL OR grants.client_id = q.client)
             ORDER BY grants.generation DESC LIMIT 1) AS own ON true
         LEFT JOIN LATERAL (
             SELECT {GRANT} FROM lock_grants AS grants LEFT JOIN users AS enders ON enders.id = grants.ended_by
             WHERE grants.project_id = place.project AND grants.image_id = place.image AND grants.user_id = q.asker
               AND grants.generation = q.generation) AS named ON true
         ORDER BY q.place",
        UNSETTLED = locks::UNSETTLED,
        LOCK = locks::COLUMNS,
        ANNOTATION = saves::COLUMNS,
    )
}

const GRANT: &str =
    "grants.generation, grants.client_id, grants.ended_at, grants.end_reason, grants.ended_by, enders.name";

/// What a question's row tells of nobody else's.
pub(super) struct Seat {
    /// Where the question is about; nowhere for an annotation that never was.
    pub(super) place: Option<ImageKey>,
    pub(super) asker: Option<User>,
    pub(super) role: Option<Role>,
    pub(super) annotators_edit_all: bool,
    pub(super) label_known: bool,
    pub(super) last_device: Option<String>,
}

/// Reads the scenes. `alone_on` are the images that this transaction is alone on: one that an annotation led to only
/// after that was not there yet when this round began.
pub(super) fn read(
    alone_on: &[Row],
    rows: &[Row],
    asked: &Questions<'_>,
) -> anyhow::Result<(Table, Vec<Seat>)> {
    let mut own = HashSet::new();
    for row in alone_on {
        if let Some(image) = row.try_get::<_, Option<String>>(1)? {
            own.insert(ImageKey {
                project: ProjectId(row.try_get(0)?),
                image: ImageId(image),
            });
        }
    }
    let first = rows.first().context("a round of no questions")?;
    let mut table = Table::begin(
        first.try_get::<_, Millis>(0)?.0,
        first.try_get(1)?,
        first.try_get(2)?,
    );
    let mut seats = Vec::with_capacity(rows.len());
    for (at, row) in rows.iter().enumerate() {
        seats.push(seat(&mut table, &own, row, asked, at)?);
    }
    Ok((table, seats))
}

fn seat(
    table: &mut Table,
    own: &HashSet<ImageKey>,
    row: &Row,
    asked: &Questions<'_>,
    at: usize,
) -> anyhow::Result<Seat> {
    let mut columns = Columns::of(row);
    columns.skip(3);
    let place = match (
        columns.next::<Option<String>>()?,
        columns.next::<Option<String>>()?,
    ) {
        (Some(project), Some(image)) => Some(ImageKey {
            project: ProjectId(project),
            image: ImageId(image),
        }),
        _ => None,
    };
    let place = place.filter(|place| own.contains(place));
    let annotators_edit_all = columns.next::<Option<bool>>()?.unwrap_or(false);
    let role = columns.next::<Option<String>>()?.map(from_name).transpose()?;
    let user = UserId(asked.users[at]);
    let (name, email): (Option<String>, Option<String>) = (columns.next()?, columns.next()?);
    let asker = name.zip(email).map(|(name, email)| User {
        id: user,
        name,
        email,
    });
    let image = image_of(&mut columns, table.now)?;
    let grants = [grant_of(&mut columns, user)?, grant_of(&mut columns, user)?];
    let last_device = columns.next()?;
    let stored = stored_of(&mut columns)?;
    let first = fields_of(&mut columns)?;
    let fingerprint: Option<Vec<u8>> = columns.next()?;
    let (outcome, annotation): (Option<&str>, Option<String>) = (columns.next()?, columns.next()?);
    let newest: Option<i32> = columns.next()?;
    let label_known = columns.next()?;

    if let Some(place) = &place {
        let image = table.images.entry(place.clone()).or_insert(image);
        for (generation, grant) in grants.into_iter().flatten() {
            image.grants.entry(generation).or_insert(grant);
        }
    }
    if let Some(id) = asked.annotations[at] {
        let elsewhere = stored.as_ref().is_some_and(|stored| {
            asked.projects[at].is_none() && place != Some(ImageKey::of(&stored.annotation))
        });
        let state = table.annotations.entry(AnnotationId::from(id)).or_default();
        if !elsewhere && state.stored.is_none() {
            state.stored = stored;
        }
        if state.first.is_none() {
            state.first = first;
        }
    }
    if let (Some(key), Some(fingerprint), Some(outcome), Some(annotation)) =
        (asked.keys[at], fingerprint, outcome, annotation)
    {
        let state = KeyState {
            fingerprint,
            done: serde_json::from_str(outcome)?,
            annotation: AnnotationId(annotation),
            newest: Version(newest.unwrap_or(1).into()),
        };
        table.applied.insert((user, key.into()), state);
    }
    Ok(Seat {
        place,
        asker,
        role,
        annotators_edit_all,
        label_known,
        last_device,
    })
}

fn image_of(columns: &mut Columns<'_>, now: DateTime<Utc>) -> anyhow::Result<ImageState> {
    let revision: Option<i64> = columns.next()?;
    let presence = match (revision, columns.next()?) {
        (None, _) => Presence::Absent,
        (Some(_), true) => Presence::Deleted,
        (Some(_), false) => Presence::Live,
    };
    let lock: Option<Lock> = lock_of(columns)?;
    let newest = Generation(columns.next::<Option<i64>>()?.unwrap_or(0));
    let (held_for, held_until): (Option<i64>, Option<Millis>) = (columns.next()?, columns.next()?);
    let (name, email): (Option<String>, Option<String>) = (columns.next()?, columns.next()?);
    let keeper = match (held_for, name, email) {
        (Some(id), Some(name), Some(email)) => Some(User {
            id: UserId(id),
            name,
            email,
        }),
        _ => None,
    };
    let held = keeper.zip(held_until).map(|(keeper, until)| Held {
        keeper,
        until: until.0,
    });
    Ok(ImageState {
        presence,
        revision: revision.unwrap_or(0),
        more_annotations: 0,
        touched: false,
        lock,
        lock_change: LockChange::None,
        newest,
        held: held.filter(|held| held.until > now),
        counter_changed: false,
        grants: BTreeMap::new(),
    })
}

fn grant_of(columns: &mut Columns<'_>, user: UserId) -> anyhow::Result<Option<(Generation, GrantState)>> {
    let generation: Option<i64> = columns.next()?;
    let client: Option<String> = columns.next()?;
    let (ended_at, reason): (Option<Millis>, Option<String>) = (columns.next()?, columns.next()?);
    let (by, by_name): (Option<i64>, Option<String>) = (columns.next()?, columns.next()?);
    let ended = match ended_at.zip(reason) {
        Some((at, reason)) => Some(Ending {
            reason: from_name(reason)?,
            by: by.zip(by_name).map(|(by, user_name)| Author {
                user_id: UserId(by),
                user_name,
            }),
            at: at.0,
        }),
        None => None,
    };
    Ok(generation.map(|generation| {
        let grant = GrantState {
            user,
            client: client.map(ClientId),
            ended,
            change: GrantChange::None,
        };
        (Generation(generation), grant)
    }))
}
