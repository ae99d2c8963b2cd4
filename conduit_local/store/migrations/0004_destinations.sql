-- Evidence of what was delivered: what each object holds, and the SHA-256 of its bytes. NULL for what an older version
-- delivered. The first and the last event are told by their ids: those of a replay follow no numbering.
ALTER TABLE batches ADD COLUMN rows INTEGER;
ALTER TABLE batches ADD COLUMN sha256 BLOB;
ALTER TABLE batches ADD COLUMN first_event TEXT;
ALTER TABLE batches ADD COLUMN last_event TEXT;
