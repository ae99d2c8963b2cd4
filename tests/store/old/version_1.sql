-- A database of schema version 1, as version 0.1.0's first vertical left it: 25 events delivered, 5 held by a pause, 3 drained.
BEGIN TRANSACTION;
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
INSERT INTO "batches" VALUES(1,1,'files',1,1,10,'orders/000000000001-000000000010.jsonl','{"type":"files","name":"files","path":"out","format":"jsonl","compression":"none","record":"envelope","partition":""}',1,1795257241369867,1795257241373854,'/data/out/orders/000000000001-000000000010.jsonl',1460);
INSERT INTO "batches" VALUES(2,1,'files',2,11,20,'orders/000000000011-000000000020.jsonl','{"type":"files","name":"files","path":"out","format":"jsonl","compression":"none","record":"envelope","partition":""}',1,1795257241374316,1795257241378054,'/data/out/orders/000000000011-000000000020.jsonl',1470);
INSERT INTO "batches" VALUES(3,1,'files',3,21,25,'orders/000000000021-000000000025.jsonl','{"type":"files","name":"files","path":"out","format":"jsonl","compression":"none","record":"envelope","partition":""}',1,1795257241417978,1795257241420422,'/data/out/orders/000000000021-000000000025.jsonl',735);
INSERT INTO "batches" VALUES(4,3,'files',5,1,3,'drained/000000000001-000000000003.jsonl','{"type":"files","name":"files","path":"out","format":"jsonl","compression":"none","record":"envelope","partition":""}',1,1795257241426144,1795257241429639,'/data/out/drained/000000000001-000000000003.jsonl',450);
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
INSERT INTO "chunks" VALUES(1,1,1,25,1795257241367390,3665,'order.created',1,X'28B52FFD60510D5D0800F2CA23205069AB03A65A73E505A96D650DD9A7DA8BA86A6D347C902D0934E030AAB0093D86A651BAA05215342A7CC2117E7083177CF1BD4B4EA0688822811C09C4A1104969BA3286A64100CBD0CCB26B0CA5D1A28F078E964A0B5DE07AF80F8722F5F26CCCEDF23659E963B7B3AD4C02E43AC9F0F2C6C63C6E698130252E7CCAC6177D7C74E48ED85CD6CBEEB109775933013620803392D2012915CFA529F348929E87A5A9782E3165827B242D3DC03D2C2D15BF3D979632BE3D92969EDE1E96960ADE9E4B4B99DD1E494B8F6E0F4B4B456E0FA8A507B787A5A9242F4D5952527A932CA5127929659392D28B642995C84B298B94945E92A59E4AE5537891004843D9F898653AE8B481BB03');
INSERT INTO "chunks" VALUES(2,2,1,5,1795257241423635,750,'order.created',0,X'7B226576656E745F6964223A226576745F3031643030303030323030303030303031222C22706970656C696E655F6964223A22706C5F3064777132683936222C226576656E745F74797065223A226F726465722E63726561746564222C2272656365697665645F6174223A22323032362D31312D32315431303A33343A30315A222C227061796C6F6164223A7B226E223A20307D7D0A7B226576656E745F6964223A226576745F3031643030303030323030303030303032222C22706970656C696E655F6964223A22706C5F3064777132683936222C226576656E745F74797065223A226F726465722E63726561746564222C2272656365697665645F6174223A22323032362D31312D32315431303A33343A30315A222C227061796C6F6164223A7B226E223A20317D7D0A7B226576656E745F6964223A226576745F3031643030303030323030303030303033222C22706970656C696E655F6964223A22706C5F3064777132683936222C226576656E745F74797065223A226F726465722E63726561746564222C2272656365697665645F6174223A22323032362D31312D32315431303A33343A30315A222C227061796C6F6164223A7B226E223A20327D7D0A7B226576656E745F6964223A226576745F3031643030303030323030303030303034222C22706970656C696E655F6964223A22706C5F3064777132683936222C226576656E745F74797065223A226F726465722E63726561746564222C2272656365697665645F6174223A22323032362D31312D32315431303A33343A30315A222C227061796C6F6164223A7B226E223A20337D7D0A7B226576656E745F6964223A226576745F3031643030303030323030303030303035222C22706970656C696E655F6964223A22706C5F3064777132683936222C226576656E745F74797065223A226F726465722E63726561746564222C2272656365697665645F6174223A22323032362D31312D32315431303A33343A30315A222C227061796C6F6164223A7B226E223A20347D7D0A');
INSERT INTO "chunks" VALUES(3,3,1,3,1795257241425283,450,'order.created',0,X'7B226576656E745F6964223A226576745F3031643030303030333030303030303031222C22706970656C696E655F6964223A22706C5F7A7963706B6B726E222C226576656E745F74797065223A226F726465722E63726561746564222C2272656365697665645F6174223A22323032362D31312D32315431303A33343A30315A222C227061796C6F6164223A7B226E223A20307D7D0A7B226576656E745F6964223A226576745F3031643030303030333030303030303032222C22706970656C696E655F6964223A22706C5F7A7963706B6B726E222C226576656E745F74797065223A226F726465722E63726561746564222C2272656365697665645F6174223A22323032362D31312D32315431303A33343A30315A222C227061796C6F6164223A7B226E223A20317D7D0A7B226576656E745F6964223A226576745F3031643030303030333030303030303033222C22706970656C696E655F6964223A22706C5F7A7963706B6B726E222C226576656E745F74797065223A226F726465722E63726561746564222C2272656365697665645F6174223A22323032362D31312D32315431303A33343A30315A222C227061796C6F6164223A7B226E223A20327D7D0A');
CREATE TABLE folders (
    folder   TEXT PRIMARY KEY,
    last_seq INTEGER NOT NULL
) WITHOUT ROWID;
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
INSERT INTO "idempotency" VALUES(1,1,'key-1',1,25,1795257241367390,1795343641367389,'orders','order.created',NULL);
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
INSERT INTO "keys" VALUES('key_aracmddabq','old','ck_live_oldo',X'DE7048A82FDEAB0303D75618FFC635B642D933273FBF12543319505FBA849084','admin',1795257241432153,NULL,NULL);
INSERT INTO "keys" VALUES('key_bz0svafb6f','reader','ck_live_read',X'841A0B9DB75EF8D580C08FA16FDE1B90866B0A822174514EFD91246451662DCF','read',1795257241432679,NULL,NULL);
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
INSERT INTO "pipelines" VALUES(1,'pl_8f3a','5d98dffa-8ef4-4d23-a089-13f61411ab31','orders','orders','active','{"name":"orders","id":"pl_8f3a","version":"1.0","schedule":null,"timezone":"UTC","batch":{"max_events":10,"max_bytes":8388608,"max_age":0.05},"retry":{"initial":0.5,"max":60.0},"limits":{"ingest_max_records_per_request":10000,"requests_per_minute":null},"idempotency":"replay","sources":[],"transforms":[],"destinations":[{"type":"files","name":"files","path":"out","format":"jsonl","compression":"none","record":"envelope","partition":""}]}',NULL,1,1795257241365817,NULL,NULL);
INSERT INTO "pipelines" VALUES(2,'pl_0dwq2h96','91ad5cbc-c2b3-44c1-82dc-98ddd4004073','paused','paused','paused','{"name":"paused","id":"pl_0dwq2h96","version":"1.0","schedule":null,"timezone":"UTC","batch":{"max_events":1000,"max_bytes":8388608,"max_age":5.0},"retry":{"initial":0.5,"max":60.0},"limits":{"ingest_max_records_per_request":10000,"requests_per_minute":null},"idempotency":"replay","sources":[],"transforms":[],"destinations":[{"type":"files","name":"files","path":"out","format":"jsonl","compression":"none","record":"envelope","partition":""},{"type":"files","name":"archive","path":"archive","format":"jsonl","compression":"gzip","record":"envelope","partition":""}]}',NULL,1,1795257241421664,1795257241422461,NULL);
INSERT INTO "pipelines" VALUES(3,'pl_zycpkkrn','149bfb47-b9ca-4894-bccd-4c0e95815b7a','drained','drained','stopped','{"name":"drained","id":"pl_zycpkkrn","version":"1.0","schedule":null,"timezone":"UTC","batch":{"max_events":1000,"max_bytes":8388608,"max_age":5.0},"retry":{"initial":0.5,"max":60.0},"limits":{"ingest_max_records_per_request":10000,"requests_per_minute":null},"idempotency":"replay","sources":[],"transforms":[],"destinations":[{"type":"files","name":"files","path":"out","format":"jsonl","compression":"none","record":"envelope","partition":""}]}',NULL,1,1795257241424206,1795257241430951,NULL);
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
INSERT INTO "routes" VALUES(1,'files','{"type":"files","name":"files","path":"out","format":"jsonl","compression":"none","record":"envelope","partition":""}',0,25,25,0,NULL);
INSERT INTO "routes" VALUES(2,'archive','{"type":"files","name":"archive","path":"archive","format":"jsonl","compression":"gzip","record":"envelope","partition":""}',0,0,0,0,NULL);
INSERT INTO "routes" VALUES(2,'files','{"type":"files","name":"files","path":"out","format":"jsonl","compression":"none","record":"envelope","partition":""}',0,0,0,0,NULL);
INSERT INTO "routes" VALUES(3,'files','{"type":"files","name":"files","path":"out","format":"jsonl","compression":"none","record":"envelope","partition":""}',0,3,3,0,NULL);
CREATE TABLE run_lines (
    number  INTEGER PRIMARY KEY,
    run     INTEGER NOT NULL,
    at_us   INTEGER NOT NULL,
    level   TEXT NOT NULL,
    message TEXT NOT NULL
);
INSERT INTO "run_lines" VALUES(1,1,1795257241373854,'INFO','10 rows 1.5kB in 2ms -> 000000000001-000000000010.jsonl');
INSERT INTO "run_lines" VALUES(2,2,1795257241378054,'INFO','10 rows 1.5kB in 1ms -> 000000000011-000000000020.jsonl');
INSERT INTO "run_lines" VALUES(3,3,1795257241420422,'INFO','5 rows 735B in 1ms -> 000000000021-000000000025.jsonl');
INSERT INTO "run_lines" VALUES(4,5,1795257241429639,'INFO','3 rows 450B in 2ms -> 000000000001-000000000003.jsonl');
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
INSERT INTO "runs" VALUES(1,1,'stream','success','files',10,1795257241369867,1795257241373854,10,1460,1,1,'orders/000000000001-000000000010.jsonl',NULL);
INSERT INTO "runs" VALUES(2,1,'stream','success','files',20,1795257241374316,1795257241378054,10,1470,1,1,'orders/000000000011-000000000020.jsonl',NULL);
INSERT INTO "runs" VALUES(3,1,'stream','success','files',25,1795257241417978,1795257241420422,5,735,1,1,'orders/000000000021-000000000025.jsonl',NULL);
INSERT INTO "runs" VALUES(4,3,'drain','success',NULL,3,1795257241426074,1795257241430951,0,0,0,0,NULL,NULL);
INSERT INTO "runs" VALUES(5,3,'stream','success','files',3,1795257241426144,1795257241429639,3,450,1,1,'drained/000000000001-000000000003.jsonl',NULL);
CREATE TABLE store (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO "store" VALUES('tag','01d00');
CREATE TABLE trimmed (
    pipeline      INTEGER PRIMARY KEY,
    last_seq      INTEGER NOT NULL,
    bytes_through INTEGER NOT NULL
);
CREATE UNIQUE INDEX chunks_by_seq ON chunks (pipeline, last_seq);
CREATE UNIQUE INDEX idempotency_by_key ON idempotency (pipeline, key);
CREATE UNIQUE INDEX live_ids ON pipelines (id) WHERE deleted_at_us IS NULL;
CREATE UNIQUE INDEX live_uuids ON pipelines (uuid) WHERE deleted_at_us IS NULL;
CREATE UNIQUE INDEX live_names ON pipelines (name) WHERE deleted_at_us IS NULL;
CREATE INDEX batches_by_seq ON batches (pipeline, route, last_seq);
CREATE INDEX open_batches ON batches (number) WHERE closed_at_us IS NULL;
CREATE INDEX batches_by_run ON batches (run);
CREATE INDEX runs_by_pipeline ON runs (pipeline, number);
CREATE INDEX running_runs ON runs (number) WHERE state = 'running';
CREATE INDEX lines_by_run ON run_lines (run, number);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('pipelines',3);
INSERT INTO "sqlite_sequence" VALUES('runs',5);
INSERT INTO "sqlite_sequence" VALUES('batches',4);
COMMIT;
