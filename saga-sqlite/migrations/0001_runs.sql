-- A run is known by its execution outside and by a small number in here, so that the rows and
-- indexes of the hot path stay short and new ones go to the end of their tables.
CREATE TABLE saga_runs (
    run          INTEGER PRIMARY KEY,
    execution    BLOB    NOT NULL,
    id           TEXT    NOT NULL,
    newest       INTEGER NOT NULL,
    workflow     TEXT    NOT NULL,
    version      INTEGER NOT NULL,
    state        INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    input_digest INTEGER NOT NULL,
    memo         BLOB,
    status       BLOB,
    conclusion   BLOB
) STRICT;
CREATE UNIQUE INDEX saga_runs_execution ON saga_runs (execution);
CREATE INDEX saga_runs_id ON saga_runs (id, execution);
CREATE UNIQUE INDEX saga_runs_newest ON saga_runs (id) WHERE newest = 1;
CREATE INDEX saga_runs_workflow ON saga_runs (workflow, execution);
CREATE INDEX saga_runs_state ON saga_runs (state, execution);
CREATE INDEX saga_runs_created ON saga_runs (created_at);

CREATE TABLE saga_attributes (
    run     INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    name    TEXT    NOT NULL,
    value   TEXT    NOT NULL,
    PRIMARY KEY (run, ordinal)
) STRICT, WITHOUT ROWID;
CREATE INDEX saga_attributes_value ON saga_attributes (name, value, run);

-- Who drives a run, or when it is due. A run is owned, ready, asleep until due_at, asleep until
-- a message comes, or ended. `unreleased`: the owner before did not release it. `claim_due`: the
-- next commit is the claim record of a takeover, which is no progress and so leaves `deaths`.
CREATE TABLE saga_live (
    run        INTEGER PRIMARY KEY,
    owner      BLOB,
    ready      INTEGER NOT NULL,
    lane       TEXT    NOT NULL,
    priority   INTEGER NOT NULL,
    due_at     INTEGER,
    ended_at   INTEGER,
    unreleased INTEGER NOT NULL DEFAULT 0,
    claim_due  INTEGER NOT NULL DEFAULT 0,
    deaths     INTEGER NOT NULL DEFAULT 0,
    inbox_last INTEGER NOT NULL DEFAULT 0,
    inbox_seen INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX saga_live_owner ON saga_live (owner) WHERE owner IS NOT NULL;
CREATE INDEX saga_live_ready ON saga_live (lane, priority DESC, due_at) WHERE ready = 1;
CREATE INDEX saga_live_asleep ON saga_live (due_at) WHERE ready = 0 AND due_at IS NOT NULL;
CREATE INDEX saga_live_ended ON saga_live (ended_at) WHERE ended_at IS NOT NULL;

-- Builds that could not drive a run and shall not be given it again.
CREATE TABLE saga_not_build (
    run   INTEGER NOT NULL,
    build TEXT    NOT NULL,
    PRIMARY KEY (run, build)
) STRICT, WITHOUT ROWID;

-- Rows are appended at the end whatever their run, and each names the row before it of its run,
-- so that a group commit of many runs touches few pages. (An index on run and seq would dirty a
-- page a run: some 700 KiB of log for 180 rows, measured, instead of 60.)
CREATE TABLE saga_journal (
    row    INTEGER PRIMARY KEY,
    run    INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    nonce  INTEGER NOT NULL,
    more   INTEGER NOT NULL,
    before INTEGER,
    body   BLOB    NOT NULL
) STRICT;

-- The last row of each journal. It is moved on from a row that the writer knows, by a writer at
-- a time: that is the fence. It has a table of its own because it changes with each commit.
CREATE TABLE saga_heads (
    run INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL,
    row INTEGER NOT NULL
) STRICT;

CREATE TABLE saga_blobs (
    run   INTEGER NOT NULL,
    blob  BLOB    NOT NULL,
    bytes BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX saga_blobs_id ON saga_blobs (run, blob);

-- A consumed message loses its body and keeps its id, so that a repeated delivery is recognised.
CREATE TABLE saga_inbox (
    run      INTEGER NOT NULL,
    position INTEGER NOT NULL,
    message  BLOB    NOT NULL,
    at       INTEGER NOT NULL,
    body     BLOB,
    PRIMARY KEY (run, position)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX saga_inbox_message ON saga_inbox (message);

-- The owner is kept here and not joined: messages outlive the ownership of their run.
CREATE TABLE saga_outbox (
    number       INTEGER PRIMARY KEY,
    message      BLOB    NOT NULL,
    run          INTEGER NOT NULL,
    owner        BLOB    NOT NULL,
    to_run       TEXT,
    to_execution BLOB,
    body         BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX saga_outbox_message ON saga_outbox (message);
CREATE INDEX saga_outbox_run ON saga_outbox (run);
