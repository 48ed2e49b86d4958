//! The append is the fence: what keeps two workers from driving one run.

use bytes::Bytes;

use super::lab::{HOUR, Lab, again, executions, row};
use crate::{Applied, CommitOutcome, RunCommit, RunState, Seq, StateChange, Store, Then};

const APPLIED: CommitOutcome = CommitOutcome::Applied(Applied { stay: false });

pub async fn a_place_that_is_taken_refuses_the_commit_and_tells_the_head<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    let first = lab.commit(lab.append(execution, worker, 0)).await;
    assert_eq!(first, CommitOutcome::Refused { head: Some(Seq(0)) });
    lab.apply(lab.append(execution, worker, 1)).await;
    lab.apply(lab.append(execution, worker, 2)).await;
    let late = lab.commit(lab.append(execution, worker, 1)).await;
    assert_eq!(late, CommitOutcome::Refused { head: Some(Seq(2)) });
    assert_eq!(lab.journal(execution).await.len(), 3);
}

pub async fn a_commit_that_leaves_a_gap_is_refused<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    let early = lab.commit(lab.append(execution, worker, 2)).await;
    assert_eq!(early, CommitOutcome::Refused { head: Some(Seq(0)) });
    assert_eq!(lab.journal(execution).await.len(), 1);
}

pub async fn a_commit_of_an_unknown_execution_is_refused<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let unknown = lab.execution();
    for seq in [0, 1] {
        let outcome = lab.commit(lab.append(unknown, worker, seq)).await;
        assert_eq!(outcome, CommitOutcome::Refused { head: None });
    }
    assert_eq!(lab.store.load(&[unknown]).await.unwrap(), []);
}

pub async fn a_commit_that_is_sent_again_is_applied_once<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    let commit = RunCommit {
        rows: vec![row("one"), row("two")],
        outbox: vec![lab.message(execution)],
        blobs: vec![lab.blob("blob")],
        ..lab.append(execution, worker, 1)
    };
    assert_eq!(lab.commit(again(&commit)).await, APPLIED);
    assert_eq!(lab.commit(again(&commit)).await, APPLIED);
    assert_eq!(lab.journal(execution).await, ["record 0", "one", "two"]);
    assert_eq!(lab.outbox(worker).await, [commit.outbox[0].id]);
    // Later commits do not hide it.
    lab.apply(lab.append(execution, worker, 3)).await;
    assert_eq!(lab.commit(commit).await, APPLIED);
    assert_eq!(lab.journal(execution).await.len(), 4);
}

pub async fn a_commit_that_is_sent_again_undoes_nothing_that_came_later<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    let change = |state| Some(StateChange { state, conclusion: None });
    let message = lab.message(execution);
    let first = RunCommit {
        change: change(RunState::Waiting),
        status: Some(Bytes::from_static(b"first")),
        outbox: vec![message.clone()],
        ..lab.append(execution, worker, 1)
    };
    lab.apply(again(&first)).await;
    let second = RunCommit {
        change: change(RunState::Running),
        status: Some(Bytes::from_static(b"second")),
        sent: vec![message.id],
        ..lab.append(execution, worker, 2)
    };
    lab.apply(second).await;
    assert_eq!(lab.commit(first).await, APPLIED);
    let view = lab.view(execution).await;
    assert_eq!(view.state, RunState::Running);
    assert_eq!(view.status, Some(Bytes::from_static(b"second")));
    assert_eq!(lab.outbox(worker).await, []);
}

pub async fn a_release_that_is_sent_again_takes_the_run_from_nobody<S: Store>(lab: &Lab<S>) {
    let (worker, next) = (lab.worker().await, lab.worker().await);
    let execution = lab.owned("ORD-1", worker).await;
    let release = lab.release(execution, worker, 1, Some(lab.now().await));
    assert_eq!(lab.commit(again(&release)).await, APPLIED);
    assert_eq!(executions(&lab.claim(next).await), [execution]);
    assert_eq!(lab.commit(release).await, APPLIED);
    assert_eq!(lab.claim(worker).await, []);
    assert_eq!(executions(&lab.adopt(next, worker).await), [execution]);
}

pub async fn a_release_that_stayed_says_so_when_it_is_sent_again<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    lab.send(execution).await;
    let release = lab.release(execution, worker, 1, None);
    assert_eq!(lab.apply(again(&release)).await, Applied { stay: true });
    assert_eq!(lab.apply(release).await, Applied { stay: true });
}

pub async fn of_two_commits_for_one_place_in_one_batch_one_is_applied<S: Store>(lab: &Lab<S>) {
    let (worker, rival) = (lab.worker().await, lab.worker().await);
    let execution = lab.owned("ORD-1", worker).await;
    let batch = vec![lab.append(execution, worker, 1), lab.append(execution, rival, 1)];
    let answers = lab.store.commit(batch).await.unwrap();
    let applied = answers.iter().filter(|answer| **answer == APPLIED).count();
    let refused = answers.iter().filter(|answer| matches!(answer, CommitOutcome::Refused { .. })).count();
    assert_eq!((applied, refused), (1, 1), "{answers:?}");
    assert_eq!(lab.journal(execution).await.len(), 2);
}

pub async fn a_takeover_fences_the_owner_before<S: Store>(lab: &Lab<S>) {
    let (late, next) = (lab.worker().await, lab.worker().await);
    let execution = lab.owned("ORD-1", late).await;
    lab.apply(lab.append(execution, late, 1)).await;
    assert!(lab.adopt(late, next).await[0].taken_over);
    lab.apply(lab.append(execution, next, 2)).await;
    let refused = lab.commit(lab.end(execution, late, 2)).await;
    assert_eq!(refused, CommitOutcome::Refused { head: Some(Seq(2)) });
    lab.apply(lab.append(execution, next, 3)).await;
    assert!(!lab.view(execution).await.state.is_final());
}

pub async fn a_takeover_by_claim_fences_a_worker_that_left<S: Store>(lab: &Lab<S>) {
    let (left, next) = (lab.worker().await, lab.worker().await);
    let execution = lab.owned("ORD-1", left).await;
    lab.store.leave(left).await.unwrap();
    assert_eq!(executions(&lab.claim(next).await), [execution]);
    lab.apply(lab.append(execution, next, 1)).await;
    let refused = lab.commit(lab.append(execution, left, 1)).await;
    assert_eq!(refused, CommitOutcome::Refused { head: Some(Seq(1)) });
}

pub async fn a_refused_commit_writes_nothing_at_all<S: Store>(lab: &Lab<S>) {
    let (worker, late) = (lab.worker().await, lab.worker().await);
    let execution = lab.owned("ORD-1", worker).await;
    let message = lab.send(execution).await;
    let on_its_way = lab.message(execution);
    lab.apply(RunCommit { outbox: vec![on_its_way.clone()], ..lab.append(execution, worker, 1) }).await;
    let before = lab.load(execution).await;

    let blob = lab.blob("blob");
    for (seq, then) in [
        (1, Then::End),
        (1, Then::Keep),
        (1, Then::Release { wake_at: Some(lab.now().await), not_build: None }),
        (7, Then::End),
    ] {
        let refused = RunCommit {
            blobs: vec![blob.clone()],
            inbox_seen: Some(1),
            outbox: vec![lab.message(execution)],
            sent: vec![on_its_way.id],
            status: Some(Bytes::from_static(b"status")),
            then,
            ..lab.end(execution, late, seq)
        };
        assert_eq!(lab.commit(refused).await, CommitOutcome::Refused { head: Some(Seq(1)) });
    }

    assert_eq!(lab.load(execution).await, before);
    assert_eq!(lab.inbox(execution).await, [(1, message)]);
    assert_eq!(lab.store.blobs(execution, &[blob.id]).await.unwrap(), []);
    assert_eq!(lab.outbox(worker).await, [on_its_way.id]);
    assert_eq!(lab.outbox(late).await, []);
    assert_eq!(lab.claim(late).await, []);
    let future = lab.now().await.after(HOUR);
    assert_eq!(lab.store.purge(future, 10).await.unwrap().runs, 0);
    assert_eq!(executions(&lab.adopt(worker, late).await), [execution]);
}
