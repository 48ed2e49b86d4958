//! Deleting what has ended.

use bytes::Bytes;

use super::lab::{HOUR, Lab, run_id};
use crate::{Delivery, NewRun, OnExisting, Purged, Query, RunCommit, RunState, StateChange, Store};

pub async fn only_runs_that_ended_before_the_moment_are_purged<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let before = lab.now().await;
    let ended = lab.ended("ended", worker).await;
    let (pending, owned) = (lab.pending("pending").await, lab.owned("owned", worker).await);
    let released = lab.owned("released", worker).await;
    lab.apply(lab.release(released, worker, 1, None)).await;
    assert_eq!(lab.store.purge(before, 100).await.unwrap(), Purged { runs: 0, more: false });
    assert_eq!(lab.journal(ended).await.len(), 2);
    let later = lab.now().await.after(HOUR);
    assert_eq!(lab.store.purge(later, 100).await.unwrap(), Purged { runs: 1, more: false });
    assert_eq!(lab.store.get_execution(ended).await.unwrap(), None);
    for live in [pending, owned, released] {
        assert_eq!(lab.view(live).await.execution, live);
    }
}

pub async fn a_purge_stays_within_its_budget_and_says_if_there_is_more<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    for i in 0..5 {
        lab.ended(&format!("ORD-{i}"), worker).await;
    }
    let later = lab.now().await.after(HOUR);
    for (runs, more) in [(2, true), (2, true), (1, false), (0, false)] {
        assert_eq!(lab.store.purge(later, 2).await.unwrap(), Purged { runs, more });
    }
    assert_eq!(lab.list(&Query { limit: 100, ..Query::default() }).await, []);
}

pub async fn a_dead_run_is_kept_for_the_operator<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let dead = lab.owned("dead", worker).await;
    let mut end = lab.end(dead, worker, 1);
    end.change = Some(StateChange { state: RunState::Dead, conclusion: Some(Bytes::from_static(b"why")) });
    lab.apply(end).await;
    let later = lab.now().await.after(HOUR);
    assert_eq!(lab.store.purge(later, 10).await.unwrap(), Purged { runs: 0, more: false });
    assert_eq!(lab.view(dead).await.state, RunState::Dead);
}

pub async fn a_run_with_messages_to_send_is_kept<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let sender = lab.owned("sender", worker).await;
    let target = lab.pending("target").await;
    let message = lab.message(target);
    lab.apply(RunCommit { outbox: vec![message], ..lab.end(sender, worker, 1) }).await;
    let later = lab.now().await.after(HOUR);
    assert_eq!(lab.store.purge(later, 10).await.unwrap(), Purged { runs: 0, more: false });
    assert_eq!(lab.store.outbox(worker, 10).await.unwrap().len(), 1);
}

pub async fn nothing_is_left_of_a_purged_run<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let (first, second) = (lab.blob("first"), lab.blob("second"));
    let new = NewRun {
        blobs: vec![first.clone()],
        messages: vec![(lab.message_id(), Bytes::from_static(b"hello"))],
        attributes: vec![("customer".to_owned(), "4".to_owned())],
        claim_for: Some(worker),
        ..lab.new_run("ORD-1")
    };
    let execution = lab.started(new.clone()).await;
    let status = Some(Bytes::from_static(b"status"));
    let end = lab.end(execution, worker, 1);
    lab.apply(RunCommit { blobs: vec![second.clone()], status, ..end }).await;
    let later = lab.now().await.after(HOUR);
    assert_eq!(lab.store.purge(later, 1).await.unwrap(), Purged { runs: 1, more: false });

    assert_eq!(lab.store.get(&run_id("ORD-1")).await.unwrap(), None);
    assert_eq!(lab.store.load(&[execution]).await.unwrap(), []);
    assert_eq!(lab.store.blobs(execution, &[first.id, second.id]).await.unwrap(), []);
    assert_eq!(lab.inbox(execution).await, []);
    assert_eq!(lab.deliver(lab.message(execution)).await, Delivery::NoRun);
    let query = Query { attributes: new.attributes.clone(), limit: 100, ..Query::default() };
    assert_eq!(lab.list(&query).await, []);
    // Not even in the way of the same ids.
    lab.started(new).await;
    assert_eq!(lab.journal(execution).await, ["record 0"]);
    assert_eq!(lab.inbox(execution).await.len(), 1);
}

pub async fn an_old_execution_is_purged_without_the_newer_one<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let old = lab.ended("ORD-1", worker).await;
    let replacing = NewRun { on_existing: OnExisting::ReplaceFinished, ..lab.new_run("ORD-1") };
    let new = lab.started(replacing).await;
    let later = lab.now().await.after(HOUR);
    assert_eq!(lab.store.purge(later, 100).await.unwrap(), Purged { runs: 1, more: false });
    assert_eq!(lab.store.get_execution(old).await.unwrap(), None);
    assert_eq!(lab.store.get(&run_id("ORD-1")).await.unwrap().unwrap().execution, new);
}

pub async fn what_is_named_and_has_ended_is_purged_and_nothing_else<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let [ended, kept] = [lab.ended("ended", worker).await, lab.ended("kept", worker).await];
    let dead = lab.owned("dead", worker).await;
    let end = lab.end(dead, worker, 1);
    let change = Some(StateChange { state: RunState::Dead, conclusion: Some(Bytes::from_static(b"why")) });
    lab.apply(RunCommit { change, ..end }).await;
    let sender = lab.owned("sender", worker).await;
    let message = lab.message(kept);
    lab.apply(RunCommit { outbox: vec![message], ..lab.end(sender, worker, 1) }).await;
    let (pending, owned) = (lab.pending("pending").await, lab.owned("owned", worker).await);
    let unknown = lab.execution();
    let mut gone = lab.store.purge_these(&[owned, unknown, dead, sender, ended, pending]).await.unwrap();
    gone.sort();
    assert_eq!(gone, [ended, dead]);
    for execution in gone {
        assert_eq!(lab.store.get_execution(execution).await.unwrap(), None);
        assert_eq!(lab.store.load(&[execution]).await.unwrap(), []);
    }
    for execution in [kept, sender, pending, owned] {
        assert_eq!(lab.view(execution).await.execution, execution);
    }
    assert_eq!(lab.store.purge_these(&[]).await.unwrap(), []);
}

pub async fn an_execution_that_is_purged_by_name_makes_the_one_before_the_newest_again<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let old = lab.ended("ORD-1", worker).await;
    let replacing =
        NewRun { on_existing: OnExisting::ReplaceFinished, claim_for: Some(worker), ..lab.new_run("ORD-1") };
    let new = lab.started(replacing).await;
    lab.apply(lab.end(new, worker, 1)).await;
    assert_eq!(lab.store.purge_these(&[new]).await.unwrap(), [new]);
    assert_eq!(lab.store.get(&run_id("ORD-1")).await.unwrap().unwrap().execution, old);
}
