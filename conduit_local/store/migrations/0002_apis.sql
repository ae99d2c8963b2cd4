-- Counts the changes of a pipeline, so that a client can say which version it means to change.
ALTER TABLE pipelines ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;

-- Runs that wait: `started_at_us` is NULL until they begin; `options` is JSON, what the run was asked for.
CREATE TABLE new_runs (
    number         INTEGER PRIMARY KEY AUTOINCREMENT,
    pipeline       INTEGER NOT NULL,
    trigger        TEXT NOT NULL,
    state          TEXT NOT NULL,
    route          TEXT,
    through_seq    INTEGER NOT NULL,
    created_at_us  INTEGER NOT NULL,
    started_at_us  INTEGER,
    finished_at_us INTEGER,
    rows           INTEGER NOT NULL DEFAULT 0,
    size_bytes     INTEGER NOT NULL DEFAULT 0,
    batches        INTEGER NOT NULL DEFAULT 0,
    attempts       INTEGER NOT NULL DEFAULT 0,
    object_key     TEXT,
    error          TEXT,
    options        TEXT
);
INSERT INTO new_runs
    SELECT number, pipeline, trigger, state, route, through_seq, started_at_us, started_at_us, finished_at_us, rows,
           size_bytes, batches, attempts, object_key, error, NULL
    FROM runs;
DELETE FROM sqlite_sequence WHERE name = 'new_runs';
INSERT INTO sqlite_sequence SELECT 'new_runs', seq FROM sqlite_sequence WHERE name = 'runs';
DROP TABLE runs;
ALTER TABLE new_runs RENAME TO runs;
CREATE INDEX runs_by_pipeline ON runs (pipeline, number);
CREATE INDEX runs_under_way ON runs (number) WHERE state IN ('pending', 'running');

-- Domains: any text is one; its name is what people call it.
CREATE TABLE domains (
    id   TEXT PRIMARY KEY,
    name TEXT NOT NULL
) WITHOUT ROWID;

-- Who wants to be told. `kinds` are separated by spaces; `secret` is sealed.
CREATE TABLE webhooks (
    id            TEXT PRIMARY KEY,
    url           TEXT NOT NULL,
    kinds         TEXT NOT NULL,
    secret        TEXT NOT NULL,
    created_at_us INTEGER NOT NULL
) WITHOUT ROWID;

-- The outbox: one notice on its way to one webhook, written in the commit of what it tells. One that comes with events
-- and was never attempted takes the next one of its kind in, so that a receiver that is away costs no row an event.
CREATE TABLE tellings (
    number          INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook         TEXT NOT NULL,
    kind            TEXT NOT NULL,
    pipeline        INTEGER NOT NULL,
    pipeline_id     TEXT NOT NULL,
    pipeline_name   TEXT NOT NULL,
    route           TEXT NOT NULL,
    at_us           INTEGER NOT NULL,
    first_seq       INTEGER NOT NULL,
    last_seq        INTEGER NOT NULL,
    count           INTEGER NOT NULL,
    more            TEXT NOT NULL,
    state           TEXT NOT NULL,
    attempts        INTEGER NOT NULL,
    made_us         INTEGER NOT NULL,
    due_us          INTEGER NOT NULL,
    attempted_at_us INTEGER,
    ended_at_us     INTEGER,
    status          INTEGER,
    error           TEXT
);
CREATE INDEX tellings_by_webhook ON tellings (webhook, number);
CREATE INDEX tellings_due ON tellings (webhook, due_us) WHERE state = 'pending';
CREATE INDEX tellings_gathering ON tellings (webhook, kind, pipeline, route) WHERE state = 'pending' AND attempts = 0;
