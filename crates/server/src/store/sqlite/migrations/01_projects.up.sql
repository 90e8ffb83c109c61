-- Accounts, projects and what is in them. Times are milliseconds since 1970 by the database's own clock.

CREATE TABLE server (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    data_epoch  TEXT    NOT NULL,
    signing_key BLOB    NOT NULL,
    -- The last sign of life of any server on this database: what an outage is measured by.
    alive_at    INTEGER NOT NULL,
    -- No lock's generation and no image's new revision is at or below it: raised when the data came back from a backup,
    -- since what was granted and written after that backup is not known here.
    generation_floor INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE users (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    email         TEXT    NOT NULL COLLATE NOCASE UNIQUE,
    name          TEXT    NOT NULL,
    password_hash TEXT    NOT NULL,
    admin         INTEGER NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id    INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    expires_at INTEGER NOT NULL,
    -- Signed out. The row stays until every access token of the session has lapsed.
    ended_at   INTEGER
) STRICT;
CREATE INDEX ix_sessions_user_id ON sessions (user_id);
CREATE INDEX ix_sessions_expires_at ON sessions (expires_at);
CREATE INDEX ix_sessions_ended_at ON sessions (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE refresh_tokens (
    hash       BLOB    PRIMARY KEY,
    session_id INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
    -- The one it was exchanged for.
    parent     BLOB,
    used_at    INTEGER,
    uses       INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX ix_refresh_tokens_session_id ON refresh_tokens (session_id);
CREATE INDEX ix_refresh_tokens_parent ON refresh_tokens (parent);
CREATE INDEX ix_refresh_tokens_used_at ON refresh_tokens (used_at) WHERE used_at IS NOT NULL;

CREATE TABLE api_tokens (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id      INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    hash         BLOB    NOT NULL UNIQUE,
    name         TEXT    NOT NULL,
    scope        TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    last_used_at INTEGER,
    deleted_at   INTEGER
) STRICT;
CREATE INDEX ix_api_tokens_user_id ON api_tokens (user_id);
CREATE INDEX ix_api_tokens_deleted_at ON api_tokens (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE projects (
    id                  TEXT    PRIMARY KEY,
    name                TEXT    NOT NULL,
    annotators_edit_all INTEGER NOT NULL,
    -- The newest place in the project's change feed.
    change_number       INTEGER NOT NULL DEFAULT 0,
    created_at          INTEGER NOT NULL
) STRICT;

CREATE TABLE members (
    project_id TEXT    NOT NULL REFERENCES projects ON DELETE CASCADE,
    user_id    INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    role       TEXT    NOT NULL,
    PRIMARY KEY (project_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX ix_members_user_id ON members (user_id);

CREATE TABLE labels (
    project_id TEXT    NOT NULL REFERENCES projects ON DELETE CASCADE,
    id         TEXT    NOT NULL,
    position   INTEGER NOT NULL,
    -- The label as it is on the wire.
    label      TEXT    NOT NULL,
    -- Stays as a tombstone: annotations go on pointing at it.
    deleted    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (project_id, id)
) STRICT;

CREATE TABLE images (
    project_id       TEXT    NOT NULL REFERENCES projects ON DELETE CASCADE,
    id               TEXT    NOT NULL,
    file_name        TEXT    NOT NULL,
    width            INTEGER NOT NULL,
    height           INTEGER NOT NULL,
    media_type       TEXT    NOT NULL,
    content_hash     TEXT    NOT NULL,
    annotation_count INTEGER NOT NULL DEFAULT 0,
    revision         INTEGER NOT NULL,
    added_by         INTEGER NOT NULL REFERENCES users,
    added_at         INTEGER NOT NULL,
    deleted_at       INTEGER,
    PRIMARY KEY (project_id, id)
) STRICT;
CREATE INDEX ix_images_file_name ON images (project_id, file_name, id);
CREATE INDEX ix_images_content_hash ON images (project_id, content_hash);

CREATE TABLE annotations (
    id         TEXT    PRIMARY KEY,
    project_id TEXT    NOT NULL,
    image_id   TEXT    NOT NULL,
    label_id   TEXT,
    geometry   TEXT    NOT NULL,
    attributes TEXT    NOT NULL,
    created_by INTEGER NOT NULL REFERENCES users,
    created_at INTEGER NOT NULL,
    updated_by INTEGER NOT NULL REFERENCES users,
    updated_at INTEGER NOT NULL,
    deleted    INTEGER NOT NULL DEFAULT 0,
    FOREIGN KEY (project_id, image_id) REFERENCES images (project_id, id),
    FOREIGN KEY (project_id, label_id) REFERENCES labels (project_id, id)
) STRICT;
CREATE INDEX ix_annotations_image ON annotations (project_id, image_id);

-- One row for each thing that ever changed, at the place of its newest change.
CREATE TABLE changes (
    project_id TEXT    NOT NULL REFERENCES projects ON DELETE CASCADE,
    kind       TEXT    NOT NULL,
    entity     TEXT    NOT NULL,
    cursor     INTEGER NOT NULL,
    PRIMARY KEY (project_id, kind, entity)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX ix_changes_cursor ON changes (project_id, cursor);

-- What each idempotency key did, and what was answered. Its rows are in the order of their times, oldest first.
CREATE TABLE applied_writes (
    user_id       INTEGER NOT NULL REFERENCES users,
    key           TEXT    NOT NULL,
    fingerprint   BLOB    NOT NULL,
    annotation_id TEXT    NOT NULL,
    outcome       TEXT    NOT NULL,
    applied_at    INTEGER NOT NULL,
    PRIMARY KEY (user_id, key)
) STRICT;

-- Outlives locks, images and a rolled-back image_locks table: a generation is never given twice.
CREATE TABLE lock_counters (
    project_id TEXT    NOT NULL,
    image_id   TEXT    NOT NULL,
    generation INTEGER NOT NULL,
    -- After a forced release the image is kept for the one who forced it.
    held_for   INTEGER REFERENCES users,
    held_until INTEGER,
    PRIMARY KEY (project_id, image_id)
) STRICT, WITHOUT ROWID;

-- Every grant there ever was, and how it ended: the audit log, and the memory of fencing.
CREATE TABLE lock_grants (
    project_id TEXT    NOT NULL,
    image_id   TEXT    NOT NULL,
    generation INTEGER NOT NULL,
    user_id    INTEGER NOT NULL REFERENCES users,
    client_id  TEXT,
    device     TEXT,
    granted_at INTEGER NOT NULL,
    ended_at   INTEGER,
    end_reason TEXT,
    ended_by   INTEGER REFERENCES users,
    PRIMARY KEY (project_id, image_id, generation)
) STRICT, WITHOUT ROWID;
CREATE INDEX ix_lock_grants_ended_at ON lock_grants (ended_at) WHERE ended_at IS NOT NULL;

-- Who tried to end or take over another's lock without the right, how often and when: the audit log's other half.
CREATE TABLE lock_refusals (
    project_id TEXT    NOT NULL,
    image_id   TEXT    NOT NULL,
    user_id    INTEGER NOT NULL REFERENCES users,
    attempt    TEXT    NOT NULL,
    times      INTEGER NOT NULL DEFAULT 1,
    first_at   INTEGER NOT NULL,
    last_at    INTEGER NOT NULL,
    PRIMARY KEY (project_id, image_id, user_id, attempt),
    FOREIGN KEY (project_id, image_id) REFERENCES images (project_id, id)
) STRICT, WITHOUT ROWID;
