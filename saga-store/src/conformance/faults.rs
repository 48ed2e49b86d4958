//! What befalls calls on their way: whoever sends one again, as the contract says, loses nothing
//! and doubles nothing.

use std::pin::pin;

use bytes::Bytes;

use super::lab::{Fault, Lab, again, executions, go, row};
use crate::{CommitOutcome, Delivery, NewRun, Query, RunCommit, Started, Store};

pub async fn a_commit_that_meets_a_fault_is_applied_once<S: Store>(lab: &Lab<S>) {
    for fault in Fault::ALL {
        let worker = lab.worker().await;
        let execution = lab.owned(&format!("ORD-{fault:?}"), worker).await;
        let commit = RunCommit {
            rows: vec![row("one"), row("two")],
            outbox: vec![lab.message(execution)],
            blobs: vec![lab.blob("blob")],
            status: Some(Bytes::from_static(b"status")),
            ..lab.append(execution, worker, 1)
        };
        if fault.befalls(lab.store.commit(vec![again(&commit)])).await.is_none() {
            lab.apply(again(&commit)).await;
        }
        assert_eq!(lab.journal(execution).await, ["record 0", "one", "two"], "{fault:?}");
        assert_eq!(lab.outbox(worker).await, [commit.outbox[0].id], "{fault:?}");
        let blobs = lab.store.blobs(execution, &[commit.blobs[0].id]).await.expect("blobs can be read");
        assert_eq!(blobs.len(), 1, "{fault:?}");
        assert_eq!(lab.view(execution).await.status.as_deref(), Some(&b"status"[..]), "{fault:?}");
    }
}

pub async fn a_start_that_meets_a_fault_starts_one_run<S: Store>(lab: &Lab<S>) {
    for fault in Fault::ALL {
        let id = format!("ORD-{fault:?}");
        let messages = vec![(lab.message_id(), Bytes::from_static(b"with the start"))];
        let new = NewRun { messages, ..lab.new_run(&id) };
        let execution = new.execution;
        if fault.befalls(lab.store.start(vec![new.clone()])).await.is_none() {
            match lab.start(new).await {
                Started::New => {}
                Started::Existing { execution: found, same_input: true, .. } => assert_eq!(found, execution),
                other => panic!("{fault:?}: a start that is sent again is answered {other:?}"),
            }
        }
        assert_eq!(lab.journal(execution).await, ["record 0"], "{fault:?}");
        assert_eq!(lab.inbox(execution).await.len(), 1, "{fault:?}");
        let of_the_name = Query { id_prefix: Some(id), limit: 10, ..Query::default() };
        assert_eq!(lab.list(&of_the_name).await, [execution], "{fault:?}");
    }
}

pub async fn a_message_that_meets_a_fault_is_delivered_once<S: Store>(lab: &Lab<S>) {
    for fault in Fault::ALL {
        let execution = lab.pending(&format!("ORD-{fault:?}")).await;
        let message = lab.message(execution);
        if fault.befalls(lab.store.deliver(vec![message.clone()])).await.is_none() {
            let delivery = lab.deliver(message.clone()).await;
            let known = [Delivery::New(execution), Delivery::Duplicate(execution)];
            assert!(known.contains(&delivery), "{fault:?}: {delivery:?}");
        }
        assert_eq!(lab.inbox(execution).await, [(1, message.id)], "{fault:?}");
    }
}

pub async fn a_run_whose_claim_meets_a_fault_is_given_to_others_in_the_end<S: Store>(lab: &Lab<S>) {
    for fault in Fault::ALL {
        let worker = lab.worker().await;
        let execution = lab.pending(&format!("ORD-{fault:?}")).await;
        let _ = fault.befalls(lab.store.claim(&Lab::<S>::request(worker, 100))).await;
        lab.store.leave(worker).await.expect("a member can leave");
        let heir = lab.worker().await;
        // A claim that was cut may still be under way.
        let mut given = executions(&lab.claim(heir).await);
        for _ in 0..1_000 {
            if given.is_empty() {
                tokio::task::yield_now().await;
                given = executions(&lab.claim(heir).await);
            }
        }
        assert_eq!(given, [execution], "{fault:?}");
        lab.apply(lab.end(execution, heir, 1)).await;
    }
}

pub async fn of_a_worker_with_a_stale_lease_and_its_heir_one_writes<S: Store>(lab: &Lab<S>) {
    for steps in [0, 1, 2, 3, 5, 9] {
        let (stale, heir) = (lab.worker().await, lab.worker().await);
        let execution = lab.owned(&format!("ORD-{steps}"), stale).await;
        // On its way while somebody else judges that its sender is dead.
        let late = RunCommit { rows: vec![row("late")], ..lab.append(execution, stale, 1) };
        let mut late = pin!(lab.store.commit(vec![late]));
        let early = go(late.as_mut(), steps).await;
        assert_eq!(executions(&lab.adopt(stale, heir).await), [execution], "after {steps} steps");
        let claim = RunCommit { rows: vec![row("claim")], ..lab.append(execution, heir, 1) };
        let claimed = lab.commit(claim).await;
        let late = match early {
            Some(answer) => answer,
            None => late.await,
        };
        let late = late.expect("a commit is answered").remove(0);
        let applied = |outcome: &CommitOutcome| matches!(outcome, CommitOutcome::Applied(_));
        assert_ne!(applied(&late), applied(&claimed), "after {steps} steps: {late:?} and {claimed:?}");
        let written = if applied(&late) { "late" } else { "claim" };
        assert_eq!(lab.journal(execution).await, ["record 0", written], "after {steps} steps");
        lab.apply(lab.append(execution, heir, 2)).await;
        let again = lab.commit(lab.append(execution, stale, 2)).await;
        assert!(matches!(again, CommitOutcome::Refused { .. }), "after {steps} steps: {again:?}");
    }
}
