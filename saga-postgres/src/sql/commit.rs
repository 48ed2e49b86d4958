//! Appends to journals.

use super::{of_all, statements};

/// Whether the row before is there: it is not after a failover that lost it, or a purge.
macro_rules! follows {
    () => {
        "EXISTS (SELECT FROM @.journal p WHERE p.execution = c.execution AND p.seq = c.seq - 1)"
    };
}

/// Fails outside of a transaction, and in one that has failed: a statement that is its own transaction begins it.
pub(crate) const IS_OPEN: &str = "SELECT 1 / (now() <> statement_timestamp())::int";

/// A commit with all that it can bring, but for its answer.
macro_rules! full {
    ($name:literal, $answer:literal) => {
        concat!(
            "-- ",
            $name,
            "
        WITH t AS MATERIALIZED (SELECT @now AS now),
        c AS MATERIALIZED (
            SELECT * FROM unnest($1::int4[], $2::uuid[], $3::uuid[], $4::int8[], $5::int8[], $6::int4[], $7::int4[],
                    $8::int8[], $9::int2[], $10::bytea[], $11::bytea[], $12::int2[], $13::int8[], $14::text[],
                    $15::int4[], $16::int4[], $17::int4[], $18::int4[], $19::int4[], $20::int4[])
                AS c (ord, execution, owner, seq, nonce, row_from, row_to,
                    inbox_seen, state, conclusion, status, kind, wake_at, not_build,
                    blob_from, blob_to, out_from, out_to, sent_from, sent_to)),
        -- Held until the end, so that no run is purged meanwhile; before the journal's keys, as by
        -- all who lock both.
        l AS MATERIALIZED (
            SELECT c.* FROM c JOIN @.live l ON l.execution = c.execution ORDER BY c.execution FOR UPDATE OF l),
        -- The first row alone is the fence: a commit of several has all of its rows or none.
        first AS (
            INSERT INTO @.journal (execution, seq, nonce, more, body)
            SELECT c.execution, c.seq, c.nonce, ($21::bool[])[c.row_from], ($22::bytea[])[c.row_from] FROM l AS c
            WHERE ",
            follows!(),
            "
            ON CONFLICT DO NOTHING
            RETURNING execution),
        -- Not a join: looked up in a hash, whatever joins the session allows.
        fenced AS MATERIALIZED (SELECT * FROM c WHERE (c.execution IN (SELECT execution FROM first)) IS TRUE),
        rest AS (
            INSERT INTO @.journal (execution, seq, nonce, more, body)
            SELECT f.execution, f.seq + r.place, f.nonce, r.more, r.body
            FROM fenced f CROSS JOIN LATERAL unnest(
                ($21::bool[])[f.row_from + 1:f.row_to], ($22::bytea[])[f.row_from + 1:f.row_to])
                WITH ORDINALITY AS r (more, body, place)
            WHERE f.row_to > f.row_from),
        moved AS (
            UPDATE @.live l SET
                owner = CASE
                    WHEN c.kind = 2 THEN NULL
                    WHEN c.kind = 1 AND (c.not_build IS NOT NULL
                        OR l.inbox_last <= GREATEST(l.inbox_seen, COALESCE(c.inbox_seen, 0))) THEN NULL
                    ELSE c.owner END,
                ended = CASE WHEN c.kind = 2 THEN 1 WHEN l.ended = 1 THEN 2 ELSE 0 END,
                inbox_freed = l.inbox_seen,
                inbox_seen = LEAST(l.inbox_last, GREATEST(l.inbox_seen, COALESCE(c.inbox_seen, 0))),
                deaths = CASE WHEN l.claim_due THEN l.deaths ELSE 0 END,
                claim_due = false,
                unreleased = false
            FROM fenced c
            WHERE l.execution = c.execution
            RETURNING c.*, l.owner AS new_owner, l.ended, l.inbox_freed, l.inbox_seen AS new_seen,
                c.kind = 1 AND l.owner IS NOT NULL AS stay,
                l.owner IS NOT NULL AND l.deaths = 0 AND l.ended = 0 AS settled,
                CASE WHEN c.kind <> 1 OR l.owner IS NOT NULL THEN NULL
                    WHEN l.inbox_last > l.inbox_seen THEN (SELECT now FROM t)
                    ELSE c.wake_at END AS due_at),
        kept AS (
            INSERT INTO @.blobs (execution, blob, bytes)
            SELECT m.execution, b.blob, b.bytes FROM moved m CROSS JOIN LATERAL unnest(
                ($23::uuid[])[m.blob_from:m.blob_to], ($24::bytea[])[m.blob_from:m.blob_to]) AS b (blob, bytes)
            ON CONFLICT DO NOTHING),
        sent AS (
            INSERT INTO @.outbox (message, execution, owner, to_run, to_execution, body)
            SELECT o.message, m.execution, m.owner, o.to_run, o.to_execution, o.body
            FROM moved m CROSS JOIN LATERAL unnest(
                ($25::uuid[])[m.out_from:m.out_to], ($26::text[])[m.out_from:m.out_to],
                ($27::uuid[])[m.out_from:m.out_to], ($28::bytea[])[m.out_from:m.out_to])
                AS o (message, to_run, to_execution, body)
            ON CONFLICT DO NOTHING),
        delivered AS (
            DELETE FROM @.outbox o
            USING moved m CROSS JOIN LATERAL unnest(($29::uuid[])[m.sent_from:m.sent_to]) AS s (message)
            WHERE o.message = s.message),
        consumed AS (
            UPDATE @.inbox i SET body = NULL FROM moved m
            WHERE i.execution = m.execution AND i.position > m.inbox_freed AND i.position <= m.new_seen),
        changed AS (
            UPDATE @.runs r SET
                state = COALESCE(m.state, r.state),
                conclusion = CASE WHEN m.state IS NULL THEN r.conclusion ELSE m.conclusion END,
                status = COALESCE(m.status, r.status),
                updated_at = CASE WHEN m.state <> r.state THEN (SELECT now FROM t) ELSE r.updated_at END,
                ended_at = CASE WHEN m.ended = 1 THEN (SELECT now FROM t) END
            FROM moved m
            WHERE r.execution = m.execution AND (m.state IS NOT NULL OR m.status IS NOT NULL OR m.ended <> 0)),
        marked AS (
            INSERT INTO @.not_build (execution, build)
            SELECT execution, not_build FROM moved WHERE not_build IS NOT NULL
            ON CONFLICT DO NOTHING),
        asleep AS (
            INSERT INTO @.ready (execution, workflow, version, lane, priority, due_at, awake)
            SELECT m.execution, r.workflow, r.version, r.lane, r.priority, m.due_at, m.due_at <= (SELECT now FROM t)
            FROM moved m JOIN @.runs r ON r.execution = m.execution WHERE m.due_at IS NOT NULL
            ON CONFLICT (execution) DO UPDATE SET due_at = EXCLUDED.due_at, awake = EXCLUDED.awake),
        -- Only an operator's commit meets a run that waits to be claimed.
        unready AS (
            DELETE FROM @.ready r USING moved m WHERE r.execution = m.execution AND m.due_at IS NULL)
        ",
            $answer
        )
    };
}

statements! { 0;
    /// Commits of one row each and nothing else, of runs whose heads are known: the common case.
    ///
    /// The insert is the fence, by the journal's key: it looks at the latest state, not at the
    /// snapshot's, so that a takeover that came first fails the statement, however long it was
    /// held up. Then each is looked at: that is as rare as takeovers are, and a row that goes in
    /// on condition writes a third more to the log.
    LEAN = concat!("-- lean
        WITH appended AS (
            INSERT INTO @.journal (execution, seq, nonce, more, body)
            SELECT c.execution, c.seq, c.nonce, false, c.body
            FROM unnest($1::uuid[], $2::int8[], $3::int8[], $4::bytea[]) AS c (execution, seq, nonce, body)
            WHERE ", follows!(), "
            RETURNING execution)
        ", of_all!("appended"));

    /// The same together with the last commits of such runs: a row each, and how they ended. One
    /// statement, since each is a transaction with a flush of its own.
    ///
    /// The rows of `live` are changed first, in the order of `c`, which locks them until the end, so
    /// that no run is purged meanwhile; before the journal's keys, as by all who lock both.
    LEAN_CLOSE = concat!("-- lean_close
        WITH t AS MATERIALIZED (SELECT @now AS now),
        c AS MATERIALIZED (
            SELECT c.*
            FROM unnest($1::uuid[], $2::int8[], $3::int8[], $4::bytea[], $5::int2[], $6::bytea[])
                AS c (execution, seq, nonce, body, state, conclusion)
            WHERE ", follows!(), "),
        closed AS (
            UPDATE @.live l SET owner = NULL, ended = 1 FROM c
            WHERE c.state IS NOT NULL AND l.execution = c.execution
            RETURNING c.execution, c.state, c.conclusion),
        changed AS (
            UPDATE @.runs r SET
                state = c.state,
                conclusion = c.conclusion,
                updated_at = (SELECT now FROM t),
                ended_at = (SELECT now FROM t)
            FROM closed c WHERE r.execution = c.execution),
        appended AS (
            INSERT INTO @.journal (execution, seq, nonce, more, body)
            SELECT execution, seq, nonce, false, body FROM c
            WHERE (SELECT count(*) FROM closed) >= 0
                AND (c.state IS NULL OR (c.execution IN (SELECT execution FROM closed)) IS TRUE)
            RETURNING execution)
        ", of_all!("appended"));

    /// Commits with all that they can bring. What belongs to a commit is a slice of the arrays
    /// of all, so that nothing is joined but by a table's key.
    FULL = full!("full",
        "SELECT ord, stay, COALESCE(due_at <= (SELECT now FROM t), false), settled FROM moved");

    /// The same for one commit, as the last statement of a transaction that is not the store's
    /// alone: it fails, and the transaction with it, if the place is taken.
    FENCED = full!("fenced", "SELECT 1 / count(*) FROM moved");

    /// The same for rows and nothing else, which is the common case.
    STEP = concat!("-- step
        WITH c AS MATERIALIZED (
            SELECT l.execution, $2::int8 AS seq FROM @.live l WHERE l.execution = $1::uuid AND l.ended <> 1
            FOR KEY SHARE),
        first AS (
            INSERT INTO @.journal (execution, seq, nonce, more, body)
            SELECT c.execution, c.seq, $4::int8, ($5::bool[])[1], ($6::bytea[])[1] FROM c
            WHERE ", follows!(), "
            ON CONFLICT DO NOTHING
            RETURNING execution),
        rest AS (
            INSERT INTO @.journal (execution, seq, nonce, more, body)
            SELECT f.execution, $2::int8 + r.place, $4::int8, r.more, r.body
            FROM first f CROSS JOIN LATERAL unnest(($5::bool[])[2:], ($6::bytea[])[2:])
                WITH ORDINALITY AS r (more, body, place)),
        settled AS (
            UPDATE @.live l SET
                owner = $3::uuid,
                ended = 0,
                deaths = CASE WHEN l.claim_due THEN l.deaths ELSE 0 END,
                claim_due = false,
                unreleased = false
            FROM first f
            WHERE l.execution = f.execution AND (l.owner IS DISTINCT FROM $3::uuid OR l.ended <> 0 OR l.deaths <> 0
                OR l.claim_due OR l.unreleased))
        SELECT 1 / count(*) FROM first");

    /// The same for one row of a run of which nothing is to be settled. The values are made so that
    /// it fails if the row before is not there; if the place is taken it fails by itself. The row
    /// before is locked: the transaction's snapshot may be older than a purge, which then comes
    /// after it, or has it fail.
    ///
    /// The row before is looked for by an insert, which its place refuses: that goes by the key
    /// whatever the planner thinks of the table, and so whatever the session is set to.
    STEP_LEAN = "-- step_lean
        WITH lost AS (
            INSERT INTO @.journal AS j (execution, seq, nonce, more, body)
            VALUES ($1::uuid, $2::int8 - 1, 0, false, '')
            ON CONFLICT (execution, seq) DO UPDATE SET nonce = j.nonce WHERE false
            RETURNING seq)
        INSERT INTO @.journal (execution, seq, nonce, more, body) VALUES ($1::uuid, $2::int8, $3::int8,
            1 / (NOT EXISTS (SELECT FROM lost))::int = 0, $4::bytea)";

    /// Why commits were not applied: the head, the mark at their place, and whose the run is.
    PLACES = "-- places
        SELECT c.ord, (SELECT h.seq FROM @.journal h WHERE h.execution = c.execution ORDER BY h.seq DESC LIMIT 1),
            j.nonce, l.owner
        FROM unnest($1::int4[], $2::uuid[], $3::int8[]) AS c (ord, execution, seq)
        LEFT JOIN @.live l ON l.execution = c.execution
        LEFT JOIN @.journal j ON j.execution = c.execution AND j.seq = c.seq";
}
