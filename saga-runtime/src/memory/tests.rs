//! What the memory store promises beyond the contract.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use saga_store::conformance::lab::{Lab, executions};
use saga_store::conformance::run;
use saga_store::{CommitOutcome, NodeInfo, RunCommit, Seq, Store, Timestamp};

use super::MemoryStore;

fn test(test: impl AsyncFnOnce(&Lab<MemoryStore>)) {
    run(|| async { MemoryStore::new() }, test);
}

fn node(lab: &Lab<MemoryStore>) -> NodeInfo {
    Lab::<MemoryStore>::node(lab.incarnation())
}

#[test]
fn a_clone_is_the_same_store() {
    test(async |lab| {
        let execution = lab.pending("ORD-1").await;
        let worker = lab.worker().await;
        let clone = lab.store.clone();
        let claimed = clone.claim(&Lab::<MemoryStore>::request(worker, 1)).await.unwrap();
        assert_eq!(executions(&claimed), [execution]);
    });
}

#[test]
fn after_a_crash_the_next_worker_learns_who_is_dead_and_adopts_what_they_owned() {
    test(async |lab| {
        let (dead, idle) = (lab.worker().await, lab.worker().await);
        let execution = lab.owned("ORD-1", dead).await;
        lab.store.crash();
        let next = node(lab);
        let joined = lab.store.join(&next).await.unwrap();
        assert_eq!(joined.proven_dead, [dead], "{idle} had nothing to take over");
        assert!(!lab.store.beat(dead).await.unwrap().member);
        assert_eq!(lab.claim(next.incarnation).await, [], "a dead worker's runs are adopted, not claimed");
        assert_eq!(executions(&lab.adopt(dead, next.incarnation).await), [execution]);
        assert_eq!(lab.store.join(&node(lab)).await.unwrap().proven_dead, []);
    });
}

#[test]
fn a_crash_of_the_adopter_leaves_the_rest_to_be_adopted() {
    test(async |lab| {
        let first = lab.worker().await;
        let (one, two) = (lab.owned("one", first).await, lab.owned("two", first).await);
        lab.store.crash();
        let second = lab.worker().await;
        assert_eq!(lab.store.adopt(first, second, 1).await.unwrap().len(), 1);
        lab.store.crash();
        let third = node(lab);
        assert_eq!(lab.store.join(&third).await.unwrap().proven_dead, [first, second]);
        let mut adopted = executions(&lab.adopt(first, third.incarnation).await);
        adopted.extend(executions(&lab.adopt(second, third.incarnation).await));
        adopted.sort();
        assert_eq!(adopted, [one, two]);
    });
}

#[test]
fn one_worker_can_be_declared_dead() {
    test(async |lab| {
        let (dead, living) = (lab.worker().await, lab.worker().await);
        lab.owned("one", dead).await;
        lab.owned("two", living).await;
        lab.store.declare_dead(dead);
        assert_eq!(lab.store.join(&node(lab)).await.unwrap().proven_dead, [dead]);
        assert!(lab.store.beat(living).await.unwrap().member);
    });
}

#[test]
fn a_worker_that_was_taken_for_dead_is_stopped_by_the_fence_alone() {
    test(async |lab| {
        let late = lab.worker().await;
        let execution = lab.owned("ORD-1", late).await;
        lab.store.crash();
        lab.apply(lab.append(execution, late, 1)).await;
        let next = lab.worker().await;
        lab.adopt(late, next).await;
        lab.apply(lab.append(execution, next, 2)).await;
        let refused = lab.commit(lab.append(execution, late, 2)).await;
        assert_eq!(refused, CommitOutcome::Refused { head: Some(Seq(2)) });
    });
}

#[test]
fn a_run_that_a_dead_worker_won_back_by_its_append_is_not_lost() {
    test(async |lab| {
        let late = lab.worker().await;
        let execution = lab.owned("ORD-1", late).await;
        let next = lab.worker().await;
        lab.adopt(late, next).await;
        // It is faster than the adopter's claim record, which is refused now.
        lab.apply(lab.append(execution, late, 1)).await;
        let refused = lab.commit(lab.append(execution, next, 1)).await;
        assert_eq!(refused, CommitOutcome::Refused { head: Some(Seq(1)) });
        let claimed = lab.claim(next).await;
        assert_eq!(executions(&claimed), [execution]);
        assert!(claimed[0].taken_over);
    });
}

#[test]
fn a_message_whose_sender_left_is_everybodys_to_send() {
    test(async |lab| {
        let (left, other) = (lab.worker().await, lab.worker().await);
        let execution = lab.owned("ORD-1", left).await;
        let message = lab.message(execution);
        lab.apply(RunCommit { outbox: vec![message.clone()], ..lab.end(execution, left, 1) }).await;
        assert_eq!(lab.outbox(other).await, []);
        lab.store.leave(left).await.unwrap();
        assert_eq!(lab.outbox(other).await, [message.id]);
    });
}

#[test]
fn a_worker_that_is_no_member_gets_no_runs() {
    test(async |lab| {
        lab.pending("ORD-1").await;
        let stranger = lab.incarnation();
        let error = lab.store.claim(&Lab::<MemoryStore>::request(stranger, 1)).await.unwrap_err();
        assert_eq!(error.kind(), saga_store::ErrorKind::Locked);
        assert!(error.to_string().contains("not a member"), "{error}");
    });
}

#[test]
fn time_is_the_injected_clocks() {
    let time = Arc::new(AtomicI64::new(1_000_000));
    let clock = Arc::clone(&time);
    let store = MemoryStore::with_clock(move || Timestamp::from_micros(clock.load(Ordering::Relaxed)));
    run(
        || async { store.clone() },
        async |lab| {
            let worker = lab.worker().await;
            let execution = lab.owned("ORD-1", worker).await;
            assert_eq!(lab.view(execution).await.created_at, Timestamp::from_micros(1_000_000));
            let due = Timestamp::from_micros(5_000_000);
            lab.apply(lab.release(execution, worker, 1, Some(due))).await;
            assert_eq!(lab.claim(worker).await, []);
            assert_eq!(lab.store.next_wake().await.unwrap(), Some(due));
            time.store(5_000_000, Ordering::Relaxed);
            assert_eq!(lab.store.next_wake().await.unwrap(), Some(due), "no claim has looked since");
            assert_eq!(executions(&lab.claim(worker).await), [execution]);
        },
    );
}

#[test]
fn a_run_that_no_claim_takes_is_no_reason_to_wake_again() {
    test(async |lab| {
        let worker = lab.worker().await;
        lab.pending("ORD-1").await;
        assert_eq!(lab.claim_by(&Lab::<MemoryStore>::request(worker, 0)).await, []);
        assert_eq!(lab.store.next_wake().await.unwrap(), None);
    });
}
