//! What a commit brings with its rows.

use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::lab::{HOUR, Lab, Late, again, executions, row};
use crate::wire::RECORD_LIMIT;
use crate::{
    Applied, BlockingTxFn, CommitOutcome, JournalRow, Row, RunCommit, RunState, Seq, StateChange, Store, Then,
    TxFamily, TxStep, TxVerdict,
};

const APPLIED: CommitOutcome = CommitOutcome::Applied(Applied { stay: false });

pub async fn rows_are_kept_in_order_with_their_marks<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    let nonce = crate::Nonce(u64::MAX);
    let bodies = [Bytes::from_static(&[0, 1, 255]), Bytes::from_static(b"two")];
    let rows = bodies.iter().cloned().map(row).collect();
    lab.apply(RunCommit { nonce, rows, ..lab.append(execution, worker, 1) }).await;
    lab.apply(lab.append(execution, worker, 3)).await;
    let journal = lab.load(execution).await.journal;
    assert_eq!(journal.iter().map(|row| row.seq).collect::<Vec<_>>(), [Seq(0), Seq(1), Seq(2), Seq(3)]);
    let expected = |seq, body: &Bytes| JournalRow { seq: Seq(seq), nonce, more: false, body: body.clone() };
    assert_eq!(journal[1..3], [expected(1, &bodies[0]), expected(2, &bodies[1])]);
    assert_eq!(journal[3].body, "record 3");
}

pub async fn what_gathers_for_a_call_is_taken_with_it_and_answered_in_its_place<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let mut runs = Vec::new();
    for id in ["ORD-1", "ORD-2", "ORD-3"] {
        runs.push(lab.owned(id, worker).await);
    }
    // The second comes too late, at a place that is taken.
    let late = vec![lab.append(runs[1], worker, 0), lab.append(runs[2], worker, 1)];
    let gathering = Arc::new(Late(Mutex::new(late)));
    let call = vec![lab.append(runs[0], worker, 1)];
    let answers = lab.store.commit_gathering(call, Arc::<Late>::clone(&gathering)).await.unwrap();
    let left = std::mem::take(&mut *gathering.0.lock().unwrap());
    let expected = [APPLIED, CommitOutcome::Refused { head: Some(Seq(0)) }, APPLIED];
    assert_eq!(answers, expected[..3 - left.len()], "all that was taken is answered, in the order in which it was");
    // A store need not take any.
    for commit in left {
        lab.commit(commit).await;
    }
    for (run, rows) in runs.iter().zip([2, 1, 2]) {
        assert_eq!(lab.load(*run).await.journal.len(), rows);
    }
}

pub async fn a_record_may_go_on_over_many_rows<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    let rows: Vec<_> = (0..5_u8).map(|i| Row { body: vec![i; RECORD_LIMIT].into(), more: i < 4 }).collect();
    let commit = RunCommit { rows: rows.clone(), ..lab.append(execution, worker, 1) };
    lab.apply(again(&commit)).await;
    let kept: Vec<_> = lab.load(execution).await.journal.into_iter().skip(1).collect();
    let kept: Vec<_> = kept.into_iter().map(|row| Row { body: row.body, more: row.more }).collect();
    assert!(kept == rows, "the rows came back as they were, marks of continuation included");
    // Its places are taken, all of them.
    let next = lab.commit(lab.append(execution, worker, 3)).await;
    assert_eq!(next, CommitOutcome::Refused { head: Some(Seq(5)) });
    assert_eq!(lab.commit(commit).await, APPLIED);
}

pub async fn blobs_are_kept_with_the_commit<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let (execution, other) = (lab.owned("ORD-1", worker).await, lab.owned("ORD-2", worker).await);
    let (small, large) = (lab.blob(""), lab.blob(vec![9; 2 * 1024 * 1024]));
    let blobs = vec![small.clone(), large.clone()];
    lab.apply(RunCommit { blobs, ..lab.append(execution, worker, 1) }).await;
    let unknown = lab.blob("unknown").id;
    let mut kept = lab.store.blobs(execution, &[large.id, unknown, small.id]).await.unwrap();
    kept.sort_by_key(|(id, _)| *id);
    assert!(kept == [(small.id, small.bytes), (large.id, large.bytes)], "both blobs came back, the unknown did not");
    assert_eq!(lab.store.blobs(other, &[small.id]).await.unwrap(), []);
}

pub async fn a_change_of_state_is_seen_by_clients<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    for (seq, state) in (1..).zip(RunState::ALL) {
        let conclusion = state.is_final().then(|| Bytes::from(format!("ended {state}")));
        let change = Some(StateChange { state, conclusion: conclusion.clone() });
        lab.apply(RunCommit { change, ..lab.append(execution, worker, seq) }).await;
        let view = lab.view(execution).await;
        assert_eq!((view.state, view.conclusion), (state, conclusion));
        assert!(view.updated_at >= view.created_at);
    }
}

pub async fn a_commit_without_a_change_leaves_the_state<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    let change = Some(StateChange { state: RunState::Undoing, conclusion: None });
    lab.apply(RunCommit { change, ..lab.append(execution, worker, 1) }).await;
    let before = lab.view(execution).await;
    lab.apply(lab.append(execution, worker, 2)).await;
    assert_eq!(lab.view(execution).await, before);
}

pub async fn a_status_is_kept_until_the_next_one<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    let steps = [(None, None), (Some("1"), Some("1")), (None, Some("1")), (Some("2"), Some("2"))];
    for (seq, (status, expected)) in (1..).zip(steps) {
        let status = status.map(Bytes::from);
        lab.apply(RunCommit { status, ..lab.append(execution, worker, seq) }).await;
        assert_eq!(lab.view(execution).await.status, expected.map(Bytes::from));
    }
}

pub async fn an_ended_run_is_owned_by_nobody<S: Store>(lab: &Lab<S>) {
    let (worker, other) = (lab.worker().await, lab.worker().await);
    let execution = lab.ended("ORD-1", worker).await;
    assert_eq!(lab.claim(other).await, []);
    assert_eq!(lab.adopt(worker, other).await, []);
    let view = lab.view(execution).await;
    assert_eq!((view.state, view.conclusion), (RunState::Completed, Some(Bytes::from_static(b"conclusion"))));
}

pub async fn many_runs_commit_at_once_and_answers_come_in_order<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let mut commits = Vec::new();
    for i in 0..64_u64 {
        let execution = lab.owned(&format!("ORD-{}", i * 37 % 64), worker).await;
        // Each fourth is out of its place.
        commits.push(lab.append(execution, worker, if i % 4 == 3 { 5 } else { 1 }));
    }
    commits.reverse();
    let order: Vec<_> = commits.iter().map(|commit| (commit.execution, commit.seq)).collect();
    let answers = lab.store.commit(commits).await.unwrap();
    assert_eq!(answers.len(), order.len());
    for ((execution, seq), answer) in order.into_iter().zip(answers) {
        let fits = seq == Seq(1);
        assert_eq!(answer, if fits { APPLIED } else { CommitOutcome::Refused { head: Some(Seq(0)) } });
        assert_eq!(lab.journal(execution).await.len(), if fits { 2 } else { 1 });
    }
}

/// A kind of store that nobody has.
struct Nowhere;

impl TxFamily for Nowhere {
    type Tx<'a> = ();
    const STORE_KIND: &'static str = "nowhere";
}

pub async fn a_step_of_another_kind_of_store_is_rejected_and_fails_no_neighbour<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let (bad, good) = (lab.owned("bad", worker).await, lab.owned("good", worker).await);
    let code = BlockingTxFn::<Nowhere>(Box::new(|()| TxVerdict::RollBack));
    let blob = lab.blob("blob");
    let rejected = RunCommit {
        tx: Some(TxStep::new(code)),
        blobs: vec![blob.clone()],
        outbox: vec![lab.message(good)],
        ..lab.end(bad, worker, 1)
    };
    let answers = lab.store.commit(vec![rejected, lab.append(good, worker, 1)]).await.unwrap();
    assert!(matches!(&answers[0], CommitOutcome::Rejected(why) if !why.is_empty()), "{:?}", answers[0]);
    assert_eq!(answers[1], APPLIED);
    assert_eq!(lab.journal(bad).await.len(), 1);
    assert_eq!(lab.store.blobs(bad, &[blob.id]).await.unwrap(), []);
    assert_eq!(lab.outbox(worker).await, []);
    assert!(!lab.view(bad).await.state.is_final());
    // The place is free still, and the worker still owns the run.
    lab.apply(lab.append(bad, worker, 1)).await;
}

pub async fn an_operator_ends_a_run_by_the_same_append<S: Store>(lab: &Lab<S>) {
    let (worker, operator) = (lab.worker().await, lab.incarnation());
    let execution = lab.owned("ORD-1", worker).await;
    let change = Some(StateChange { state: RunState::Terminated, conclusion: Some(Bytes::from_static(b"enough")) });
    lab.apply(RunCommit { change, ..lab.end(execution, operator, 1) }).await;
    let refused = lab.commit(lab.append(execution, worker, 1)).await;
    assert_eq!(refused, CommitOutcome::Refused { head: Some(Seq(1)) });
    assert_eq!(lab.view(execution).await.state, RunState::Terminated);
    let other = lab.worker().await;
    assert_eq!(lab.adopt(worker, other).await, []);
}

pub async fn an_operator_repairs_an_ended_run_by_the_same_append<S: Store>(lab: &Lab<S>) {
    let (worker, operator) = (lab.worker().await, lab.incarnation());
    let execution = lab.owned("ORD-1", worker).await;
    let dead = Some(StateChange { state: RunState::Dead, conclusion: Some(Bytes::from_static(b"broken")) });
    lab.apply(RunCommit { change: dead, ..lab.end(execution, worker, 1) }).await;
    let repaired = Some(StateChange { state: RunState::Undoing, conclusion: None });
    let then = Then::Release { wake_at: Some(lab.now().await), not_build: None };
    lab.apply(RunCommit { change: repaired, then, ..lab.append(execution, operator, 2) }).await;
    assert_eq!(executions(&lab.claim(worker).await), [execution]);
    assert_eq!(lab.view(execution).await.conclusion, None);
    let future = lab.now().await.after(HOUR);
    assert_eq!(lab.store.purge(future, 10).await.unwrap().runs, 0);
}
