//! Starting runs.

use bytes::Bytes;

use super::lab::{HOUR, Lab, executions, run_id};
use crate::{
    Delivery, ExecutionId, InboxMessage, Incarnation, JournalRow, Message, NewRun, OnExisting, RunCommit, RunState,
    Seq, Started, StateChange, Store, Target,
};

fn existing(execution: ExecutionId, state: RunState) -> Started {
    Started::Existing { execution, state, same_input: true }
}

pub async fn a_new_run_is_pending_and_has_its_first_record<S: Store>(lab: &Lab<S>) {
    let new = NewRun { first: Bytes::from_static(&[0, 255, 10, 39]), ..lab.new_run("ORD-1") };
    assert_eq!(lab.start(new.clone()).await, Started::New);
    let run = lab.load(new.execution).await;
    assert_eq!(run.view.state, RunState::Pending);
    assert_eq!(run.journal, [JournalRow { seq: Seq::FIRST, nonce: new.nonce, more: false, body: new.first }]);
    assert_eq!(run.inbox, []);
}

pub async fn a_start_that_is_sent_again_finds_its_own_run<S: Store>(lab: &Lab<S>) {
    let new = lab.new_run("ORD-1");
    assert_eq!(lab.start(new.clone()).await, Started::New);
    assert_eq!(lab.start(new.clone()).await, existing(new.execution, RunState::Pending));
    assert_eq!(lab.journal(new.execution).await.len(), 1);
}

pub async fn a_second_start_of_an_id_answers_with_the_run_that_is_there<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let execution = lab.ended("ORD-1", worker).await;
    let second = lab.new_run("ORD-1");
    assert_eq!(lab.start(second.clone()).await, existing(execution, RunState::Completed));
    assert_eq!(lab.store.get_execution(second.execution).await.unwrap(), None);
}

pub async fn a_second_start_with_another_input_is_flagged<S: Store>(lab: &Lab<S>) {
    let execution = lab.pending("ORD-1").await;
    let other = NewRun { input_digest: u64::MAX, ..lab.new_run("ORD-1") };
    assert_eq!(lab.start(other).await, Started::Existing { execution, state: RunState::Pending, same_input: false });
}

pub async fn an_input_digest_of_any_size_is_recognised<S: Store>(lab: &Lab<S>) {
    for (id, input_digest) in [("a", 0), ("b", u64::MAX), ("c", 1 << 63)] {
        let execution = lab.started(NewRun { input_digest, ..lab.new_run(id) }).await;
        let again = NewRun { input_digest, ..lab.new_run(id) };
        assert_eq!(lab.start(again).await, existing(execution, RunState::Pending));
    }
}

pub async fn an_id_that_another_workflow_has_is_a_conflict<S: Store>(lab: &Lab<S>) {
    let execution = lab.pending("ORD-1").await;
    for on_existing in [OnExisting::Return, OnExisting::ReplaceFinished] {
        let other = NewRun { workflow: "refund".to_owned(), on_existing, ..lab.new_run("ORD-1") };
        assert_eq!(lab.start(other).await, Started::Conflict { workflow: "order".to_owned() });
    }
    assert_eq!(lab.store.get(&run_id("ORD-1")).await.unwrap().unwrap().execution, execution);
}

pub async fn two_starts_of_one_id_in_one_batch_start_one_run<S: Store>(lab: &Lab<S>) {
    let (first, second) = (lab.new_run("ORD-1"), lab.new_run("ORD-1"));
    let answers = lab.store.start(vec![first.clone(), second]).await.unwrap();
    assert_eq!(answers, [Started::New, existing(first.execution, RunState::Pending)]);
}

pub async fn answers_to_starts_come_in_the_order_of_the_requests<S: Store>(lab: &Lab<S>) {
    let here = lab.pending("m").await;
    let other = NewRun { workflow: "refund".to_owned(), ..lab.new_run("m") };
    let batch = vec![lab.new_run("z"), lab.new_run("m"), lab.new_run("a"), other, lab.new_run("k")];
    assert_eq!(
        lab.store.start(batch).await.unwrap(),
        [
            Started::New,
            existing(here, RunState::Pending),
            Started::New,
            Started::Conflict { workflow: "order".to_owned() },
            Started::New,
        ]
    );
}

pub async fn a_start_that_the_store_cannot_take_fails_no_neighbour<S: Store>(lab: &Lab<S>) {
    let taken = lab.pending("taken").await;
    let bad = NewRun { execution: taken, ..lab.new_run("bad") };
    let (before, after) = (lab.new_run("before"), lab.new_run("after"));
    let answers = lab.store.start(vec![before, bad, after]).await.unwrap();
    assert_eq!(answers[0], Started::New);
    assert!(matches!(&answers[1], Started::Rejected(why) if !why.is_empty()), "{:?}", answers[1]);
    assert_eq!(answers[2], Started::New);
    assert_eq!(lab.store.get(&run_id("bad")).await.unwrap(), None);
    assert_eq!(lab.view(taken).await.id, run_id("taken"));
}

pub async fn a_start_brings_its_blobs_and_messages<S: Store>(lab: &Lab<S>) {
    let blob = lab.blob(vec![1; 100_000]);
    let messages: Vec<_> = (0..3).map(|_| (lab.message_id(), Bytes::from_static(b"hello"))).collect();
    let new = NewRun { blobs: vec![blob.clone()], messages: messages.clone(), ..lab.new_run("ORD-1") };
    let execution = lab.started(new).await;
    let blobs = lab.store.blobs(execution, &[blob.id]).await.unwrap();
    assert_eq!(blobs, [(blob.id, blob.bytes)]);
    let expected: Vec<_> = (1..).zip(messages.iter().map(|(id, _)| *id)).collect();
    assert_eq!(lab.inbox(execution).await, expected);
    let InboxMessage { id, body, .. } = lab.load(execution).await.inbox.remove(0);
    let repeated = Message { id, to: Target::Execution(execution), body };
    assert_eq!(lab.deliver(repeated).await, Delivery::Duplicate(execution));
}

pub async fn a_run_that_may_not_begin_yet_is_not_given_out<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let later = lab.now().await.after(HOUR);
    lab.started(NewRun { not_before: Some(later), ..lab.new_run("later") }).await;
    let now = lab.pending("now").await;
    assert_eq!(executions(&lab.claim(worker).await), [now]);
    assert_eq!(lab.store.next_wake().await.unwrap(), Some(later));
}

pub async fn a_run_started_for_a_worker_is_its_own<S: Store>(lab: &Lab<S>) {
    let (worker, other) = (lab.worker().await, lab.worker().await);
    let execution = lab.owned("ORD-1", worker).await;
    assert_eq!(lab.claim(other).await, []);
    assert_eq!(lab.claim(worker).await, []);
    lab.apply(lab.append(execution, worker, 1)).await;
    assert_eq!(executions(&lab.adopt(worker, other).await), [execution]);
}

pub async fn a_replacing_start_answers_with_a_run_that_is_live<S: Store>(lab: &Lab<S>) {
    let execution = lab.pending("ORD-1").await;
    let replacing = NewRun { on_existing: OnExisting::ReplaceFinished, ..lab.new_run("ORD-1") };
    assert_eq!(lab.start(replacing).await, existing(execution, RunState::Pending));
}

pub async fn a_replacing_start_begins_a_new_execution_of_a_finished_run<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let old = lab.ended("ORD-1", worker).await;
    let replacing = NewRun { on_existing: OnExisting::ReplaceFinished, ..lab.new_run("ORD-1") };
    let new = lab.started(replacing).await;
    assert_eq!(lab.store.get(&run_id("ORD-1")).await.unwrap().unwrap().execution, new);
    assert_eq!(lab.view(old).await.state, RunState::Completed);
    assert_eq!(lab.journal(old).await.len(), 2);
    assert_eq!(executions(&lab.claim(worker).await), [new]);
}

pub async fn a_replacing_start_that_is_sent_again_replaces_once<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    lab.ended("ORD-1", worker).await;
    let replacing =
        NewRun { on_existing: OnExisting::ReplaceFinished, claim_for: Some(worker), ..lab.new_run("ORD-1") };
    let new = lab.started(replacing.clone()).await;
    lab.apply(lab.end(new, worker, 1)).await;
    assert_eq!(lab.start(replacing).await, existing(new, RunState::Completed));
    assert_eq!(lab.journal(new).await.len(), 2);
}

/// An execution that has ended because its run goes on in another one.
async fn gone_on<S: Store>(lab: &Lab<S>, id: &str, worker: Incarnation) -> ExecutionId {
    let execution = lab.owned(id, worker).await;
    let change = Some(StateChange { state: RunState::Continued, conclusion: Some(Bytes::from_static(b"goes on")) });
    lab.apply(RunCommit { change, ..lab.end(execution, worker, 1) }).await;
    execution
}

fn next<S: Store>(lab: &Lab<S>, of: ExecutionId) -> NewRun {
    NewRun { on_existing: OnExisting::Succeed(of), ..lab.new_run("ORD-1") }
}

pub async fn the_next_execution_of_a_run_that_goes_on_takes_the_place_of_that_one<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let old = gone_on(lab, "ORD-1", worker).await;
    let messages = vec![(lab.message_id(), Bytes::from_static(b"left over"))];
    let new = NewRun { claim_for: Some(worker), messages, ..next(lab, old) };
    lab.started(new.clone()).await;
    assert_eq!(lab.store.get(&run_id("ORD-1")).await.unwrap().unwrap().execution, new.execution);
    assert_eq!(lab.view(old).await.state, RunState::Continued);
    assert_eq!(lab.inbox(new.execution).await, [(1, new.messages[0].0)]);
    assert_eq!(lab.start(new.clone()).await, existing(new.execution, RunState::Running));
    // Also when that has gone on itself.
    let change = Some(StateChange { state: RunState::Continued, conclusion: Some(Bytes::from_static(b"goes on")) });
    lab.apply(RunCommit { change, ..lab.end(new.execution, worker, 1) }).await;
    assert_eq!(lab.start(new.clone()).await, existing(new.execution, RunState::Continued));
    assert_eq!(lab.start(next(lab, old)).await, existing(new.execution, RunState::Continued));
    lab.started(next(lab, new.execution)).await;
}

pub async fn nobody_else_takes_the_place_of_a_run_that_goes_on<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let old = gone_on(lab, "ORD-1", worker).await;
    for on_existing in [OnExisting::Return, OnExisting::Reject, OnExisting::ReplaceFinished] {
        let other = NewRun { on_existing, ..lab.new_run("ORD-1") };
        assert_eq!(lab.start(other).await, existing(old, RunState::Continued));
    }
    assert_eq!(lab.start(next(lab, lab.execution())).await, existing(old, RunState::Continued));
    assert_eq!(lab.claim(worker).await, []);
}

pub async fn nothing_succeeds_a_run_that_does_not_go_on<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let ended = lab.ended("ORD-1", worker).await;
    assert_eq!(lab.start(next(lab, ended)).await, existing(ended, RunState::Completed));
    let live = lab.owned("live", worker).await;
    let new = NewRun { on_existing: OnExisting::Succeed(live), ..lab.new_run("live") };
    assert_eq!(lab.start(new).await, existing(live, RunState::Running));
    assert_eq!(lab.claim(worker).await, []);
}
