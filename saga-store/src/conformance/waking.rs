//! What a worker is given of the runs that its messages wake.

use super::lab::{HOUR, Lab, WORKFLOW, executions};
use crate::{Applied, BuildId, Claim, Delivery, ExecutionId, Filter, Incarnation, RunCommit, Store, Then};

/// A run of this worker's that waits for a message.
async fn waiting<S: Store>(lab: &Lab<S>, id: &str, worker: Incarnation) -> ExecutionId {
    let execution = lab.owned(id, worker).await;
    lab.apply(lab.release(execution, worker, 1, None)).await;
    execution
}

/// Delivers a message to each; gives what a worker was given of them, which is what it would have claimed.
async fn woken<S: Store>(lab: &Lab<S>, claim: &Claim, to: &[ExecutionId]) -> Vec<ExecutionId> {
    let messages: Vec<_> = to.iter().map(|execution| lab.message(*execution)).collect();
    let (answers, given) = lab.store.deliver_and_claim(messages.clone(), claim).await.unwrap();
    assert_eq!(answers, to.iter().map(|execution| Delivery::New(*execution)).collect::<Vec<_>>());
    let (again, twice) = lab.store.deliver_and_claim(messages, claim).await.unwrap();
    assert_eq!(again, to.iter().map(|execution| Delivery::Duplicate(*execution)).collect::<Vec<_>>());
    assert_eq!(twice, [], "a duplicate gives nothing");
    let given = executions(&given);
    assert!(given.iter().all(|execution| to.contains(execution)) && given.len() <= claim.slots, "{given:?}");
    given
}

pub async fn what_a_delivery_gives_is_its_workers_and_the_rest_is_due<S: Store>(lab: &Lab<S>) {
    let (worker, other) = (lab.worker().await, lab.worker().await);
    let mut runs = Vec::new();
    for i in 0..4 {
        runs.push(waiting(lab, &format!("ORD-{i}"), other).await);
    }
    let asleep = lab.owned("asleep", other).await;
    lab.apply(lab.release(asleep, other, 1, Some(lab.now().await.after(HOUR)))).await;
    runs.push(asleep);
    let given = woken(lab, &Lab::<S>::request(worker, 3), &runs).await;
    let differences = lab.store.reconcile(worker, &[], 100).await.unwrap();
    let mut owned = executions(&differences.undriven);
    owned.sort_unstable();
    let mut expected = given.clone();
    expected.sort_unstable();
    assert_eq!(owned, expected, "it owns what it was given");
    assert!(differences.undriven.iter().all(|run| !run.taken_over && run.deaths == 0));
    let mut all = executions(&lab.claim(other).await);
    assert!(given.iter().all(|execution| !all.contains(execution)), "nobody else is given it");
    all.extend(&given);
    all.sort_unstable();
    runs.sort_unstable();
    assert_eq!(all, runs, "what was not given is due");
    assert_eq!(lab.store.next_wake().await.unwrap(), None);
    for execution in given {
        assert_eq!(lab.load(execution).await.inbox.len(), 1);
        lab.apply(RunCommit { inbox_seen: Some(1), ..lab.append(execution, worker, 2) }).await;
        let again = RunCommit { inbox_seen: Some(1), ..lab.release(execution, worker, 3, None) };
        assert_eq!(lab.apply(again).await, Applied { stay: false }, "as after a claim");
        assert_eq!(lab.claim(other).await, []);
    }
}

pub async fn a_delivery_gives_nothing_that_a_claim_would_not<S: Store>(lab: &Lab<S>) {
    let (worker, other) = (lab.worker().await, lab.worker().await);
    let owned = lab.owned("owned", other).await;
    let request = Lab::<S>::request(worker, 100);
    assert_eq!(woken(lab, &request, &[owned]).await, [], "another worker has it");
    let mine = lab.owned("mine", worker).await;
    assert_eq!(woken(lab, &request, &[mine]).await, [], "it has it already");
    let unserved = waiting(lab, "unserved", other).await;
    for (workflow, version) in [("another", 1), (WORKFLOW, 2)] {
        let filter = Filter { workflows: vec![(workflow.to_owned(), version)] };
        assert_eq!(woken(lab, &Claim { filter, ..request.clone() }, &[unserved]).await, [], "it is not served");
    }
    let none = Claim { slots: 0, ..request.clone() };
    assert_eq!(woken(lab, &none, &[unserved]).await, [], "there is no room for it");
    let ended = lab.ended("ended", other).await;
    let (answers, given) = lab.store.deliver_and_claim(vec![lab.message(ended)], &request).await.unwrap();
    assert_eq!((answers, given), (vec![Delivery::Ended(ended)], vec![]));
    let due = executions(&lab.claim(worker).await);
    assert_eq!(due, [unserved], "it is due, with all its messages");
    assert_eq!(lab.load(unserved).await.inbox.len(), 3);
}

pub async fn a_delivery_leaves_to_other_builds_what_is_theirs<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    let build = BuildId("old".into());
    let then = Then::Release { wake_at: None, not_build: Some(build.clone()) };
    lab.apply(RunCommit { then, ..lab.append(execution, worker, 1) }).await;
    assert_eq!(woken(lab, &Claim { build, ..Lab::<S>::request(worker, 100) }, &[execution]).await, []);
    assert_eq!(executions(&lab.claim(worker).await), [execution]);
}

pub async fn a_delivery_for_nobody_gives_nothing_and_is_made<S: Store>(lab: &Lab<S>) {
    let (worker, dead) = (lab.worker().await, lab.worker().await);
    let execution = waiting(lab, "ORD-1", worker).await;
    lab.adopt(dead, worker).await;
    assert_eq!(woken(lab, &Lab::<S>::request(dead, 100), &[execution]).await, [], "it was taken for dead");
    assert_eq!(executions(&lab.claim(worker).await), [execution]);
    assert_eq!(lab.load(execution).await.inbox.len(), 1);
}
