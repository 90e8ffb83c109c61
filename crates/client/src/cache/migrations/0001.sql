-- The first schema. A released one is never edited again; the next change is the next file.

CREATE TABLE projects (
    id TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    project TEXT NOT NULL,
    -- How far the change feed is stored; moves in the same transaction as the rows it brought.
    cursor INTEGER NOT NULL DEFAULT 0,
    -- The feed has been read to its end once: what is not here is not there.
    complete INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE labels (
    project_id TEXT NOT NULL,
    id TEXT NOT NULL,
    label TEXT NOT NULL,
    UNIQUE (project_id, id)
) STRICT;

CREATE TABLE images (
    project_id TEXT NOT NULL,
    id TEXT NOT NULL,
    file_name TEXT NOT NULL,
    revision INTEGER NOT NULL,
    image TEXT NOT NULL,
    -- Someone ended this window's lock: what was drawn waits until its author takes the image back.
    displaced INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (project_id, id)
) STRICT;
CREATE INDEX images_in_order ON images (project_id, file_name, id);

-- `server`: the newest the server is known to have; NULL with a version is a tombstone.
-- `base`: what unsent work started from. `working`: what is drawn here; NULL is deleted here.
CREATE TABLE annotations (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    project_id TEXT NOT NULL,
    image_id TEXT NOT NULL,
    created_by INTEGER,
    server TEXT,
    server_version INTEGER,
    base TEXT,
    base_version INTEGER,
    working TEXT
) STRICT;
CREATE INDEX annotations_of_image ON annotations (project_id, image_id);

-- At most one entry of an annotation may have been sent under its key, and one waits behind it.
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    annotation_id TEXT NOT NULL REFERENCES annotations (id),
    project_id TEXT NOT NULL,
    image_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'conflict', 'refused')),
    key TEXT UNIQUE,
    write TEXT,
    refusal TEXT,
    CHECK ((state = 'sent') = (key IS NOT NULL)),
    CHECK ((state = 'sent') = (write IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX outbox_one_sent ON outbox (annotation_id) WHERE state = 'sent';
CREATE UNIQUE INDEX outbox_one_draft ON outbox (annotation_id) WHERE state <> 'sent';
CREATE INDEX outbox_of_image ON outbox (project_id, image_id);

CREATE TABLE conflicts (
    annotation_id TEXT PRIMARY KEY REFERENCES annotations (id),
    project_id TEXT NOT NULL,
    image_id TEXT NOT NULL,
    theirs TEXT,
    your_version INTEGER NOT NULL,
    current_version INTEGER NOT NULL,
    last_updated_at TEXT NOT NULL,
    last_updated_by TEXT NOT NULL,
    fields TEXT NOT NULL
) STRICT;

CREATE TABLE kept_versions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    annotation_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    image_id TEXT NOT NULL,
    author TEXT,
    fields TEXT,
    kept_at TEXT NOT NULL
) STRICT;
CREATE INDEX kept_of_image ON kept_versions (project_id, image_id);

CREATE TABLE undo_steps (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id TEXT NOT NULL,
    image_id TEXT NOT NULL,
    step TEXT NOT NULL,
    undone INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX undo_of_image ON undo_steps (project_id, image_id, undone, id);

-- Written before the lock is asked for and gone once it was given back: after a crash they say what may
-- still be held. `generation` is NULL while the answer is not known.
CREATE TABLE held_locks (
    project_id TEXT NOT NULL,
    image_id TEXT NOT NULL,
    generation INTEGER,
    client_id TEXT NOT NULL,
    PRIMARY KEY (project_id, image_id)
) STRICT;

CREATE TABLE watches (
    project_id TEXT NOT NULL,
    image_id TEXT NOT NULL,
    PRIMARY KEY (project_id, image_id)
) STRICT;
