-- The live locks. The contract fixes this table's name, columns, constraint and indices.

CREATE TABLE image_locks (
    id           INTEGER PRIMARY KEY,
    project_id   VARCHAR(50)  NOT NULL REFERENCES projects ON DELETE CASCADE,
    image_id     VARCHAR(255) NOT NULL,
    user_id      INTEGER      NOT NULL REFERENCES users,
    locked_at    INTEGER      NOT NULL,
    expires_at   INTEGER      NOT NULL,
    heartbeat_at INTEGER      NOT NULL,
    generation   INTEGER      NOT NULL,
    client_id    VARCHAR(64),
    device       TEXT,
    CONSTRAINT uq_project_image_lock UNIQUE (project_id, image_id)
);
CREATE INDEX ix_image_locks_project_id ON image_locks (project_id);
CREATE INDEX ix_image_locks_user_id ON image_locks (user_id);
CREATE INDEX ix_image_locks_expires_at ON image_locks (expires_at);
