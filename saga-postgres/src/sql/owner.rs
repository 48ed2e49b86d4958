//! Who drives a run, and who is there.

use super::{left_to_others, start, statements};

/// Lets go runs of a worker that did not release them. The owner's row is locked first, in the
/// order of all who lock several. (The owner as a range of one: the planner takes the index that
/// has both, where for an equal owner it may walk all runs in the order of the key.)
macro_rules! hand_over {
    ($found:literal) => {
        concat!(
            "found AS MATERIALIZED (",
            $found,
            "),
        freed AS (
            UPDATE @.live l SET owner = NULL, unreleased = true FROM found f
            WHERE l.execution = f.execution RETURNING l.execution),
        readied AS (
            INSERT INTO @.ready (execution, workflow, version, lane, priority, due_at, awake)
            SELECT f.execution, r.workflow, r.version, r.lane, r.priority, @now, true
            FROM freed f JOIN @.runs r ON r.execution = f.execution
            ON CONFLICT (execution) DO UPDATE SET awake = true)
        SELECT count(*) FROM freed"
        )
    };
}

statements! { start::END;
    /// Joins, also when it has joined and the answer was lost. Who was taken for dead before may
    /// have runs left; nobody needs to watch it any more.
    JOIN = "-- join
        WITH joined AS (
            INSERT INTO @.workers (incarnation, name, lease, build, beat_at) VALUES ($1, $2, $3, $4, @now)
            ON CONFLICT (incarnation) DO NOTHING),
        noted AS (INSERT INTO @.claims (incarnation) VALUES ($1) ON CONFLICT (incarnation) DO NOTHING)
        SELECT @now, ARRAY(SELECT incarnation FROM @.workers WHERE dead AND incarnation <> $1)";
    /// What marks this store's hints among those of others.
    ORIGIN = "-- origin
        SELECT gen_random_uuid()";
    BEAT = "-- beat
        WITH b AS (
            UPDATE @.workers SET beats = beats + 1, beat_at = @now WHERE incarnation = $1 AND NOT dead
            RETURNING incarnation)
        SELECT @now, EXISTS (SELECT FROM b), w.incarnation, w.beats, w.lease, w.build, w.dead
        FROM (VALUES (1)) AS one LEFT JOIN @.workers w ON w.incarnation <> $1";
    LEAVE = concat!("-- leave
        WITH gone AS (DELETE FROM @.workers WHERE incarnation = $1),
        forgotten AS (DELETE FROM @.claims WHERE incarnation = $1), ",
        hand_over!("SELECT execution FROM @.live WHERE owner >= $1 AND owner <= $1 ORDER BY owner, execution FOR UPDATE"));

    /// Lets go runs that someone owns who is no member: a worker that was taken for dead and
    /// lived on, or an operator's program that appended and went. A seek an owner, not a look at
    /// each run.
    SWEEP = concat!("-- sweep
        WITH RECURSIVE owners AS (
            SELECT (SELECT owner FROM @.live WHERE owner IS NOT NULL ORDER BY owner LIMIT 1) AS owner
            UNION ALL
            SELECT (SELECT l.owner FROM @.live l WHERE l.owner > o.owner ORDER BY l.owner LIMIT 1)
            FROM owners o WHERE o.owner IS NOT NULL), ",
        hand_over!("SELECT l.execution FROM owners o JOIN @.live l ON l.owner = o.owner
            WHERE NOT EXISTS (SELECT FROM @.workers w WHERE w.incarnation = o.owner)
            LIMIT 1000 FOR UPDATE OF l SKIP LOCKED"));

    /// Takes runs that are due. Rows that another session has locked are left to it. What the
    /// worker has no room for, of the sleepers whose time has come, is awake from now on.
    ///
    /// Nothing waits for the log to be flushed: what the worker appends to a run is flushed, and the
    /// claim, which is before it in the log, with it. A claim that a crash of the server undoes has
    /// left nothing in any journal.
    CLAIM = concat!("-- claim
        WITH RECURSIVE t AS MATERIALIZED (SELECT @now AS now, set_config('synchronous_commit', 'off', true)),
        member AS MATERIALIZED (SELECT FROM @.workers WHERE incarnation = $1 AND NOT dead),
        -- The row is locked, so that of two sendings of one claim one sees what the other did.
        noted AS MATERIALIZED (SELECT number FROM @.claims WHERE incarnation = $1 FOR UPDATE),
        fresh AS MATERIALIZED (
            SELECT FROM member WHERE NOT EXISTS (SELECT FROM noted WHERE number >= $7::int8)),
        served AS MATERIALIZED (SELECT * FROM unnest($2::text[], $3::int8[]) AS s (workflow, version)),
        lanes AS (
            SELECT s.workflow, s.version, (
                SELECT r.lane FROM @.ready r
                WHERE r.awake AND r.workflow = s.workflow AND r.version = s.version
                ORDER BY r.lane LIMIT 1) AS lane
            FROM served s WHERE EXISTS (SELECT FROM fresh)
            UNION ALL
            SELECT n.workflow, n.version, (
                SELECT r.lane FROM @.ready r
                WHERE r.awake AND r.workflow = n.workflow AND r.version = n.version AND r.lane > n.lane
                ORDER BY r.lane LIMIT 1)
            FROM lanes n WHERE n.lane IS NOT NULL),
        -- Of many lanes a few runs each: those that are locked and not taken are no others' meanwhile.
        portion AS MATERIALIZED (
            SELECT LEAST($5::int8, GREATEST(1, 2 * $5::int8 / GREATEST(count(lane), 1))) AS most FROM lanes),
        awake AS MATERIALIZED (
            SELECT c.* FROM lanes n CROSS JOIN LATERAL (
                SELECT r.execution, r.lane, r.priority, r.due_at, l.owner IS NULL AND l.ended <> 1 AS free
                FROM @.ready r JOIN @.live l ON l.execution = r.execution
                WHERE r.awake AND r.workflow = n.workflow AND r.version = n.version AND r.lane = n.lane
                    AND ", left_to_others!("r", "$4"), " IS NOT TRUE
                ORDER BY r.priority DESC, r.due_at, r.execution
                LIMIT (SELECT most FROM portion) FOR UPDATE OF r, l SKIP LOCKED) AS c),
        asleep AS MATERIALIZED (
            SELECT r.execution, r.workflow, r.version, r.lane, r.priority, r.due_at,
                l.owner IS NULL AND l.ended <> 1 AS free
            FROM @.ready r JOIN @.live l ON l.execution = r.execution
            WHERE NOT r.awake AND r.due_at <= (SELECT now FROM t) AND EXISTS (SELECT FROM fresh)
            ORDER BY r.due_at LIMIT 1000 FOR UPDATE OF r, l SKIP LOCKED),
        due AS MATERIALIZED (
            SELECT * FROM awake
            UNION ALL
            SELECT a.execution, a.lane, a.priority, a.due_at, a.free FROM asleep a
            WHERE EXISTS (SELECT FROM served s WHERE s.workflow = a.workflow AND s.version = a.version)
                AND ", left_to_others!("a", "$4"), " IS NOT TRUE),
        ranked AS (
            SELECT execution, lane,
                row_number() OVER (PARTITION BY lane ORDER BY priority DESC, due_at, execution) AS round
            FROM due WHERE free),
        -- The lane that was served last is at the end.
        chosen AS MATERIALIZED (
            SELECT execution, lane, row_number() OVER (ORDER BY round, COALESCE(lane <= $6::text, false), lane) AS place
            FROM ranked ORDER BY place LIMIT $5::int8),
        taken AS (
            UPDATE @.live l SET owner = $1, claim_due = l.unreleased FROM chosen c
            WHERE l.execution = c.execution RETURNING l.execution, l.unreleased, l.deaths, c.lane, c.place),
        noting AS (
            UPDATE @.claims SET number = $7, executions = ARRAY(SELECT execution FROM taken)
            WHERE incarnation = $1 AND EXISTS (SELECT FROM fresh) AND ($8::bool OR EXISTS (SELECT FROM taken))),
        gone AS (
            DELETE FROM @.ready r USING (
                SELECT execution FROM chosen UNION ALL SELECT execution FROM due WHERE NOT free) AS c
            WHERE r.execution = c.execution),
        woken AS (
            UPDATE @.ready r SET awake = true FROM asleep a
            WHERE r.execution = a.execution
                AND (a.execution IN (SELECT execution FROM chosen)) IS NOT TRUE
                AND (a.execution IN (SELECT execution FROM due WHERE NOT free)) IS NOT TRUE),
        begun AS (
            UPDATE @.runs r SET state = 1, updated_at = (SELECT now FROM t) FROM (
                -- By the key alone: a condition on the state invites an index that has all that
                -- are pending.
                SELECT execution FROM taken k
                WHERE (SELECT p.state FROM @.runs p WHERE p.execution = k.execution) = 0 OFFSET 0) AS c
            WHERE r.execution = c.execution)
        SELECT EXISTS (SELECT FROM member), r.execution, r.id, r.workflow, r.version, c.unreleased, c.deaths, c.lane,
            (SELECT count(*) FROM due WHERE free) > (SELECT count(*) FROM chosen)
                OR EXISTS (
                    SELECT FROM awake WHERE (SELECT most FROM portion) < $5::int8
                    GROUP BY lane HAVING count(*) >= (SELECT most FROM portion)),
            EXISTS (SELECT FROM fresh)
        FROM (VALUES (1)) AS one LEFT JOIN taken c ON true LEFT JOIN @.runs r ON r.execution = c.execution
        ORDER BY c.place");

    /// Takes over runs of a dead worker, and the messages that it had yet to send.
    ADOPT = "-- adopt
        WITH member AS MATERIALIZED (SELECT FROM @.workers WHERE incarnation = $2 AND NOT dead),
        noted AS MATERIALIZED (SELECT number FROM @.claims WHERE incarnation = $2 FOR UPDATE),
        fresh AS MATERIALIZED (
            SELECT FROM member WHERE NOT EXISTS (SELECT FROM noted WHERE number >= $4::int8)),
        died AS (
            UPDATE @.workers SET dead = true
            WHERE incarnation = $1 AND NOT dead AND EXISTS (SELECT FROM fresh)),
        found AS MATERIALIZED (
            SELECT execution FROM @.live WHERE owner >= $1 AND owner <= $1 AND EXISTS (SELECT FROM fresh)
            ORDER BY owner, execution LIMIT $3::int8 FOR UPDATE SKIP LOCKED),
        taken AS (
            UPDATE @.live l SET owner = $2, deaths = l.deaths + 1, unreleased = true, claim_due = true FROM found f
            WHERE l.execution = f.execution RETURNING l.execution, l.unreleased, l.deaths),
        moved AS (
            UPDATE @.outbox SET owner = $2 WHERE owner = $1 AND EXISTS (SELECT FROM fresh)),
        noting AS (
            UPDATE @.claims SET number = $4, executions = ARRAY(SELECT execution FROM taken)
            WHERE incarnation = $2 AND EXISTS (SELECT FROM fresh) AND ($5::bool OR EXISTS (SELECT FROM taken)))
        SELECT EXISTS (SELECT FROM member), r.execution, r.id, r.workflow, r.version, c.unreleased, c.deaths,
            EXISTS (SELECT FROM fresh)
        FROM (VALUES (1)) AS one LEFT JOIN taken c ON true LEFT JOIN @.runs r ON r.execution = c.execution
        ORDER BY r.execution";
    BURY = "-- bury
        WITH gone AS (
            DELETE FROM @.workers w WHERE w.incarnation = $1 AND w.dead
                AND NOT EXISTS (SELECT FROM @.live l WHERE l.owner = w.incarnation)
            RETURNING w.incarnation)
        DELETE FROM @.claims c WHERE c.incarnation = $1 AND EXISTS (SELECT FROM gone)";
    /// What a claim gave whose answer was lost.
    GIVEN = "-- given
        SELECT true, r.execution, r.id, r.workflow, r.version, l.unreleased, l.deaths
        FROM @.claims c CROSS JOIN LATERAL unnest(c.executions) WITH ORDINALITY AS e (execution, place)
            JOIN @.live l ON l.execution = e.execution AND l.owner = c.incarnation
            JOIN @.runs r ON r.execution = e.execution
        WHERE c.incarnation = $1 AND c.number = $2
        ORDER BY e.place";

    /// Compares what a worker owns with what it drives. Looked up in hashes, whatever joins the
    /// session allows: both may be thousands.
    RECONCILE = "-- reconcile
        WITH driven AS MATERIALIZED (SELECT execution FROM unnest($2::uuid[]) AS d (execution)),
        owned AS MATERIALIZED (
            SELECT execution, unreleased, deaths, inbox_last > inbox_seen AS unread
            FROM @.live WHERE owner >= $1 AND owner <= $1),
        undriven AS MATERIALIZED (
            SELECT * FROM owned o WHERE (o.execution IN (SELECT execution FROM driven)) IS NOT TRUE
            LIMIT $3::int8)
        SELECT 0, r.execution, r.id, r.workflow, r.version, u.unreleased, u.deaths
        FROM undriven u JOIN @.runs r ON r.execution = u.execution
        UNION ALL
        SELECT 1, d.execution, NULL, NULL, NULL, NULL, NULL FROM driven d
        WHERE (d.execution IN (SELECT execution FROM owned)) IS NOT TRUE
        UNION ALL
        SELECT 2, o.execution, NULL, NULL, NULL, NULL, NULL FROM owned o
        WHERE o.unread AND (o.execution IN (SELECT execution FROM driven)) IS TRUE";

    NEXT_WAKE = "-- next_wake
        SELECT due_at FROM @.ready WHERE NOT awake ORDER BY due_at LIMIT 1";

    /// Messages of this sender, and of senders that left without taking care of theirs.
    OUTBOX = "-- outbox
        WITH RECURSIVE senders AS (
            SELECT (SELECT owner FROM @.outbox ORDER BY owner LIMIT 1) AS owner
            UNION ALL
            SELECT (SELECT o.owner FROM @.outbox o WHERE o.owner > s.owner ORDER BY o.owner LIMIT 1)
            FROM senders s WHERE s.owner IS NOT NULL)
        SELECT m.execution, m.message, m.to_run, m.to_execution, m.body
        FROM senders s CROSS JOIN LATERAL (
            SELECT * FROM @.outbox o WHERE o.owner = s.owner ORDER BY o.number LIMIT $2::int8) AS m
        WHERE s.owner = $1 OR NOT EXISTS (SELECT FROM @.workers w WHERE w.incarnation = s.owner)
        ORDER BY m.number LIMIT $2::int8";
    FORGET = "-- forget
        DELETE FROM @.outbox o USING unnest($1::uuid[]) AS s (message) WHERE o.message = s.message";
}
