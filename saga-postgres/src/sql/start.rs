//! Starts of runs, and messages to them.

use super::{commit, left_to_others, of_all, statements};

/// A start, but for what happens when the id or the execution exists already.
macro_rules! start {
    ($on_conflict:literal) => {
        concat!(
            "-- start
        -- The limit of the wait for an id that an open transaction holds is set before the first
        -- row goes in, and ends with the statement.
        WITH t AS MATERIALIZED (SELECT @now AS now, set_config('lock_timeout', COALESCE($25, current_setting('lock_timeout')), true)),
        c AS MATERIALIZED (
            SELECT c.*, w.incarnation AS owner,
                CASE WHEN w.incarnation IS NULL THEN GREATEST(c.not_before, (SELECT now FROM t)) END AS due_at
            FROM unnest($1::int4[], $2::text[], $3::uuid[], $4::text[], $5::int8[], $6::text[], $7::int2[],
                    $8::int8[], $9::int8[], $10::bytea[], $11::int8[], $12::uuid[], $13::uuid[],
                    $14::int4[], $15::int4[], $16::int4[], $17::int4[], $18::int4[], $19::int4[])
                AS c (ord, id, execution, workflow, version, lane, priority,
                    not_before, digest, body, nonce, claim_for, replaces,
                    attr_from, attr_to, blob_from, blob_to, msg_from, msg_to)
            LEFT JOIN @.workers w ON w.incarnation = c.claim_for AND NOT w.dead),
        old AS (
            UPDATE @.runs r SET newest = false FROM c
            WHERE r.execution = c.replaces AND r.newest AND r.state = ANY ($26::int2[])
            RETURNING r.execution),
        added AS (
            INSERT INTO @.runs (execution, id, newest, workflow, version, lane, priority, state,
                created_at, updated_at, input_digest, attributes, memo)
            SELECT c.execution, c.id, true, c.workflow, c.version, c.lane, c.priority,
                CASE WHEN c.owner IS NULL THEN 0 ELSE 1 END, (SELECT now FROM t), (SELECT now FROM t), c.digest,
                ($20::text[])[c.attr_from:c.attr_to], ($27::bytea[])[c.ord + 1]
            FROM c WHERE c.replaces IS NULL OR (c.replaces IN (SELECT execution FROM old)) IS TRUE
            ORDER BY c.ord ",
            $on_conflict,
            " RETURNING execution),
        -- Not a join: looked up in a hash, whatever joins the session allows.
        n AS MATERIALIZED (SELECT * FROM c WHERE (c.execution IN (SELECT execution FROM added)) IS TRUE),
        said AS MATERIALIZED (
            SELECT n.execution, m.message, m.body, row_number() OVER (PARTITION BY n.execution ORDER BY m.place) AS position
            FROM n CROSS JOIN LATERAL unnest(
                ($23::uuid[])[n.msg_from:n.msg_to], ($24::bytea[])[n.msg_from:n.msg_to])
                WITH ORDINALITY AS m (message, body, place)
            WHERE NOT EXISTS (SELECT FROM @.inbox i WHERE i.message = m.message)),
        living AS (
            INSERT INTO @.live (execution, owner, inbox_last)
            SELECT n.execution, n.owner, (SELECT count(*) FROM said s WHERE s.execution = n.execution) FROM n),
        journalled AS (
            INSERT INTO @.journal (execution, seq, nonce, more, body)
            SELECT execution, 0, nonce, false, body FROM n),
        described AS (
            INSERT INTO @.attributes (name, value, created_at, execution)
            SELECT ($20::text[])[i], ($20::text[])[i + 1], (SELECT now FROM t), n.execution
            FROM n CROSS JOIN LATERAL generate_series(n.attr_from, n.attr_to, 2) AS i
            ON CONFLICT DO NOTHING),
        kept AS (
            INSERT INTO @.blobs (execution, blob, bytes)
            SELECT n.execution, b.blob, b.bytes FROM n CROSS JOIN LATERAL unnest(
                ($21::uuid[])[n.blob_from:n.blob_to], ($22::bytea[])[n.blob_from:n.blob_to]) AS b (blob, bytes)
            ON CONFLICT DO NOTHING),
        received AS (
            INSERT INTO @.inbox (execution, position, message, at, body)
            SELECT execution, position, message, (SELECT now FROM t), body FROM said),
        readied AS (
            INSERT INTO @.ready (execution, workflow, version, lane, priority, due_at, awake)
            SELECT execution, workflow, version, lane, priority,
                CASE WHEN said THEN (SELECT now FROM t) ELSE due_at END,
                said OR due_at <= (SELECT now FROM t)
            FROM (SELECT n.*, EXISTS (SELECT FROM said s WHERE s.execution = n.execution) AS said FROM n) n
            WHERE owner IS NULL)
        SELECT ord, owner IS NULL FROM n"
        )
    };
}

/// Puts messages into inboxes: what counts them, what else is done, and what else is answered.
macro_rules! deliver {
    ($name:literal, $counted:expr, $also:literal, $answer:literal) => {
        concat!(
            "-- ",
            $name,
            "
        WITH t AS MATERIALIZED (SELECT @now AS now),
        c AS MATERIALIZED (
            SELECT c.ord, c.message, c.body, i.execution AS known, COALESCE(r.execution, e.execution) AS execution
            FROM unnest($1::int4[], $2::uuid[], $3::text[], $4::uuid[], $5::bytea[])
                AS c (ord, message, to_run, to_execution, body)
            LEFT JOIN @.inbox i ON i.message = c.message
            LEFT JOIN @.runs r ON r.id = c.to_run AND r.newest
            LEFT JOIN @.runs e ON e.execution = c.to_execution),
        n AS MATERIALIZED (
            SELECT execution, count(*) AS messages FROM c WHERE known IS NULL AND execution IS NOT NULL
            GROUP BY execution ORDER BY execution),
        ",
            $counted,
            ",
        received AS (
            INSERT INTO @.inbox (execution, position, message, at, body)
            SELECT c.execution, l.before + row_number() OVER (PARTITION BY c.execution ORDER BY c.ord),
                c.message, (SELECT now FROM t), c.body
            FROM c JOIN counted l ON l.execution = c.execution WHERE c.known IS NULL),
        woken AS (
            INSERT INTO @.ready AS w (execution, workflow, version, lane, priority, due_at, awake)
            SELECT l.execution, r.workflow, r.version, r.lane, r.priority, (SELECT now FROM t), true
            FROM counted l JOIN @.runs r ON r.execution = l.execution WHERE l.free AND NOT l.taken
            ON CONFLICT (execution) DO UPDATE SET awake = true, due_at = LEAST(w.due_at, EXCLUDED.due_at)
                WHERE NOT w.awake)",
            $also,
            "
        SELECT c.ord, c.known, c.execution, l.free",
            $answer
        )
    };
}

statements! { commit::END;
    /// Starts runs; those whose id or execution exists are left out.
    START = start!("ON CONFLICT DO NOTHING");
    /// Starts runs that are new, or in place of finished ones; fails if an id or an execution
    /// exists, and so leaves the finished one the newest. A row that goes in on condition costs
    /// more: each index is searched twice, and one record more is logged.
    START_NEW = start!("");

    /// Starts runs that are new and whose worker is there, and that bring nothing but their first
    /// record: the common case. Fails if an id or an execution exists; those whose worker has gone
    /// are left out.
    START_LEAN = concat!("-- start_lean
        WITH t AS MATERIALIZED (SELECT @now AS now, set_config('lock_timeout', $11, true)),
        c AS MATERIALIZED (
            SELECT c.*, (SELECT now FROM t) AS now
            FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int8[], $5::text[], $6::int2[], $7::int8[],
                    $8::bytea[], $9::int8[], $10::uuid[])
                AS c (execution, id, workflow, version, lane, priority, digest, body, nonce, owner)
            JOIN @.workers w ON w.incarnation = c.owner AND NOT w.dead),
        added AS (
            INSERT INTO @.runs (execution, id, newest, workflow, version, lane, priority, state,
                created_at, updated_at, input_digest, attributes)
            SELECT execution, id, true, workflow, version, lane, priority, 1, now, now, digest, '{}' FROM c
            RETURNING execution),
        living AS (INSERT INTO @.live (execution, owner, inbox_last) SELECT execution, owner, 0 FROM c),
        journalled AS (
            INSERT INTO @.journal (execution, seq, nonce, more, body) SELECT execution, 0, nonce, false, body FROM c)
        ", of_all!("added"));

    /// What is there already of some starts.
    EXISTING = "-- existing
        SELECT c.ord, r.execution, r.workflow, r.state, r.input_digest, o.id
        FROM unnest($1::int4[], $2::text[], $3::uuid[]) AS c (ord, id, execution)
        LEFT JOIN @.runs r ON r.id = c.id AND r.newest
        LEFT JOIN @.runs o ON o.execution = c.execution";

    /// Puts messages into inboxes. A position is taken under the lock of the run's row, and only
    /// for a message that goes in, so that positions have no gaps; a message that two sessions
    /// deliver at once fails one of them, which finds it when it tries again.
    DELIVER = deliver!(
        "deliver",
        "counted AS (
            UPDATE @.live l SET inbox_last = l.inbox_last + n.messages FROM n
            WHERE l.execution = n.execution AND l.ended <> 1
            RETURNING l.execution, l.inbox_last - n.messages AS before, l.owner IS NULL AS free, false AS taken)",
        "",
        " FROM c LEFT JOIN counted l ON l.execution = c.execution"
    );
    /// The same for a worker, which is given those of these that had been released, that it serves and
    /// that are not left to others. (What is pending or was handed over a claim gives.)
    DELIVER_AND_CLAIM = deliver!(
        "deliver_and_claim",
        concat!("held AS MATERIALIZED (
            SELECT l.execution, n.messages, l.owner IS NULL AS free, l.unreleased, l.deaths
            FROM n JOIN @.live l ON l.execution = n.execution WHERE l.ended <> 1
            ORDER BY l.execution FOR UPDATE OF l),
        taken AS MATERIALIZED (
            SELECT h.execution, h.deaths, r.id, r.workflow, r.version
            -- By the key alone: the order asked for invites to read all runs in it.
            FROM held h CROSS JOIN LATERAL (SELECT * FROM @.runs r WHERE r.execution = h.execution OFFSET 0) AS r
            WHERE h.free AND NOT h.unreleased AND r.state <> 0
                AND EXISTS (SELECT FROM @.workers w WHERE w.incarnation = $7 AND NOT w.dead)
                AND EXISTS (
                    SELECT FROM unnest($8::text[], $9::int8[]) AS s (workflow, version)
                    WHERE s.workflow = r.workflow AND s.version = r.version)
                AND ", left_to_others!("h", "$6"), " IS NOT TRUE
            ORDER BY h.execution LIMIT $10::int8),
        counted AS (
            UPDATE @.live l SET inbox_last = l.inbox_last + h.messages,
                owner = CASE WHEN k.execution IS NULL THEN l.owner ELSE $7 END,
                claim_due = CASE WHEN k.execution IS NULL THEN l.claim_due ELSE false END
            FROM held h LEFT JOIN taken k ON k.execution = h.execution
            WHERE l.execution = h.execution
            RETURNING l.execution, l.inbox_last - h.messages AS before, h.free, k.execution IS NOT NULL AS taken)"),
        ",
        gone AS (DELETE FROM @.ready r USING taken k WHERE r.execution = k.execution)",
        ", k.id, k.workflow, k.version, k.deaths FROM c LEFT JOIN counted l ON l.execution = c.execution
            LEFT JOIN taken k ON k.execution = c.execution"
    );
}
