-- "@." stands for the schema. Moments are microseconds since 1970.

-- What lists and clients see of an execution: written at its start, at changes of its state and
-- at its end. What changes with each commit is in "live", so that its updates touch no index.
CREATE TABLE @.runs (
    execution    uuid     PRIMARY KEY,
    id           text     COLLATE "C" NOT NULL,
    newest       boolean  NOT NULL,
    workflow     text     COLLATE "C" NOT NULL,
    version      bigint   NOT NULL,
    lane         text     COLLATE "C" NOT NULL,
    priority     smallint NOT NULL,
    state        smallint NOT NULL,
    created_at   bigint   NOT NULL,
    updated_at   bigint   NOT NULL,
    ended_at     bigint,
    input_digest bigint   NOT NULL,
    attributes   text[]   NOT NULL,
    memo         bytea,
    status       bytea,
    conclusion   bytea
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
CREATE UNIQUE INDEX runs_newest ON @.runs (id) WHERE newest;
CREATE INDEX runs_id ON @.runs (id, execution);
CREATE INDEX runs_workflow ON @.runs (workflow, execution);
CREATE INDEX runs_state ON @.runs (state, execution);
CREATE INDEX runs_ended ON @.runs (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX runs_created ON @.runs (created_at);

CREATE TABLE @.attributes (
    name      text COLLATE "C" NOT NULL,
    value     text COLLATE "C" NOT NULL,
    execution uuid NOT NULL,
    PRIMARY KEY (name, value, execution)
);
CREATE INDEX attributes_execution ON @.attributes (execution);

-- Where a run stands: the head of its journal, its owner, its inbox. A commit moves the head on
-- from where its writer thinks that it is; that is the fence. "ended": 0 live, 1 ended, 2 just
-- taken up again by an operator. "unreleased": the owner before did not release it. "claim_due":
-- the next commit is the claim record of a takeover, which is no progress and so leaves "deaths".
-- The only index beside the key is on the owner, which commits leave alone: so an update of the
-- head stays in its page (HOT).
CREATE TABLE @.live (
    execution   uuid     PRIMARY KEY,
    owner       uuid,
    seq         bigint   NOT NULL,
    inbox_last  bigint   NOT NULL DEFAULT 0,
    inbox_seen  bigint   NOT NULL DEFAULT 0,
    inbox_freed bigint   NOT NULL DEFAULT 0,
    deaths      integer  NOT NULL DEFAULT 0,
    ended       smallint NOT NULL DEFAULT 0,
    unreleased  boolean  NOT NULL DEFAULT false,
    claim_due   boolean  NOT NULL DEFAULT false
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05,
        autovacuum_vacuum_cost_delay = 1);
CREATE INDEX live_owner ON @.live (owner, execution) WHERE owner IS NOT NULL;

-- Runs that nobody owns and that are due ("awake") or will be.
CREATE TABLE @.ready (
    execution uuid     PRIMARY KEY,
    workflow  text     COLLATE "C" NOT NULL,
    version   bigint   NOT NULL,
    lane      text     COLLATE "C" NOT NULL,
    priority  smallint NOT NULL,
    due_at    bigint   NOT NULL,
    awake     boolean  NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500,
        autovacuum_analyze_scale_factor = 0.1, autovacuum_vacuum_cost_delay = 1);
CREATE INDEX ready_awake ON @.ready (workflow, version, lane, priority DESC, due_at, execution) WHERE awake;
CREATE INDEX ready_asleep ON @.ready (due_at) WHERE NOT awake;

-- Builds that could not drive a run and shall not be given it again.
CREATE TABLE @.not_build (
    execution uuid NOT NULL,
    build     text COLLATE "C" NOT NULL,
    PRIMARY KEY (execution, build)
);

CREATE TABLE @.journal (
    execution uuid    NOT NULL,
    seq       bigint  NOT NULL,
    nonce     bigint  NOT NULL,
    more      boolean NOT NULL,
    body      bytea   NOT NULL,
    PRIMARY KEY (execution, seq)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 1);

CREATE TABLE @.blobs (
    execution uuid  NOT NULL,
    blob      uuid  NOT NULL,
    bytes     bytea NOT NULL,
    PRIMARY KEY (execution, blob)
);

-- A consumed message loses its body and keeps its id, so that a repeated delivery is recognised.
CREATE TABLE @.inbox (
    execution uuid   NOT NULL,
    position  bigint NOT NULL,
    message   uuid   NOT NULL,
    at        bigint NOT NULL,
    body      bytea,
    PRIMARY KEY (execution, position)
) WITH (fillfactor = 90);
CREATE UNIQUE INDEX inbox_message ON @.inbox (message);

-- The owner is kept here and not joined: messages outlive the ownership of their run.
CREATE TABLE @.outbox (
    message      uuid   PRIMARY KEY,
    number       bigint GENERATED ALWAYS AS IDENTITY,
    execution    uuid   NOT NULL,
    owner        uuid   NOT NULL,
    to_run       text   COLLATE "C",
    to_execution uuid,
    body         bytea  NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 1);
CREATE INDEX outbox_owner ON @.outbox (owner, number);
CREATE INDEX outbox_execution ON @.outbox (execution);

-- A dead worker is kept until nothing is left to adopt, so that every observer sees it.
CREATE TABLE @.workers (
    incarnation uuid    PRIMARY KEY,
    name        text    NOT NULL,
    build       text    NOT NULL,
    lease       bigint  NOT NULL,
    beats       bigint  NOT NULL DEFAULT 0,
    beat_at     bigint  NOT NULL,
    dead        boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 200);

-- What the last claim of each worker gave, by its number: one whose answer was lost is answered
-- again.
CREATE TABLE @.claims (
    incarnation uuid   PRIMARY KEY,
    number      bigint NOT NULL DEFAULT 0,
    executions  uuid[] NOT NULL DEFAULT '{}'
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 200);
