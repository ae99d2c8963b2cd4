"""
SQLite: the only SQL in the house.

    folder      the data folder: lock, layout, who holds it
    connection  opening connections, and what SQLite's errors mean
    migrate     the schema, step by step, with a copy kept
    writer      the one writing connection: group commit
    readers     query-only connections
    chunks      events <-> the bytes of a chunk
    ends        where the log ends
    append      one group of appends
    room        quota and free space
    log         `Log`: append, read, trim
    idempotency keys that were used, for 24 hours
    catalog     `Catalog`: pipelines, runs, batches, keys, webhooks (a file each)
    vault       secrets at rest
    verify      a look from outside
    store       all of it, opened and closed in order

One connection writes and checkpoints; readers are query-only, never checkpoint, and are closed first. SQLite 3.7.0 to
3.51.2 can corrupt a WAL database when two connections write or checkpoint at the same moment.
"""
