-- The number each save is based on, and every state an annotation was ever in.

ALTER TABLE annotations ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
CREATE INDEX ix_annotations_version ON annotations (version);

CREATE TABLE annotation_versions (
    annotation_id TEXT    COLLATE "C" NOT NULL REFERENCES annotations ON DELETE CASCADE,
    version       INTEGER NOT NULL,
    label_id      TEXT    COLLATE "C",
    geometry      TEXT    NOT NULL,
    attributes    TEXT    NOT NULL,
    updated_by    BIGINT  NOT NULL REFERENCES users,
    updated_at    BIGINT  NOT NULL,
    deleted       BOOLEAN NOT NULL,
    PRIMARY KEY (annotation_id, version)
);

INSERT INTO annotation_versions
SELECT id, version, label_id, geometry, attributes, updated_by, updated_at, deleted FROM annotations;
