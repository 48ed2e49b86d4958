//! The writer's statements, each in a slot of its own.

use crate::session::{FIRST_FREE_SLOT, Sql};

macro_rules! statements {
    ($first:expr; $($(#[$doc:meta])* $name:ident = $text:literal;)+) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum Slot { $($name),+ }
        $($(#[$doc])* pub(crate) const $name: Sql = Sql { slot: $first + Slot::$name as usize, text: $text };)+
        #[cfg(test)]
        const ALL: &[Sql] = &[$($name),+];
    };
}

statements! { FIRST_FREE_SLOT;
    // Commits.

    /// Where a run stands, for a commit that does not remember it.
    HEAD = "SELECT l.run, l.owner, l.deaths, l.claim_due, l.unreleased, h.seq, h.row
            FROM saga_runs r JOIN saga_live l ON l.run = r.run JOIN saga_heads h ON h.run = r.run
            WHERE r.execution = ?1";
    ROW = "SELECT seq, nonce, before FROM saga_journal WHERE row = ?1";
    APPEND = "INSERT INTO saga_journal (run, seq, nonce, more, before, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    /// Moves the head on, if it is where the writer thinks it is.
    ADVANCE = "UPDATE saga_heads SET seq = ?2, row = ?3 WHERE run = ?1 AND row = ?4";
    // A blob's id is made once, so the same id has the same bytes.
    ADD_BLOB = "INSERT INTO saga_blobs (run, blob, bytes) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    CONSUME = "UPDATE saga_inbox SET body = NULL WHERE run = ?1 AND position <= ?2
                AND position > (SELECT inbox_seen FROM saga_live WHERE run = ?1)";
    SEE_INBOX = "UPDATE saga_live SET inbox_seen = min(inbox_last, max(inbox_seen, ?2)) WHERE run = ?1";
    ADD_OUTBOX = "INSERT INTO saga_outbox (message, run, owner, to_run, to_execution, body)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
    REMOVE_OUTBOX = "DELETE FROM saga_outbox WHERE message = ?1";
    CHANGE_STATE = "UPDATE saga_runs SET updated_at = iif(state = ?2, updated_at, ?4), state = ?2, conclusion = ?3
                WHERE run = ?1";
    SET_STATUS = "UPDATE saga_runs SET status = ?2 WHERE run = ?1";
    SETTLE = "UPDATE saga_live SET deaths = ?2, claim_due = 0, unreleased = 0 WHERE run = ?1";
    OWN = "UPDATE saga_live SET owner = ?2, ready = 0, due_at = NULL, ended_at = NULL WHERE run = ?1";
    HAS_MESSAGES = "SELECT inbox_last > inbox_seen FROM saga_live WHERE run = ?1";
    LET_GO = "UPDATE saga_live SET owner = NULL, ended_at = NULL, ready = ?3, due_at = ?2 WHERE run = ?1";
    END = "UPDATE saga_live SET owner = NULL, ready = 0, due_at = NULL, ended_at = ?2 WHERE run = ?1";
    MARK_BUILD = "INSERT INTO saga_not_build (run, build) VALUES (?1, ?2) ON CONFLICT DO NOTHING";

    // Starts.

    NEWEST = "SELECT r.run, r.execution, r.workflow, r.state, r.input_digest FROM saga_runs r
                WHERE r.id = ?1 AND r.newest = 1";
    IS_OF_RUN = "SELECT 1 FROM saga_runs WHERE execution = ?1 AND id = ?2";
    SUPERSEDE = "UPDATE saga_runs SET newest = 0 WHERE run = ?1";
    ADD_RUN = "INSERT INTO saga_runs (execution, id, newest, workflow, version, state, created_at, updated_at, input_digest,
                memo) VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6, ?6, ?7, ?8)";
    ADD_HEAD = "INSERT INTO saga_heads (run, seq, row) VALUES (?1, 0, ?2)";
    ADD_ATTRIBUTE = "INSERT INTO saga_attributes (run, ordinal, name, value) VALUES (?1, ?2, ?3, ?4)";
    ADD_LIVE = "INSERT INTO saga_live (run, owner, ready, lane, priority, due_at) VALUES (?1, ?2, 0, ?3, ?4, ?5)";

    // Messages.

    DELIVERED_TO = "SELECT r.execution FROM saga_inbox i JOIN saga_runs r ON r.run = i.run WHERE i.message = ?1";
    TARGET_RUN = "SELECT r.run, r.execution, l.owner IS NULL, l.ended_at IS NOT NULL
                FROM saga_runs r JOIN saga_live l ON l.run = r.run WHERE r.id = ?1 AND r.newest = 1";
    TARGET_EXECUTION = "SELECT r.run, r.execution, l.owner IS NULL, l.ended_at IS NOT NULL
                FROM saga_runs r JOIN saga_live l ON l.run = r.run WHERE r.execution = ?1";
    NEXT_POSITION = "UPDATE saga_live SET inbox_last = inbox_last + 1 WHERE run = ?1 RETURNING inbox_last";
    ADD_MESSAGE = "INSERT INTO saga_inbox (run, position, message, at, body) VALUES (?1, ?2, ?3, ?4, ?5)";
    WAKE = "UPDATE saga_live SET ready = 1, due_at = min(?2, coalesce(due_at, ?2)) WHERE run = ?1 AND ready = 0";

    // Who gets what.

    WAKE_DUE = "UPDATE saga_live SET ready = 1 WHERE ready = 0 AND due_at <= ?1";
    FIRST_LANE = "SELECT lane FROM saga_live WHERE ready = 1 ORDER BY lane LIMIT 1";
    NEXT_LANE = "SELECT lane FROM saga_live WHERE ready = 1 AND lane > ?1 ORDER BY lane LIMIT 1";
    // In the order of saga_live_ready but for the last column, so that only runs of one priority
    // and one moment are sorted.
    READY_IN_LANE = "SELECT l.run, r.workflow, r.version,
                EXISTS (SELECT 1 FROM saga_not_build n WHERE n.run = l.run AND n.build = ?2)
                FROM saga_live l JOIN saga_runs r ON r.run = l.run
                WHERE l.ready = 1 AND l.lane = ?1
                ORDER BY l.priority DESC, l.due_at, l.run";
    SERVED = "SELECT r.workflow, r.version,
                EXISTS (SELECT 1 FROM saga_not_build n WHERE n.run = r.run AND n.build = ?2)
                FROM saga_runs r WHERE r.run = ?1";
    MARKS = "SELECT build FROM saga_not_build WHERE run = ?1";
    TAKE = "UPDATE saga_live SET owner = ?2, ready = 0, due_at = NULL, claim_due = unreleased WHERE run = ?1";
    BEGIN_RUNNING = "UPDATE saga_runs SET state = ?2, updated_at = ?3 WHERE run = ?1 AND state = ?4";
    CLAIMED = "SELECT r.id, r.execution, r.workflow, r.version, l.unreleased, l.deaths
                FROM saga_runs r JOIN saga_live l ON l.run = r.run WHERE r.run = ?1";
    OWNED_BY = "SELECT run FROM saga_live WHERE owner = ?1 ORDER BY run LIMIT ?2";
    ADD_DEATH = "UPDATE saga_live SET unreleased = 1, deaths = deaths + 1 WHERE run = ?1";
    HAND_OVER = "UPDATE saga_live SET owner = NULL, ready = 1, due_at = ?2, unreleased = 1 WHERE owner = ?1";
    FIRST_OWNER = "SELECT min(owner) FROM saga_live WHERE owner IS NOT NULL";
    NEXT_OWNER = "SELECT min(owner) FROM saga_live WHERE owner > ?1";
    MOVE_OUTBOX = "UPDATE saga_outbox SET owner = ?2 WHERE owner = ?1";

    // Purging.

    // A dead run waits for an operator however long; undelivered messages are needed still.
    PURGEABLE = "SELECT l.run, r.id, r.newest, r.execution FROM saga_live l JOIN saga_runs r ON r.run = l.run
                WHERE l.ended_at < ?1 AND r.state <> ?3
                AND NOT EXISTS (SELECT 1 FROM saga_outbox o WHERE o.run = l.run)
                ORDER BY l.ended_at LIMIT ?2";
    PURGEABLE_EXECUTION = "SELECT l.run, r.id, r.newest, r.execution FROM saga_runs r JOIN saga_live l ON l.run = r.run
                WHERE r.execution = ?1 AND l.ended_at IS NOT NULL
                AND NOT EXISTS (SELECT 1 FROM saga_outbox o WHERE o.run = l.run)";
    PURGE_JOURNAL = "WITH RECURSIVE chain (row) AS (
                    SELECT h.row FROM saga_heads h WHERE h.run = ?1
                    UNION ALL
                    SELECT j.before FROM chain JOIN saga_journal j ON j.row = chain.row WHERE j.before IS NOT NULL)
                DELETE FROM saga_journal WHERE row IN (SELECT row FROM chain)";
    PURGE_HEAD = "DELETE FROM saga_heads WHERE run = ?1";
    PURGE_BLOBS = "DELETE FROM saga_blobs WHERE run = ?1";
    PURGE_INBOX = "DELETE FROM saga_inbox WHERE run = ?1";
    PURGE_ATTRIBUTES = "DELETE FROM saga_attributes WHERE run = ?1";
    PURGE_MARKS = "DELETE FROM saga_not_build WHERE run = ?1";
    PURGE_LIVE = "DELETE FROM saga_live WHERE run = ?1";
    PURGE_RUN = "DELETE FROM saga_runs WHERE run = ?1";
    PROMOTE = "UPDATE saga_runs SET newest = 1 WHERE run = (SELECT max(run) FROM saga_runs WHERE id = ?1)";
    VACUUM = "PRAGMA incremental_vacuum(256)";
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::migrate::STORE;
    use crate::session::SLOTS;

    fn plan(conn: &Connection, sql: &str) -> Vec<String> {
        let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let nulls = vec![rusqlite::types::Null; statement.parameter_count()];
        let rows = statement.query_map(rusqlite::params_from_iter(nulls), |row| row.get(3)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn no_statement_of_the_writer_reads_a_table_from_end_to_end() {
        let conn = Connection::open_in_memory().unwrap();
        STORE.steps.iter().for_each(|step| conn.execute_batch(step).unwrap());
        for sql in ALL {
            assert!(sql.slot < SLOTS, "{}", sql.text);
            // The outbox holds what is on its way, which is little; a takeover reads it all.
            let scans: Vec<_> = plan(&conn, sql.text)
                .into_iter()
                .filter(|line| line.starts_with("SCAN") && !line.contains("INDEX"))
                .filter(|line| !line.contains("saga_outbox") && !line.contains("chain"))
                .collect();
            assert!(scans.is_empty(), "{}: {scans:?}", sql.text);
        }
    }
}
