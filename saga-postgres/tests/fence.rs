//! A statement that was held up does not land after a takeover, and a batch that got no answer
//! is applied once.

mod common;

use common::{Hold, until_blocked};
use saga_postgres::{Migrate, PostgresStore};
use saga_store::conformance::lab::{Lab, again, executions};
use saga_store::{
    Applied, CommitOutcome, ErrorKind, ExecutionId, Incarnation, Purged, RunCommit, RunState, Seq, Store, Timestamp,
};

const APPLIED: CommitOutcome = CommitOutcome::Applied(Applied { stay: false });

/// The old owner's statement has its snapshot and waits for the first run; meanwhile the second
/// is taken over, by what the store itself does. Gives what the old owner is told.
async fn held_up(
    commits: impl Fn(&Lab<PostgresStore>, Incarnation) -> [RunCommit; 2],
    lab: &Lab<PostgresStore>,
    schema: &str,
    owner: Incarnation,
) -> (Vec<CommitOutcome>, Incarnation) {
    let batch = commits(lab, owner);
    let (held, wanted) = (batch[0].execution, batch[1].execution);
    let lock = Hold::run(schema, held).await;
    let store = lab.store.clone();
    let late = tokio::spawn(async move { store.commit(batch.into()).await });
    until_blocked(&lock).await;

    let next = lab.worker().await;
    assert_eq!(executions(&lab.adopt(owner, next).await), [wanted], "the other run is locked");
    // The claim record, and progress: nothing but the head tells that there was a takeover.
    lab.apply(lab.append(wanted, next, 1)).await;
    lab.apply(lab.append(wanted, next, 2)).await;

    lock.release().await;
    (late.await.unwrap().unwrap(), next)
}

#[tokio::test]
async fn a_statement_that_was_held_up_does_not_land_after_a_takeover() {
    let (schema, lab) = common::lab().await;
    let owner = lab.worker().await;
    let runs = [lab.owned("ORD-1", owner).await, lab.owned("ORD-2", owner).await];
    let lean = |lab: &Lab<_>, owner| runs.map(|run| lab.append(run, owner, 1));
    let (answers, next) = held_up(lean, &lab, &schema, owner).await;
    assert_eq!(answers, [APPLIED, CommitOutcome::Refused { head: Some(Seq(2)) }]);
    assert_eq!(lab.journal(runs[1]).await.len(), 3);
    lab.apply(lab.append(runs[1], next, 3)).await;
}

#[tokio::test]
async fn an_end_that_was_held_up_does_not_land_after_a_takeover() {
    let (schema, lab) = common::lab().await;
    let owner = lab.worker().await;
    let runs = [lab.owned("ORD-1", owner).await, lab.owned("ORD-2", owner).await];
    let end = |lab: &Lab<_>, owner| runs.map(|run| lab.end(run, owner, 1));
    let (answers, next) = held_up(end, &lab, &schema, owner).await;
    assert_eq!(answers, [APPLIED, CommitOutcome::Refused { head: Some(Seq(2)) }]);
    assert!(!lab.view(runs[1]).await.state.is_final());
    lab.apply(lab.append(runs[1], next, 3)).await;
}

#[tokio::test]
async fn a_full_statement_that_was_held_up_does_not_land_after_a_takeover() {
    let (schema, lab) = common::lab().await;
    let owner = lab.worker().await;
    let runs = [lab.owned("ORD-1", owner).await, lab.owned("ORD-2", owner).await];
    let full = |lab: &Lab<_>, owner| runs.map(|run| lab.release(run, owner, 1, None));
    let (answers, next) = held_up(full, &lab, &schema, owner).await;
    assert_eq!(answers, [APPLIED, CommitOutcome::Refused { head: Some(Seq(2)) }]);
    assert_eq!(lab.journal(runs[1]).await.len(), 3);
    lab.apply(lab.append(runs[1], next, 3)).await;
}

/// The whole row of a run beside its journal, with the transaction that wrote it.
async fn row_of_run(schema: &str, execution: ExecutionId) -> String {
    let sql = format!("SELECT l.xmin::text || l::text FROM {schema}.live l WHERE execution = '{execution}'");
    common::session().await.query_one(&sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn an_ordinary_commit_writes_its_row_and_no_other() {
    let (schema, lab) = common::lab().await;
    let owner = lab.worker().await;
    let run = lab.owned("ORD-1", owner).await;
    let before = row_of_run(&schema, run).await;
    for seq in 1..4 {
        lab.apply(lab.append(run, owner, seq)).await;
    }
    assert_eq!(row_of_run(&schema, run).await, before);
    assert_eq!(lab.journal(run).await.len(), 4);
}

#[tokio::test]
async fn a_claimed_run_is_settled_once_and_then_left_alone() {
    let (schema, lab) = common::lab().await;
    let (run, owner) = (lab.pending("ORD-1").await, lab.worker().await);
    assert_eq!(executions(&lab.claim(owner).await), [run]);
    lab.apply(lab.append(run, owner, 1)).await;
    let settled = row_of_run(&schema, run).await;
    lab.apply(lab.append(run, owner, 2)).await;
    assert_eq!(row_of_run(&schema, run).await, settled);
}

/// What each kind of commit is told by a server that has lost the last acknowledged row.
#[tokio::test]
async fn nothing_is_appended_after_a_row_that_a_failover_has_lost() {
    let (schema, lab) = common::lab().await;
    let owner = lab.worker().await;
    let mut commits = Vec::new();
    for (name, kind) in [("lean", 0), ("close", 1), ("full", 2)] {
        let run = lab.owned(name, owner).await;
        lab.apply(lab.append(run, owner, 1)).await;
        lab.apply(lab.append(run, owner, 2)).await;
        let lost = format!("DELETE FROM {schema}.journal WHERE execution = '{run}' AND seq = 2");
        common::session().await.batch_execute(&lost).await.unwrap();
        commits.push(match kind {
            0 => lab.append(run, owner, 3),
            1 => lab.end(run, owner, 3),
            _ => lab.release(run, owner, 3, None),
        });
    }
    let runs: Vec<_> = commits.iter().map(|commit| commit.execution).collect();
    let answers = lab.store.commit(commits).await.unwrap();
    for (run, answer) in runs.into_iter().zip(answers) {
        assert_eq!(answer, CommitOutcome::Refused { head: Some(Seq(1)) });
        assert_eq!(lab.journal(run).await.len(), 2);
    }
}

#[tokio::test]
async fn nothing_is_appended_to_a_run_that_was_ended_by_another_and_purged() {
    let (schema, lab) = common::lab().await;
    let (owner, operator) = (lab.worker().await, Incarnation::from_bytes([9; 16]));
    for ends in [false, true] {
        let run = lab.owned("ORD-1", owner).await;
        // The operator's program is another process.
        let other = Lab::new(common::open(&schema).await);
        other.apply(lab.end(run, operator, 1)).await;
        assert_eq!(lab.store.purge(Timestamp::from_micros(i64::MAX), 10).await.unwrap().runs, 1);
        let late = if ends { lab.end(run, owner, 1) } else { lab.append(run, owner, 1) };
        let answer = lab.store.commit(vec![late]).await.unwrap();
        assert_eq!(answer, [CommitOutcome::Refused { head: None }]);
        let rows = format!("SELECT count(*) FROM {schema}.journal WHERE execution = '{run}'");
        assert_eq!(common::session().await.query_one(&rows, &[]).await.unwrap().get::<_, i64>(0), 0);
    }
}

#[tokio::test]
async fn a_run_that_another_ended_is_not_purged_while_a_commit_of_before_is_under_way() {
    let (schema, lab) = common::lab().await;
    let (owner, operator) = (lab.worker().await, Incarnation::from_bytes([9; 16]));
    let runs = [lab.owned("ORD-1", owner).await, lab.owned("ORD-2", owner).await];
    let batch = runs.map(|run| lab.append(run, owner, 1)).into();
    let lock = Hold::run(&schema, runs[0]).await;
    let store = lab.store.clone();
    let late = tokio::spawn(async move { store.commit(batch).await });
    until_blocked(&lock).await;
    lab.apply(lab.end(runs[1], operator, 1)).await;
    let forever = Timestamp::from_micros(i64::MAX);
    assert_eq!(lab.store.purge(forever, 10).await.unwrap().runs, 0);
    lock.release().await;
    assert_eq!(late.await.unwrap().unwrap(), [APPLIED, CommitOutcome::Refused { head: Some(Seq(1)) }]);
    assert_eq!(lab.store.purge(forever, 10).await.unwrap().runs, 1);
}

#[tokio::test]
async fn what_a_role_cannot_see_keeps_it_from_deleting_runs() {
    let (schema, lab) = common::lab().await;
    let owner = lab.worker().await;
    let run = lab.owned("ORD-1", owner).await;
    lab.apply(lab.end(run, owner, 1)).await;
    let (role, url) = common::role("").await;
    let rights = format!(
        "GRANT USAGE ON SCHEMA {schema} TO {role};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}"
    );
    let session = common::session().await;
    session.batch_execute(&rights).await.unwrap();
    let store = PostgresStore::builder(&url).schema(&schema).migrate(Migrate::Verify).connect().await.unwrap();
    let forever = Timestamp::from_micros(i64::MAX);
    // The lab's sessions may be in the middle of a commit.
    assert_eq!(store.purge(forever, 10).await.unwrap().runs, 0);
    assert!(store.purge_these(&[run]).await.unwrap().is_empty());
    session.batch_execute(&format!("GRANT pg_read_all_stats TO {role}")).await.unwrap();
    assert_eq!(store.purge(forever, 10).await.unwrap().runs, 1);
}

#[tokio::test]
async fn a_purge_in_parts_reads_what_stays_once() {
    let (schema, lab) = common::lab().await;
    let owner = lab.worker().await;
    let mut runs = Vec::new();
    for number in 0..4 {
        let run = lab.owned(&format!("ORD-{number}"), owner).await;
        lab.apply(lab.end(run, owner, 1)).await;
        runs.push(run);
    }
    let session = common::session().await;
    let first_is = |state: RunState| format!("UPDATE {schema}.runs SET state = {} WHERE id = 'ORD-0'", state.code());
    session.batch_execute(&first_is(RunState::Dead)).await.unwrap();
    let purge = || async { lab.store.purge(Timestamp::from_micros(i64::MAX), 1).await.unwrap() };
    assert_eq!(purge().await, Purged { runs: 1, more: true });
    // Nobody looks at it before the pass is at its end.
    session.batch_execute(&first_is(RunState::Completed)).await.unwrap();
    assert_eq!(purge().await, Purged { runs: 1, more: true });
    assert_eq!(purge().await, Purged { runs: 1, more: false });
    assert!(lab.store.get_execution(runs[0]).await.unwrap().is_some());
    assert_eq!(purge().await, Purged { runs: 1, more: false });
}

#[tokio::test]
async fn a_commit_whose_sessions_are_terminated_is_given_back_and_applied_once() {
    let (schema, lab) = common::lab().await;
    let owner = lab.worker().await;
    let (held, free) = (lab.owned("ORD-1", owner).await, lab.owned("ORD-2", owner).await);
    let lock = Hold::run(&schema, held).await;
    let batch = vec![lab.append(held, owner, 1), lab.end(free, owner, 1)];
    let copies: Vec<RunCommit> = batch.iter().map(again).collect();
    let store = lab.store.clone();
    let cut = tokio::spawn(async move { store.commit(batch).await });
    until_blocked(&lock).await;
    lock.terminate_blocked().await;
    let mut error = cut.await.unwrap().unwrap_err();
    lock.release().await;
    let answers = loop {
        assert_eq!(error.error.kind(), ErrorKind::Unavailable, "{}", error.error);
        let given_back: Vec<_> = error.commits.iter().map(|commit| (commit.execution, commit.nonce)).collect();
        let sent: Vec<_> = copies.iter().map(|commit| (commit.execution, commit.nonce)).collect();
        assert_eq!(given_back, sent);
        match lab.store.commit(error.commits).await {
            Ok(answers) => break answers,
            Err(next) => error = next,
        }
    };
    assert_eq!(answers, [APPLIED, APPLIED]);
    for run in [held, free] {
        assert_eq!(lab.journal(run).await.len(), 2);
    }
}

#[tokio::test]
async fn a_row_that_the_server_refuses_fails_no_neighbour() {
    let (_, lab) = common::lab().await;
    let owner = lab.worker().await;
    let mut commits = Vec::new();
    for number in 0..20 {
        let run = lab.owned(&format!("ORD-{number}"), owner).await;
        let mut commit = lab.append(run, owner, 1);
        if number % 2 == 0 {
            commit = lab.release(run, owner, 1, None);
        }
        if number == 6 {
            let not_build = Some(saga_store::BuildId("a\0b".into()));
            commit.then = saga_store::Then::Release { wake_at: None, not_build };
        }
        commits.push(commit);
    }
    let bad = commits[6].execution;
    let answers = lab.store.commit(commits).await.unwrap();
    for (number, answer) in answers.into_iter().enumerate() {
        match answer {
            CommitOutcome::Rejected(why) => assert!(number == 6 && why.contains("0x00"), "{number}: {why}"),
            other => assert!(number != 6 && other == APPLIED, "{number}: {other:?}"),
        }
    }
    assert_eq!(lab.journal(bad).await.len(), 1);
}

#[tokio::test]
async fn two_commits_of_one_run_in_one_batch_are_applied_in_order() {
    let (_, lab) = common::lab().await;
    let owner = lab.worker().await;
    let run = lab.owned("ORD-1", owner).await;
    let batch = vec![lab.append(run, owner, 1), lab.append(run, owner, 2), lab.end(run, owner, 3)];
    assert_eq!(lab.store.commit(batch).await.unwrap(), [APPLIED, APPLIED, APPLIED]);
    assert_eq!(lab.journal(run).await.len(), 4);
}

#[tokio::test]
async fn ends_and_rows_in_one_batch_are_applied_each_on_its_own() {
    let (schema, lab) = common::lab().await;
    let owner = lab.worker().await;
    let mut runs = Vec::new();
    for number in 0..6 {
        runs.push(lab.owned(&format!("ORD-{number}"), owner).await);
    }
    let session = common::session().await;
    // Of one that goes on and of one that ends the row before is lost.
    let lose = format!("DELETE FROM {schema}.journal WHERE execution IN ('{}', '{}')", runs[0], runs[1]);
    session.batch_execute(&lose).await.unwrap();
    let rows = [0, 2, 4].map(|at| lab.append(runs[at], owner, 1));
    let batch = rows.into_iter().chain([1, 3, 5].map(|at| lab.end(runs[at], owner, 1))).collect();
    let refused = CommitOutcome::Refused { head: None };
    let expected = [refused.clone(), APPLIED, APPLIED, refused, APPLIED, APPLIED];
    assert_eq!(lab.store.commit(batch).await.unwrap(), expected);
    let states = async || {
        let mut states = Vec::new();
        for run in &runs {
            states.push(lab.view(*run).await.state);
        }
        states
    };
    let (running, ended) = (RunState::Running, RunState::Completed);
    assert_eq!(states().await, [running, running, running, ended, running, ended]);

    // The place of one is taken.
    let take = format!("INSERT INTO {schema}.journal VALUES ('{}', 2, 7, false, '')", runs[2]);
    session.batch_execute(&take).await.unwrap();
    let next = [lab.append(runs[2], owner, 2), lab.end(runs[4], owner, 2)].into();
    let answers = lab.store.commit(next).await.unwrap();
    assert_eq!(answers, [CommitOutcome::Refused { head: Some(Seq(2)) }, APPLIED]);
    assert_eq!(states().await, [running, running, running, ended, ended, ended]);
}

#[tokio::test]
async fn a_large_batch_is_applied_whole() {
    let (_, lab) = common::lab().await;
    let owner = lab.worker().await;
    let new = |number| {
        let run = lab.new_run(&format!("ORD-{number}"));
        saga_store::NewRun { claim_for: Some(owner), ..run }
    };
    let runs: Vec<_> = (0..700).map(new).collect();
    let commits = runs.iter().map(|run| lab.append(run.execution, owner, 1)).collect();
    lab.store.start(runs).await.unwrap();
    assert!(lab.store.commit(commits).await.unwrap().iter().all(|answer| *answer == APPLIED));
}
