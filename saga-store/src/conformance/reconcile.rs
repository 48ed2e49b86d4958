//! What a worker drives, held against what it owns.

use super::lab::{Lab, executions};
use crate::{Differences, ExecutionId, Incarnation, RunCommit, Store};

async fn reconcile<S: Store>(lab: &Lab<S>, owner: Incarnation, driven: &[ExecutionId]) -> Differences {
    let mut found = lab.store.reconcile(owner, driven, 100).await.expect("a worker may ask what it owns");
    found.lost.sort();
    found.unread.sort();
    found
}

pub async fn what_a_worker_drives_and_owns_is_no_difference<S: Store>(lab: &Lab<S>) {
    let (worker, other) = (lab.worker().await, lab.worker().await);
    let mut driven = Vec::new();
    for id in ["one", "two", "three"] {
        driven.push(lab.owned(id, worker).await);
    }
    lab.owned("another's", other).await;
    assert_eq!(reconcile(lab, worker, &driven).await, Differences::default());
    let idle = lab.worker().await;
    assert_eq!(reconcile(lab, idle, &[]).await, Differences::default());
}

pub async fn what_a_worker_owns_and_does_not_drive_is_named<S: Store>(lab: &Lab<S>) {
    let (worker, dead) = (lab.worker().await, lab.worker().await);
    let driven = lab.owned("driven", worker).await;
    let started = lab.owned("started", worker).await;
    let claimed = lab.pending("claimed").await;
    assert_eq!(executions(&lab.claim(worker).await), [claimed]);
    let adopted = lab.owned("adopted", dead).await;
    let given = lab.adopt(dead, worker).await;
    lab.ended("ended", worker).await;
    let released = lab.owned("released", worker).await;
    lab.apply(lab.release(released, worker, 1, None)).await;
    lab.pending("pending").await;

    let found = reconcile(lab, worker, &[driven]).await;
    let mut undriven = found.undriven;
    undriven.sort_by_key(|run| run.execution);
    assert_eq!(executions(&undriven), [started, claimed, adopted]);
    assert_eq!(undriven[2..], given, "with all that the takeover said");
    assert!(!undriven[0].taken_over && !undriven[1].taken_over);
    assert_eq!((found.lost, found.unread), (Vec::new(), Vec::new()));
    // And nothing has changed by the question.
    assert_eq!(reconcile(lab, worker, &[driven, started, claimed, adopted]).await, Differences::default());
}

pub async fn no_more_undriven_runs_are_named_than_asked_for<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    for number in 0..5 {
        lab.owned(&format!("ORD-{number}"), worker).await;
    }
    for (max, expected) in [(0, 0), (3, 3), (9, 5)] {
        let found = lab.store.reconcile(worker, &[], max).await.expect("a worker may ask what it owns");
        assert_eq!(found.undriven.len(), expected);
    }
}

pub async fn what_a_worker_drives_and_does_not_own_is_named<S: Store>(lab: &Lab<S>) {
    let (worker, other) = (lab.worker().await, lab.worker().await);
    let kept = lab.owned("kept", worker).await;
    let others = lab.owned("another's", other).await;
    let ended = lab.ended("ended", worker).await;
    let released = lab.owned("released", worker).await;
    lab.apply(lab.release(released, worker, 1, None)).await;
    let unknown = lab.execution();
    let found = reconcile(lab, worker, &[kept, others, ended, released, unknown]).await;
    assert_eq!(found.lost, [others, ended, released, unknown]);
    assert_eq!((found.undriven, found.unread), (Vec::new(), Vec::new()));
}

pub async fn what_a_worker_drives_and_has_not_read_is_named<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let (unread, read) = (lab.owned("a", worker).await, lab.owned("b", worker).await);
    let (more, none) = (lab.owned("c", worker).await, lab.owned("d", worker).await);
    lab.send(unread).await;
    for execution in [read, more] {
        lab.send(execution).await;
        lab.apply(RunCommit { inbox_seen: Some(1), ..lab.append(execution, worker, 1) }).await;
    }
    lab.send(more).await;
    let undriven = lab.owned("e", worker).await;
    lab.send(undriven).await;
    let found = reconcile(lab, worker, &[none, more, read, unread]).await;
    assert_eq!(found.unread, [unread, more]);
    assert_eq!(executions(&found.undriven), [undriven]);
}
