//! Annotations with their three sides: what the server is known to have, what unsent work started from, and
//! what is drawn here.
//!
//! **Invariant:** news from the server never touches `base` or `working` of an annotation with unsent work (S7),
//! and never replaces a version by an older one (S5).

use lockstep_wire::{Annotation, AnnotationFields, AnnotationId, UserId, Version};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::Json;
use crate::view::{AnnotationSync, AnnotationView};
use crate::{Error, Place};

/// What unsent work started from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Base {
    /// `None`: a tombstone, upon which an update brings the annotation back.
    pub fields: Option<AnnotationFields>,
    pub version: Version,
}

/// All this machine knows of one annotation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stored {
    pub id: AnnotationId,
    pub place: Place,
    pub created_by: Option<UserId>,
    /// As the server is known to have it.
    pub server: Option<Annotation>,
    /// Also of a tombstone.
    pub server_version: Option<Version>,
    pub base: Option<Base>,
    /// `None`: deleted here.
    pub working: Option<AnnotationFields>,
}

impl Stored {
    /// Drawn here and not known at the server.
    pub(crate) fn new(id: &AnnotationId, place: &Place, created_by: UserId) -> Self {
        Self {
            id: id.clone(),
            place: place.clone(),
            created_by: Some(created_by),
            server: None,
            server_version: None,
            base: None,
            working: None,
        }
    }

    /// What the server has, as something to start from; `None` for what it never had.
    pub(crate) fn server_base(&self) -> Option<Base> {
        let fields = self.server.as_ref().map(|server| server.fields.clone());
        self.server_version.map(|version| Base { fields, version })
    }
}

/// What the signed-in person may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rights {
    pub me: UserId,
    /// May draw at all.
    pub annotates: bool,
    /// May change what others drew.
    pub edits_all: bool,
}

impl Rights {
    pub(crate) fn may_change(self, created_by: Option<UserId>) -> bool {
        self.annotates && (self.edits_all || created_by.is_none_or(|author| author == self.me))
    }
}

const COLUMNS: &str = "annotations.id, annotations.project_id, annotations.image_id, created_by, server,
    server_version, base, base_version, working";

fn read(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let base = row.get::<_, Option<Json<AnnotationFields>>>(6)?;
    let base_version = row.get::<_, Option<i64>>(7)?;
    Ok(Stored {
        id: AnnotationId(row.get(0)?),
        place: Place::new(
            &row.get::<_, String>(1)?.as_str().into(),
            &row.get::<_, String>(2)?.as_str().into(),
        ),
        created_by: row.get::<_, Option<i64>>(3)?.map(UserId),
        server: row.get::<_, Option<Json<_>>>(4)?.map(|json| json.0),
        server_version: row.get::<_, Option<i64>>(5)?.map(Version),
        base: base_version.map(|version| Base {
            fields: base.map(|json| json.0),
            version: Version(version),
        }),
        working: row.get::<_, Option<Json<_>>>(8)?.map(|json| json.0),
    })
}

pub(crate) fn get(db: &Connection, id: &AnnotationId) -> Result<Option<Stored>, Error> {
    Ok(db
        .prepare_cached(&format!("SELECT {COLUMNS} FROM annotations WHERE id = ?1"))?
        .query_row([id.as_str()], read)
        .optional()?)
}

/// Stores all sides as they are.
pub(crate) fn put(db: &Connection, stored: &Stored) -> Result<(), Error> {
    db.prepare_cached(
        "INSERT INTO annotations (id, project_id, image_id, created_by, server, server_version, base, base_version, working)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (id) DO UPDATE SET created_by = excluded.created_by, server = excluded.server,
             server_version = excluded.server_version, base = excluded.base, base_version = excluded.base_version,
             working = excluded.working",
    )?
    .execute((
        stored.id.as_str(),
        stored.place.project.as_str(),
        stored.place.image.as_str(),
        stored.created_by.map(|user| user.0),
        stored.server.as_ref().map(Json),
        stored.server_version.map(|version| version.0),
        stored.base.as_ref().and_then(|base| base.fields.as_ref()).map(Json),
        stored.base.as_ref().map(|base| base.version.0),
        stored.working.as_ref().map(Json),
    ))?;
    Ok(())
}

/// Forgets an annotation that never reached the server.
pub(crate) fn remove(db: &Connection, id: &AnnotationId) -> Result<(), Error> {
    db.prepare_cached("DELETE FROM annotations WHERE id = ?1")?
        .execute([id.as_str()])?;
    Ok(())
}

fn has_unsent(db: &Connection, id: &AnnotationId) -> Result<bool, Error> {
    Ok(db
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM outbox WHERE annotation_id = ?1)")?
        .query_row([id.as_str()], |row| row.get(0))?)
}

/// Takes the server's side of one annotation, its tombstone where `server` is `None`. True when what is drawn
/// here changed with it.
fn take(
    db: &Connection,
    mut stored: Stored,
    server: Option<&Annotation>,
    version: Version,
) -> Result<bool, Error> {
    if stored.server_version.is_some_and(|known| known >= version) {
        return Ok(false);
    }
    stored.server = server.cloned();
    stored.server_version = Some(version);
    stored.created_by = server.map(|server| server.created_by).or(stored.created_by);
    let is_shown = !has_unsent(db, &stored.id)?;
    let working = server.map(|server| server.fields.clone());
    let changed = is_shown && stored.working != working;
    if is_shown {
        stored.base = None;
        stored.working = working;
    }
    put(db, &stored)?;
    // The version shown beside it moved on as well, even where nothing of the drawing did.
    Ok(changed || is_shown)
}

/// Takes an annotation as the server has it. True when the window must be told.
pub(crate) fn take_server(db: &Connection, server: &Annotation) -> Result<bool, Error> {
    let stored = match get(db, &server.id)? {
        Some(stored) => stored,
        None => Stored::new(
            &server.id,
            &Place::new(&server.project_id, &server.image_id),
            server.created_by,
        ),
    };
    take(db, stored, Some(server), server.version)
}

/// Takes the news that the server deleted it. True when the window must be told.
pub(crate) fn take_tombstone(
    db: &Connection,
    place: &Place,
    id: &AnnotationId,
    version: Version,
) -> Result<bool, Error> {
    match get(db, id)? {
        Some(stored) => take(db, stored, None, version),
        // Kept, so that an older page read later does not bring it back.
        None => {
            let mut stored = Stored::new(id, place, UserId(0));
            stored.created_by = None;
            take(db, stored, None, version).map(|_| false)
        }
    }
}

/// Every annotation of the image the server is believed to have.
pub(crate) fn at_server(db: &Connection, place: &Place) -> Result<Vec<Stored>, Error> {
    let mut rows = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM annotations WHERE project_id = ?1 AND image_id = ?2 AND server IS NOT NULL"
    ))?;
    let stored = rows.query_map((place.project.as_str(), place.image.as_str()), read)?;
    Ok(stored.collect::<Result<_, _>>()?)
}

/// The worst of an annotation's entries: a conflict or a refusal is what its author must see.
const VIEW: &str = "SELECT annotations.id, created_by, coalesce(base_version, server_version), working,
    (SELECT CASE max(CASE state WHEN 'refused' THEN 3 WHEN 'conflict' THEN 2 ELSE 1 END)
            WHEN 3 THEN 'refused' WHEN 2 THEN 'conflict' WHEN 1 THEN 'unsent' ELSE 'synced' END
     FROM outbox WHERE annotation_id = annotations.id)
    FROM annotations WHERE project_id = ?1 AND image_id = ?2 AND working IS NOT NULL";

fn read_view(row: &Row<'_>, rights: Rights) -> rusqlite::Result<AnnotationView> {
    Ok(AnnotationView {
        id: AnnotationId(row.get(0)?),
        editable: rights.may_change(row.get::<_, Option<i64>>(1)?.map(UserId)),
        version: row.get::<_, Option<i64>>(2)?.map(Version),
        fields: row.get::<_, Json<_>>(3)?.0,
        sync: match row.get_ref(4)?.as_str()? {
            "refused" => AnnotationSync::Refused,
            "conflict" => AnnotationSync::Conflict,
            "unsent" => AnnotationSync::Unsent,
            _ => AnnotationSync::Synced,
        },
    })
}

/// What is drawn on the image here, oldest first.
pub(crate) fn views(db: &Connection, place: &Place, rights: Rights) -> Result<Vec<AnnotationView>, Error> {
    let mut rows = db.prepare_cached(&format!("{VIEW} ORDER BY position"))?;
    let views = rows.query_map((place.project.as_str(), place.image.as_str()), |row| {
        read_view(row, rights)
    })?;
    Ok(views.collect::<Result<_, _>>()?)
}

/// One of them; `None` where it is not drawn here.
pub(crate) fn view(
    db: &Connection,
    place: &Place,
    id: &AnnotationId,
    rights: Rights,
) -> Result<Option<AnnotationView>, Error> {
    Ok(db
        .prepare_cached(&format!("{VIEW} AND annotations.id = ?3"))?
        .query_row(
            (place.project.as_str(), place.image.as_str(), id.as_str()),
            |row| read_view(row, rights),
        )
        .optional()?)
}
