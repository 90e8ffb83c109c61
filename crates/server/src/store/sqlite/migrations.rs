//! The schema, step by step, forward and back.
//!
//! **Invariant:** the last two steps are, from the end, `image_locks` and `annotations.version`: the contract lets an
//! operator roll back exactly these.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, ensure};
use rusqlite::Connection;
use rusqlite_migration::{M, Migrations, SchemaVersion};

use super::connect;
use crate::store::Standing;

const STEPS: &[M] = &[
    M::up(include_str!("migrations/01_projects.up.sql"))
        .down(include_str!("migrations/01_projects.down.sql")),
    M::up(include_str!("migrations/02_versions.up.sql"))
        .down(include_str!("migrations/02_versions.down.sql")),
    M::up(include_str!("migrations/03_image_locks.up.sql"))
        .down(include_str!("migrations/03_image_locks.down.sql")),
];

const MIGRATIONS: Migrations = Migrations::from_slice(STEPS);

/// While it lives, no other process takes a step: SQLite itself would let two start from the same one.
pub(super) fn lock(path: &Path) -> anyhow::Result<File> {
    let path = path.with_extension("migration-lock");
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    file.lock()?;
    Ok(file)
}

/// Steps this program knows.
pub(crate) const KNOWN: usize = STEPS.len();

/// Takes every step that is left.
pub(super) fn up(connection: &mut Connection) -> anyhow::Result<()> {
    refuse_unreleased(connection)?;
    MIGRATIONS
        .to_latest(connection)
        .context("cannot bring the database's schema up to date")
}

/// Before the first release the first step was still being written. A database of that time looks up to date and is not.
fn refuse_unreleased(connection: &Connection) -> anyhow::Result<()> {
    let whole =
        standing(connection)?.taken == 0 || connection.column_exists(None, "server", "generation_floor")?;
    ensure!(
        whole,
        "this database was made by a version of Lockstep from before its first release and cannot be used by this one; \
         nothing in it was changed: move it and the files beside it away and start again"
    );
    Ok(())
}

/// Takes every step that is left, on the database in `path`.
pub fn migrate_up(path: &Path) -> anyhow::Result<Standing> {
    let _alone = lock(path)?;
    let mut connection = connect(path)?;
    up(&mut connection)?;
    standing(&connection)
}

/// Takes the last `steps` back.
pub fn migrate_down(path: &Path, steps: usize) -> anyhow::Result<Standing> {
    let _alone = lock(path)?;
    let mut connection = connect(path)?;
    let taken = standing(&connection)?.taken;
    MIGRATIONS
        .to_version(&mut connection, taken.saturating_sub(steps))
        .context("cannot take the database's schema back")?;
    standing(&connection)
}

/// Where the schema of the database in `path` stands.
pub fn status(path: &Path) -> anyhow::Result<Standing> {
    standing(&connect(path)?)
}

pub(super) fn standing(connection: &Connection) -> anyhow::Result<Standing> {
    let taken = match MIGRATIONS.current_version(connection)? {
        SchemaVersion::NoneSet => 0,
        SchemaVersion::Inside(taken) | SchemaVersion::Outside(taken) => taken.get(),
    };
    Ok(Standing {
        taken,
        known: STEPS.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_can_be_taken_back_and_again() {
        MIGRATIONS.validate().expect("the steps run");
        let mut connection = Connection::open_in_memory().expect("a database");
        for _ in 0..2 {
            MIGRATIONS.to_latest(&mut connection).expect("forward");
            MIGRATIONS.to_version(&mut connection, 0).expect("back");
        }
    }

    #[test]
    fn a_database_from_before_the_first_release_is_refused_and_left_as_it_is() {
        let mut connection = Connection::open_in_memory().expect("a database");
        up(&mut connection).expect("forward");
        up(&mut connection).expect("nothing to do");
        connection
            .execute_batch("ALTER TABLE server DROP COLUMN generation_floor")
            .expect("as it was then");
        let refusal = up(&mut connection).expect_err("it is too old").to_string();
        assert!(refusal.contains("before its first release"), "{refusal}");
    }

    #[test]
    fn one_step_back_drops_the_locks_and_one_more_the_versions() {
        let mut connection = Connection::open_in_memory().expect("a database");
        let has = |connection: &Connection, sql: &str| connection.prepare(sql).is_ok();
        MIGRATIONS.to_latest(&mut connection).expect("forward");
        assert!(has(&connection, "SELECT expires_at FROM image_locks"));

        MIGRATIONS
            .to_version(&mut connection, STEPS.len() - 1)
            .expect("a step back");
        assert!(!has(&connection, "SELECT expires_at FROM image_locks"));
        assert!(has(&connection, "SELECT version FROM annotations"));

        MIGRATIONS
            .to_version(&mut connection, STEPS.len() - 2)
            .expect("one more");
        assert!(!has(&connection, "SELECT version FROM annotations"));
        assert!(has(&connection, "SELECT geometry FROM annotations"));
    }
}
