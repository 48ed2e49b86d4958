//! What clients and operators read, and purging.

use super::{owner, statements};

/// The columns of a view, for [`crate::verbs::read`].
macro_rules! view {
    () => {
        "r.id, r.execution, r.workflow, r.version, r.state, r.created_at, r.updated_at, r.attributes, r.status, \
         r.conclusion, r.memo, r.lane, r.priority"
    };
}

/// The same for lists.
pub(super) const VIEW: &str = view!();

/// How many columns that are.
pub(crate) const VIEW_WIDTH: usize = 13;

/// Deletes executions with all that is theirs. `$place` says which parameter is the journal's table.
macro_rules! purge {
    ($name:literal, $place:literal, $doomed:literal, $answer:literal) => {
        concat!(
            "-- ",
            $name,
            "
        WITH underway AS MATERIALIZED (
            SELECT count(*) FILTER (WHERE a.hidden) AS hidden, CASE count(*) FILTER (WHERE a.hidden) WHEN 0
                THEN (extract(epoch FROM min(a.query_start) - interval '1 min') * 1000000)::bigint ELSE 0 END AS since
            FROM (
                SELECT state = 'disabled' OR (state IS NULL AND backend_type IS NULL) AS hidden, query_start
                FROM pg_stat_activity
                WHERE datname = current_database() AND (
                    (state = 'active' AND query LIKE '-- lean%' AND position(",
            $place,
            " IN query) > 0)
                    OR (COALESCE(state, 'disabled') = 'disabled' AND COALESCE(backend_type, 'client backend') = 'client backend'
                        AND has_table_privilege(usesysid, ",
            $place,
            ", 'INSERT')))) a),
        ",
            $doomed,
            ",
        journal AS (DELETE FROM @.journal t USING doomed d WHERE t.execution = d.execution),
        blobs AS (DELETE FROM @.blobs t USING doomed d WHERE t.execution = d.execution),
        inbox AS (DELETE FROM @.inbox t USING doomed d WHERE t.execution = d.execution),
        attributes AS (DELETE FROM @.attributes t USING doomed d WHERE t.execution = d.execution),
        marks AS (DELETE FROM @.not_build t USING doomed d WHERE t.execution = d.execution),
        ready AS (DELETE FROM @.ready t USING doomed d WHERE t.execution = d.execution),
        live AS (DELETE FROM @.live t USING doomed d WHERE t.execution = d.execution),
        gone AS (
            DELETE FROM @.runs t USING doomed d WHERE t.execution = d.execution RETURNING t.id, t.newest),
        promoted AS (
            UPDATE @.runs r SET newest = true FROM gone g
            WHERE g.newest AND r.execution = (
                SELECT o.execution FROM @.runs o
                WHERE o.id = g.id AND NOT o.newest AND (o.execution IN (SELECT execution FROM doomed)) IS NOT TRUE
                ORDER BY o.execution DESC LIMIT 1))
        ",
            $answer
        )
    };
}

statements! { owner::END;
    GET = concat!("-- get\nSELECT ", view!(), " FROM @.runs r WHERE r.id = $1 AND r.newest");
    VIEWS = concat!("-- views\nSELECT ", view!(), "
        FROM unnest($1::uuid[]) AS c (execution) JOIN @.runs r ON r.execution = c.execution");
    /// Those that have ended (they are in none of these states), or are not there.
    ENDED = "-- ended
        SELECT c.execution FROM unnest($1::uuid[]) AS c (execution)
        WHERE (SELECT r.state = ANY ($2::int2[]) FROM @.runs r WHERE r.execution = c.execution) IS NOT TRUE";
    /// The run itself, or the next one that was started before it.
    PLACE_IN_LISTS = "-- place_in_lists
        SELECT r.execution, r.created_at FROM @.runs r
        WHERE r.execution <= $1 ORDER BY r.execution DESC LIMIT 1";
    JOURNALS = "-- journals
        SELECT j.execution, j.seq, j.nonce, j.more, j.body
        FROM unnest($1::uuid[]) AS c (execution) JOIN @.journal j ON j.execution = c.execution
        ORDER BY j.execution, j.seq";
    INBOXES = "-- inboxes
        SELECT i.execution, i.position, i.message, i.at, i.body
        FROM unnest($1::uuid[]) AS c (execution) JOIN @.inbox i ON i.execution = c.execution AND i.position > GREATEST(
            $2::int8, (SELECT l.inbox_seen FROM @.live l WHERE l.execution = c.execution))
        ORDER BY i.execution, i.position";
    BLOBS = "-- blobs
        SELECT blob, bytes FROM @.blobs WHERE execution = $1 AND blob = ANY ($2::uuid[])";

    /// Deletes executions that ended long ago, with all that is theirs. A dead run waits for an
    /// operator however long, and is read once in a pass, not with each part of it: `$5` is where
    /// the part before left off. Undelivered messages are needed still. If the newest execution of
    /// an id goes, the one before is the newest again.
    ///
    /// An ordinary commit locks nothing but its place, so that one that is held up, while its run
    /// is ended by somebody else and purged, would leave a row of a run that is gone. So a run
    /// stays for as long as a commit is under way that may have begun before its end. Of a session
    /// whose state is hidden from this role nobody knows: if it may write to the journal, all stay.
    PURGE = purge!("purge", "$4::text",
        "found AS MATERIALIZED (
            SELECT r.execution, r.ended_at, l.ended FROM @.runs r JOIN @.live l ON l.execution = r.execution
            WHERE r.ended_at >= $5 AND r.ended_at < LEAST($1, (SELECT since FROM underway)) AND r.state <> $2
                AND NOT EXISTS (SELECT FROM @.outbox o WHERE o.execution = r.execution)
            ORDER BY r.ended_at LIMIT $3::int8 + 1 FOR UPDATE OF l SKIP LOCKED),
        doomed AS MATERIALIZED (SELECT execution, ended_at FROM found WHERE ended = 1 ORDER BY ended_at LIMIT $3::int8)",
        "SELECT (SELECT count(*) FROM doomed), (SELECT count(*) FROM found) > $3::int8,
            (SELECT hidden FROM underway), (SELECT max(ended_at) FROM doomed)");
    /// The same for executions that somebody has named.
    PURGE_THESE = purge!("purge_these", "$2::text",
        "found AS MATERIALIZED (
            SELECT l.execution, l.ended
            FROM unnest($1::uuid[]) AS c (execution)
                JOIN @.live l ON l.execution = c.execution
                JOIN @.runs r ON r.execution = c.execution
            WHERE (r.ended_at >= (SELECT since FROM underway)) IS NOT TRUE AND l.ended = 1
                AND NOT EXISTS (SELECT FROM @.outbox o WHERE o.execution = c.execution)
            ORDER BY l.execution FOR UPDATE OF l SKIP LOCKED),
        doomed AS MATERIALIZED (SELECT execution FROM found WHERE ended = 1)",
        "SELECT execution FROM doomed");
}
