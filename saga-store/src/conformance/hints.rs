//! Hints: lossy in general, but on a quiet store each thing that happens gives one.

use super::lab::{Lab, executions};
use crate::{ExecutionId, Hint, HintStream, RunCommit, Store};

/// Waits for this hint, or for one that stands for all.
async fn expect(hints: &mut Box<dyn HintStream>, expected: &Hint) {
    loop {
        let hint = hints.next().await.expect("the store is open");
        if hint == *expected || hint == Hint::Anything {
            break;
        }
    }
}

async fn asleep<S: Store>(lab: &Lab<S>) -> ExecutionId {
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    lab.apply(lab.release(execution, worker, 1, None)).await;
    execution
}

pub async fn a_start_that_nobody_owns_gives_a_hint<S: Store>(lab: &Lab<S>) {
    let mut hints = lab.store.hints();
    lab.pending("ORD-1").await;
    expect(&mut hints, &Hint::Ready).await;
}

pub async fn a_message_gives_a_hint<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    let mut hints = lab.store.hints();
    lab.send(execution).await;
    expect(&mut hints, &Hint::Inbox(execution)).await;
}

pub async fn a_message_to_a_released_run_hints_that_it_is_due<S: Store>(lab: &Lab<S>) {
    let execution = asleep(lab).await;
    let mut hints = lab.store.hints();
    lab.send(execution).await;
    expect(&mut hints, &Hint::Ready).await;
    let worker = lab.worker().await;
    assert_eq!(executions(&lab.claim(worker).await), [execution]);
}

pub async fn a_release_that_is_due_gives_a_hint<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    let now = lab.now().await;
    let mut hints = lab.store.hints();
    lab.apply(lab.release(execution, worker, 1, Some(now))).await;
    expect(&mut hints, &Hint::Ready).await;
}

pub async fn the_end_of_a_run_gives_a_hint<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    let mut hints = lab.store.hints();
    lab.apply(lab.end(execution, worker, 1)).await;
    expect(&mut hints, &Hint::Ended(execution)).await;
}

pub async fn each_listener_gets_the_hints<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    let (mut one, mut two) = (lab.store.hints(), lab.store.hints());
    lab.apply(RunCommit { outbox: vec![lab.message(execution)], ..lab.append(execution, worker, 1) }).await;
    lab.send(execution).await;
    expect(&mut one, &Hint::Inbox(execution)).await;
    expect(&mut two, &Hint::Inbox(execution)).await;
}
