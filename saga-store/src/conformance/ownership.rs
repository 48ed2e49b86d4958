//! Who drives a run: claims, releases, deaths.

use super::lab::{HOUR, Lab, WORKFLOW, executions, run_id};
use crate::{Applied, ClaimedRun, ExecutionId, Incarnation, RunCommit, Store};

pub async fn a_claim_takes_a_pending_run_once<S: Store>(lab: &Lab<S>) {
    let (worker, other) = (lab.worker().await, lab.worker().await);
    let execution = lab.pending("ORD-1").await;
    let expected = ClaimedRun {
        id: run_id("ORD-1"),
        execution,
        workflow: WORKFLOW.to_owned(),
        version: 1,
        taken_over: false,
        deaths: 0,
    };
    assert_eq!(lab.claim(worker).await, [expected]);
    assert_eq!(lab.claim(worker).await, []);
    assert_eq!(lab.claim(other).await, []);
}

pub async fn a_claim_gives_no_more_than_there_is_room_for<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    for i in 0..5 {
        lab.pending(&format!("ORD-{i}")).await;
    }
    for expected in [0, 2, 3] {
        let claimed = lab.claim_by(&Lab::<S>::request(worker, expected)).await;
        assert_eq!(claimed.len(), expected);
    }
    assert_eq!(lab.claim(worker).await, []);
}

pub async fn a_released_run_comes_back_when_its_time_has_come<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    let now = lab.now().await;
    assert_eq!(lab.apply(lab.release(execution, worker, 1, Some(now))).await, Applied { stay: false });
    let claimed = lab.claim(worker).await;
    assert_eq!(executions(&claimed), [execution]);
    assert!(!claimed[0].taken_over, "its owner had released it");
    // And once more, in the same life of the worker.
    lab.apply(lab.release(execution, worker, 2, Some(now))).await;
    assert_eq!(executions(&lab.claim(worker).await), [execution]);
}

pub async fn a_released_run_sleeps_until_its_time<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    let later = lab.now().await.after(HOUR);
    lab.apply(lab.release(execution, worker, 1, Some(later))).await;
    assert_eq!(lab.claim(worker).await, []);
    let other = lab.worker().await;
    assert_eq!(lab.adopt(worker, other).await, [], "a released run is nobody's to adopt");
}

pub async fn the_next_wake_is_the_earliest<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let now = lab.now().await;
    let message_only = lab.owned("message only", worker).await;
    lab.apply(lab.release(message_only, worker, 1, None)).await;
    assert_eq!(lab.store.next_wake().await.unwrap(), None);
    for (id, hours) in [("b", 3), ("a", 2), ("c", 4)] {
        let execution = lab.owned(id, worker).await;
        lab.apply(lab.release(execution, worker, 1, Some(now.after(HOUR * hours)))).await;
    }
    assert_eq!(lab.store.next_wake().await.unwrap(), Some(now.after(HOUR * 2)));
}

pub async fn a_run_that_is_owned_or_has_ended_has_no_next_wake<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let later = lab.now().await.after(HOUR);
    for end in [false, true] {
        let execution = lab.owned(&format!("ORD-{end}"), worker).await;
        lab.apply(lab.release(execution, worker, 1, Some(later))).await;
        lab.send(execution).await;
        assert_eq!(executions(&lab.claim(worker).await), [execution]);
        if end {
            lab.apply(lab.end(execution, worker, 2)).await;
        }
        assert_eq!(lab.store.next_wake().await.unwrap(), None);
    }
}

pub async fn a_message_wakes_a_released_run<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let later = lab.now().await.after(HOUR);
    for (id, wake_at) in [("without a time", None), ("before its time", Some(later))] {
        let execution = lab.owned(id, worker).await;
        lab.apply(lab.release(execution, worker, 1, wake_at)).await;
        assert_eq!(lab.claim(worker).await, []);
        lab.send(execution).await;
        assert_eq!(executions(&lab.claim(worker).await), [execution]);
    }
}

pub async fn a_release_with_an_unseen_message_stays<S: Store>(lab: &Lab<S>) {
    let (worker, other) = (lab.worker().await, lab.worker().await);
    let execution = lab.owned("ORD-1", worker).await;
    lab.send(execution).await;
    lab.send(execution).await;
    for (seq, seen) in [(1, None), (2, Some(1))] {
        let release = RunCommit { inbox_seen: seen, ..lab.release(execution, worker, seq, None) };
        assert_eq!(lab.apply(release).await, Applied { stay: true });
        assert_eq!(lab.claim(other).await, []);
    }
    assert_eq!(lab.journal(execution).await.len(), 3);
    let release = RunCommit { inbox_seen: Some(2), ..lab.release(execution, worker, 3, None) };
    assert_eq!(lab.apply(release).await, Applied { stay: false });
    assert_eq!(lab.claim(other).await, []);
    lab.send(execution).await;
    assert_eq!(executions(&lab.claim(other).await), [execution]);
}

pub async fn messages_seen_before_do_not_keep_a_run_from_its_release<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    lab.send(execution).await;
    lab.apply(RunCommit { inbox_seen: Some(1), ..lab.append(execution, worker, 1) }).await;
    assert_eq!(lab.apply(lab.release(execution, worker, 2, None)).await, Applied { stay: false });
    assert_eq!(lab.claim(worker).await, []);
}

pub async fn a_worker_that_leaves_hands_over_its_runs<S: Store>(lab: &Lab<S>) {
    let (worker, other) = (lab.worker().await, lab.worker().await);
    let execution = lab.owned("ORD-1", worker).await;
    let later = lab.now().await.after(HOUR);
    let asleep = lab.owned("asleep", worker).await;
    lab.apply(lab.release(asleep, worker, 1, Some(later))).await;
    lab.store.leave(worker).await.unwrap();
    let claimed = lab.claim(other).await;
    assert_eq!(executions(&claimed), [execution]);
    assert!(claimed[0].taken_over, "its owner had not released it");
    assert_eq!(claimed[0].deaths, 0, "leaving is not dying");
}

pub async fn a_dead_workers_runs_are_adopted<S: Store>(lab: &Lab<S>) {
    let (dead, living) = (lab.worker().await, lab.worker().await);
    let execution = lab.owned("ORD-1", dead).await;
    assert_eq!(lab.claim(living).await, [], "nobody claims what has an owner");
    let adopted = lab.adopt(dead, living).await;
    assert_eq!(executions(&adopted), [execution]);
    assert!(adopted[0].taken_over);
    assert_eq!(adopted[0].deaths, 1);
    assert_eq!(lab.adopt(dead, living).await, []);
    assert!(!lab.store.beat(dead).await.unwrap().member, "whose runs were taken is no member any more");
    lab.apply(lab.append(execution, living, 1)).await;
}

pub async fn an_adoption_takes_no_more_than_there_is_room_for<S: Store>(lab: &Lab<S>) {
    let (dead, living) = (lab.worker().await, lab.worker().await);
    for i in 0..5 {
        lab.owned(&format!("ORD-{i}"), dead).await;
    }
    let mut adopted = Vec::new();
    for expected in [2, 2, 1, 0] {
        let some = lab.store.adopt(dead, living, 2).await.unwrap();
        assert_eq!(some.len(), expected);
        adopted.extend(executions(&some));
    }
    adopted.sort();
    adopted.dedup();
    assert_eq!(adopted.len(), 5);
}

/// Lets the owner of a run die and another worker take it; gives that worker and the deaths.
async fn dies<S: Store>(lab: &Lab<S>, owner: Incarnation, execution: ExecutionId) -> (Incarnation, u32) {
    let next = lab.worker().await;
    let adopted = lab.adopt(owner, next).await;
    assert_eq!(executions(&adopted), [execution]);
    (next, adopted[0].deaths)
}

pub async fn deaths_in_a_row_are_counted_and_progress_clears_them<S: Store>(lab: &Lab<S>) {
    let owner = lab.worker().await;
    let execution = lab.owned("ORD-1", owner).await;
    let (owner, deaths) = dies(lab, owner, execution).await;
    assert_eq!(deaths, 1);
    let (owner, deaths) = dies(lab, owner, execution).await;
    assert_eq!(deaths, 2);
    lab.apply(lab.append(execution, owner, 1)).await;
    lab.apply(lab.append(execution, owner, 2)).await;
    let (_, deaths) = dies(lab, owner, execution).await;
    assert_eq!(deaths, 1);
}

pub async fn a_claim_record_alone_is_no_progress<S: Store>(lab: &Lab<S>) {
    let owner = lab.worker().await;
    let execution = lab.owned("ORD-1", owner).await;
    let (owner, deaths) = dies(lab, owner, execution).await;
    assert_eq!(deaths, 1);
    lab.apply(lab.append(execution, owner, 1)).await;
    let (owner, deaths) = dies(lab, owner, execution).await;
    assert_eq!(deaths, 2);
    lab.apply(lab.append(execution, owner, 2)).await;
    let (_, deaths) = dies(lab, owner, execution).await;
    assert_eq!(deaths, 3);
}
