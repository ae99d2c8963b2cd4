-- What became of events on their way: `filtered` yielded no row of their own, `purged` were dead and are discarded.
-- A route that `replays` reads the dead letters that this run has in hand; its numbers are their places in the run.
ALTER TABLE routes ADD COLUMN filtered INTEGER NOT NULL DEFAULT 0;
ALTER TABLE routes ADD COLUMN purged INTEGER NOT NULL DEFAULT 0;
ALTER TABLE routes ADD COLUMN replays INTEGER;

-- The transforms of an intent, so that a repeat makes the same rows; emptied once the batch is closed.
ALTER TABLE batches ADD COLUMN recipe TEXT NOT NULL DEFAULT '';

ALTER TABLE runs ADD COLUMN stage TEXT NOT NULL DEFAULT 'load';
ALTER TABLE runs ADD COLUMN extracted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN events INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN filtered INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN dead INTEGER NOT NULL DEFAULT 0;
UPDATE runs SET events = rows;
CREATE INDEX runs_by_time ON runs (pipeline, created_at_us);

-- How far each source of a pipeline was read; written in the commit of the events that it brought.
CREATE TABLE source_cursors (
    pipeline INTEGER NOT NULL,
    source   TEXT NOT NULL,
    cursor   TEXT NOT NULL,
    PRIMARY KEY (pipeline, source)
) WITHOUT ROWID;

-- Events that were refused for good, and input that is no event (`route` is empty, `seq` 0, `content` as it was found).
-- `replay` is the run that has it in hand, `place` its place among those of the same route there.
CREATE TABLE dead_letters (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    pipeline     INTEGER NOT NULL,
    route        TEXT NOT NULL,
    seq          INTEGER NOT NULL,
    stage        TEXT NOT NULL,
    error        TEXT NOT NULL,
    reason       TEXT NOT NULL,
    event_type   TEXT NOT NULL,
    content      BLOB NOT NULL,
    origin       TEXT,
    at_us        INTEGER NOT NULL,
    run          INTEGER,
    attempts     INTEGER NOT NULL DEFAULT 1,
    edited_at_us INTEGER,
    replay       INTEGER,
    place        INTEGER
);
CREATE INDEX dead_by_pipeline ON dead_letters (pipeline, number);
CREATE INDEX dead_by_time ON dead_letters (at_us);
CREATE INDEX dead_in_hand ON dead_letters (replay, route, place) WHERE replay IS NOT NULL;
