//! Appends to journals.

use super::statements;

/// A commit with all that it can bring, but for its answer.
macro_rules! full {
    ($name:literal, $answer:literal) => {
        concat!(
            "-- ",
            $name,
            "
        WITH t AS MATERIALIZED (SELECT @now AS now),
        moved AS (
            UPDATE @.live l SET
                seq = c.seq + c.row_to - c.row_from,
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
            FROM unnest($1::int4[], $2::uuid[], $3::uuid[], $4::int8[], $5::int8[], $6::int4[], $7::int4[],
                    $8::int8[], $9::int2[], $10::bytea[], $11::bytea[], $12::int2[], $13::int8[], $14::text[],
                    $15::int4[], $16::int4[], $17::int4[], $18::int4[], $19::int4[], $20::int4[])
                AS c (ord, execution, owner, seq, nonce, row_from, row_to,
                    inbox_seen, state, conclusion, status, kind, wake_at, not_build,
                    blob_from, blob_to, out_from, out_to, sent_from, sent_to)
            WHERE l.execution = c.execution AND l.seq = c.seq - 1
            RETURNING c.*, l.owner AS new_owner, l.ended, l.inbox_freed, l.inbox_seen AS new_seen,
                c.kind = 1 AND l.owner IS NOT NULL AS stay,
                CASE WHEN c.kind <> 1 OR l.owner IS NOT NULL THEN NULL
                    WHEN l.inbox_last > l.inbox_seen THEN (SELECT now FROM t)
                    ELSE c.wake_at END AS due_at),
        appended AS (
            INSERT INTO @.journal (execution, seq, nonce, more, body)
            SELECT m.execution, m.seq + r.place - 1, m.nonce, r.more, r.body
            FROM moved m CROSS JOIN LATERAL unnest(
                ($21::bool[])[m.row_from:m.row_to], ($22::bytea[])[m.row_from:m.row_to])
                WITH ORDINALITY AS r (more, body, place)),
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
    /// Commits of one row each and nothing else, by owners that are settled: the common case.
    ///
    /// The update is the fence. It takes the row's lock and looks at the row's latest version,
    /// not at the snapshot's, so that a takeover that came first refuses it, however long the
    /// statement was held up. The journal's key is the second lock on the same door.
    LEAN = "-- lean
        WITH moved AS (
            UPDATE @.live l SET seq = c.seq
            FROM unnest($1::int4[], $2::uuid[], $3::uuid[], $4::int8[], $5::int8[], $6::bytea[])
                AS c (ord, execution, owner, seq, nonce, body)
            WHERE l.execution = c.execution AND l.seq = c.seq - 1 AND l.owner = c.owner
                AND l.deaths = 0 AND NOT l.unreleased AND NOT l.claim_due
            RETURNING c.ord, c.execution, c.seq, c.nonce, c.body),
        appended AS (
            INSERT INTO @.journal (execution, seq, nonce, more, body)
            SELECT execution, seq, nonce, false, body FROM moved)
        SELECT array_agg(ord) FROM moved";

    /// Commits with all that they can bring. What belongs to a commit is a slice of the arrays
    /// of all, so that nothing is joined but by a table's key.
    FULL = full!("full", "SELECT ord, stay, COALESCE(due_at <= (SELECT now FROM t), false) FROM moved");

    /// The same for one commit, as the last statement of a transaction that is not the store's
    /// alone: it fails, and the transaction with it, if the place is taken, or if this is not the
    /// transaction that was begun.
    FENCED = full!("fenced", "SELECT 1 / (current_setting('saga.step', true) = 'open')::int, 1 / count(*) FROM moved");

    /// The same for rows and nothing else, which is the common case.
    STEP = "-- step
        WITH moved AS (
            UPDATE @.live l SET
                seq = $2::int8 + cardinality($6::bytea[]) - 1,
                owner = $3::uuid,
                ended = 0,
                deaths = CASE WHEN l.claim_due THEN l.deaths ELSE 0 END,
                claim_due = false,
                unreleased = false
            WHERE l.execution = $1::uuid AND l.seq = $2::int8 - 1 AND l.ended <> 1 AND current_setting('saga.step', true) = 'open'
            RETURNING l.execution),
        appended AS (
            INSERT INTO @.journal (execution, seq, nonce, more, body)
            SELECT m.execution, $2::int8 + r.place - 1, $4::int8, r.more, r.body
            FROM moved m CROSS JOIN LATERAL unnest($5::bool[], $6::bytea[]) WITH ORDINALITY AS r (more, body, place))
        SELECT 1 / count(*) FROM moved";

    /// Why commits were not applied: the head, the mark at their place, and whose the run is.
    PLACES = "-- places
        SELECT c.ord, l.seq, j.nonce, l.owner
        FROM unnest($1::int4[], $2::uuid[], $3::int8[]) AS c (ord, execution, seq)
        LEFT JOIN @.live l ON l.execution = c.execution
        LEFT JOIN @.journal j ON j.execution = c.execution AND j.seq = c.seq";
}
