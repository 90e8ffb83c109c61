DROP TABLE image_locks;
