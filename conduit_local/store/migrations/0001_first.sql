-- What the store is. `tag` is part of every event id; `position` is where the log goes on once it was trimmed.
CREATE TABLE store (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- The log -----------------------------------------------------------------------------------------------

-- Events of one pipeline that were committed together. `body` is the JSON lines of their envelopes, plain (coding 0)
-- or a zstd frame (coding 1). `bytes_through` counts the bytes of lines on this pipeline up to the chunk's end, so that
-- a backlog's size is the difference of two rows. `types` lists the distinct event types, or is NULL for too many.
CREATE TABLE chunks (
    position       INTEGER PRIMARY KEY,
    pipeline       INTEGER NOT NULL,
    first_seq      INTEGER NOT NULL,
    last_seq       INTEGER NOT NULL,
    received_at_us INTEGER NOT NULL,
    bytes_through  INTEGER NOT NULL,
    types          TEXT,
    coding         INTEGER NOT NULL,
    body           BLOB NOT NULL
);
CREATE UNIQUE INDEX chunks_by_seq ON chunks (pipeline, last_seq);

-- How far a pipeline's log was trimmed: numbers are never given twice, even when every chunk is gone.
CREATE TABLE trimmed (
    pipeline      INTEGER PRIMARY KEY,
    last_seq      INTEGER NOT NULL,
    bytes_through INTEGER NOT NULL
);

-- Idempotency keys, in the order of their first use, which is the order in which they expire. `expires_us` is steady
-- time; what the first answer said is kept so that a repeat says the same.
CREATE TABLE idempotency (
    number         INTEGER PRIMARY KEY,
    pipeline       INTEGER NOT NULL,
    key            TEXT NOT NULL,
    first_seq      INTEGER NOT NULL,
    count          INTEGER NOT NULL,
    received_at_us INTEGER NOT NULL,
    expires_us     INTEGER NOT NULL,
    pipeline_ref   TEXT NOT NULL,
    event_type     TEXT NOT NULL,
    fingerprint    BLOB
);
CREATE UNIQUE INDEX idempotency_by_key ON idempotency (pipeline, key);

-- The catalog -------------------------------------------------------------------------------------------

CREATE TABLE pipelines (
    number        INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT NOT NULL,
    uuid          TEXT NOT NULL,
    name          TEXT NOT NULL,
    folder        TEXT NOT NULL,
    state         TEXT NOT NULL,
    spec          TEXT NOT NULL,
    managed_by    TEXT,
    first_seq     INTEGER NOT NULL,
    created_at_us INTEGER NOT NULL,
    updated_at_us INTEGER,
    deleted_at_us INTEGER
);
CREATE UNIQUE INDEX live_ids ON pipelines (id) WHERE deleted_at_us IS NULL;
CREATE UNIQUE INDEX live_uuids ON pipelines (uuid) WHERE deleted_at_us IS NULL;
CREATE UNIQUE INDEX live_names ON pipelines (name) WHERE deleted_at_us IS NULL;

-- Where the numbering of deleted pipelines ended, by folder: a successor goes on from there, so that no object of
-- the old one is ever written over.
CREATE TABLE folders (
    folder   TEXT PRIMARY KEY,
    last_seq INTEGER NOT NULL
) WITHOUT ROWID;

-- A route is a cursor over the log. `through_seq` is set once its destination was taken out of the configuration: it
-- delivers up to there, and ends.
CREATE TABLE routes (
    pipeline    INTEGER NOT NULL,
    name        TEXT NOT NULL,
    destination TEXT NOT NULL,
    start_seq   INTEGER NOT NULL,
    cursor      INTEGER NOT NULL,
    delivered   INTEGER NOT NULL DEFAULT 0,
    dead        INTEGER NOT NULL DEFAULT 0,
    through_seq INTEGER,
    PRIMARY KEY (pipeline, name)
) WITHOUT ROWID;

-- The intents: written before a destination is called, closed with the cursor after it.
CREATE TABLE batches (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    pipeline     INTEGER NOT NULL,
    route        TEXT NOT NULL,
    run          INTEGER NOT NULL,
    first_seq    INTEGER NOT NULL,
    last_seq     INTEGER NOT NULL,
    key          TEXT NOT NULL,
    destination  TEXT NOT NULL,
    attempt      INTEGER NOT NULL,
    opened_at_us INTEGER NOT NULL,
    closed_at_us INTEGER,
    place        TEXT,
    size_bytes   INTEGER
);
CREATE INDEX batches_by_seq ON batches (pipeline, route, last_seq);
CREATE INDEX open_batches ON batches (number) WHERE closed_at_us IS NULL;
CREATE INDEX batches_by_run ON batches (run);

CREATE TABLE runs (
    number         INTEGER PRIMARY KEY AUTOINCREMENT,
    pipeline       INTEGER NOT NULL,
    trigger        TEXT NOT NULL,
    state          TEXT NOT NULL,
    route          TEXT,
    through_seq    INTEGER NOT NULL,
    started_at_us  INTEGER NOT NULL,
    finished_at_us INTEGER,
    rows           INTEGER NOT NULL DEFAULT 0,
    size_bytes     INTEGER NOT NULL DEFAULT 0,
    batches        INTEGER NOT NULL DEFAULT 0,
    attempts       INTEGER NOT NULL DEFAULT 0,
    object_key     TEXT,
    error          TEXT
);
CREATE INDEX runs_by_pipeline ON runs (pipeline, number);
CREATE INDEX running_runs ON runs (number) WHERE state = 'running';

CREATE TABLE run_lines (
    number  INTEGER PRIMARY KEY,
    run     INTEGER NOT NULL,
    at_us   INTEGER NOT NULL,
    level   TEXT NOT NULL,
    message TEXT NOT NULL
);
CREATE INDEX lines_by_run ON run_lines (run, number);

CREATE TABLE keys (
    id              TEXT PRIMARY KEY,
    name            TEXT NOT NULL,
    prefix          TEXT NOT NULL,
    digest          BLOB NOT NULL UNIQUE,
    scopes          TEXT NOT NULL,
    created_at_us   INTEGER NOT NULL,
    last_used_at_us INTEGER,
    revoked_at_us   INTEGER
) WITHOUT ROWID;
