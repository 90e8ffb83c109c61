DROP TABLE annotation_versions;
DROP INDEX ix_annotations_version;
ALTER TABLE annotations DROP COLUMN version;
