//! What crosses from one run, or from a client, to another run.

use super::lab::{HOUR, Lab, executions, run_id};
use crate::{Delivery, ExecutionId, Message, NewRun, OnExisting, RunCommit, Store, Target};

fn to_run(message: Message, id: &str) -> Message {
    Message { to: Target::Run(run_id(id)), ..message }
}

async fn positions<S: Store>(lab: &Lab<S>, execution: ExecutionId, after: u64) -> Vec<u64> {
    let inbox = lab.store.inbox(execution, after).await.unwrap();
    inbox.into_iter().map(|message| message.position).collect()
}

pub async fn messages_are_kept_in_order_from_one<S: Store>(lab: &Lab<S>) {
    let execution = lab.pending("ORD-1").await;
    let (first, second) = (lab.message(execution), lab.message(execution));
    assert_eq!(lab.deliver(second.clone()).await, Delivery::New(execution));
    assert_eq!(lab.deliver(first.clone()).await, Delivery::New(execution));
    let inbox = lab.store.inbox(execution, 0).await.unwrap();
    assert_eq!(inbox, lab.load(execution).await.inbox);
    let kept: Vec<_> = inbox.into_iter().map(|message| (message.position, message.id, message.body)).collect();
    assert_eq!(kept, [(1, second.id, second.body), (2, first.id, first.body)]);
}

pub async fn a_message_that_is_sent_again_is_recognised<S: Store>(lab: &Lab<S>) {
    let execution = lab.pending("ORD-1").await;
    let message = lab.message(execution);
    assert_eq!(lab.deliver(message.clone()).await, Delivery::New(execution));
    assert_eq!(lab.deliver(message.clone()).await, Delivery::Duplicate(execution));
    assert_eq!(lab.deliver(to_run(message.clone(), "ORD-1")).await, Delivery::Duplicate(execution));
    assert_eq!(lab.inbox(execution).await, [(1, message.id)]);
    lab.send(execution).await;
    assert_eq!(positions(lab, execution, 0).await, [1, 2], "a duplicate takes no position");
}

pub async fn a_message_twice_in_one_batch_is_delivered_once<S: Store>(lab: &Lab<S>) {
    let execution = lab.pending("ORD-1").await;
    let message = lab.message(execution);
    let answers = lab.store.deliver(vec![message.clone(), message.clone()]).await.unwrap();
    assert_eq!(answers, [Delivery::New(execution), Delivery::Duplicate(execution)]);
    assert_eq!(lab.inbox(execution).await, [(1, message.id)]);
}

pub async fn a_message_to_nobody_finds_no_run<S: Store>(lab: &Lab<S>) {
    let message = lab.message(lab.execution());
    assert_eq!(lab.deliver(message.clone()).await, Delivery::NoRun);
    assert_eq!(lab.deliver(to_run(message.clone(), "ORD-1")).await, Delivery::NoRun);
    // The same message finds the run once there is one.
    let execution = lab.pending("ORD-1").await;
    assert_eq!(lab.deliver(to_run(message, "ORD-1")).await, Delivery::New(execution));
}

pub async fn a_message_to_an_ended_run_is_answered_so<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let execution = lab.ended("ORD-1", worker).await;
    let message = lab.message(execution);
    assert_eq!(lab.deliver(message.clone()).await, Delivery::Ended(execution));
    assert_eq!(lab.deliver(to_run(message, "ORD-1")).await, Delivery::Ended(execution));
    assert_eq!(lab.inbox(execution).await, []);
    assert_eq!(lab.claim(worker).await, []);
}

pub async fn answers_to_messages_come_in_the_order_of_the_requests<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let (live, ended) = (lab.pending("live").await, lab.ended("ended", worker).await);
    let batch = [ended, live, lab.execution(), live, ended].map(|to| lab.message(to));
    assert_eq!(
        lab.store.deliver(batch.to_vec()).await.unwrap(),
        [Delivery::Ended(ended), Delivery::New(live), Delivery::NoRun, Delivery::New(live), Delivery::Ended(ended)]
    );
    assert_eq!(lab.inbox(live).await, [(1, batch[1].id), (2, batch[3].id)]);
}

pub async fn each_inbox_counts_for_itself<S: Store>(lab: &Lab<S>) {
    let (one, two) = (lab.pending("one").await, lab.pending("two").await);
    for execution in [one, two, one, two] {
        lab.send(execution).await;
    }
    assert_eq!(positions(lab, one, 0).await, [1, 2]);
    assert_eq!(positions(lab, two, 0).await, [1, 2]);
}

pub async fn a_message_to_a_run_goes_to_its_newest_execution<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let old = lab.ended("ORD-1", worker).await;
    let replacing = NewRun { on_existing: OnExisting::ReplaceFinished, ..lab.new_run("ORD-1") };
    let new = lab.started(replacing).await;
    assert_eq!(lab.deliver(to_run(lab.message(old), "ORD-1")).await, Delivery::New(new));
    assert_eq!(lab.deliver(lab.message(old)).await, Delivery::Ended(old));
}

pub async fn a_consumed_message_is_not_given_again<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    for _ in 0..3 {
        lab.send(execution).await;
    }
    lab.apply(RunCommit { inbox_seen: Some(2), ..lab.append(execution, worker, 1) }).await;
    let unconsumed = lab.load(execution).await.inbox;
    assert_eq!(unconsumed.iter().map(|message| message.position).collect::<Vec<_>>(), [3]);
    lab.apply(lab.append(execution, worker, 2)).await;
    assert_eq!(positions(lab, execution, 2).await, [3]);
}

pub async fn a_position_is_never_given_twice<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    for position in 1..=4 {
        lab.send(execution).await;
        assert_eq!(positions(lab, execution, position - 1).await, [position]);
        lab.apply(RunCommit { inbox_seen: Some(position), ..lab.append(execution, worker, position) }).await;
    }
}

pub async fn a_consumed_message_that_is_sent_again_is_still_recognised<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    let message = lab.message(execution);
    lab.deliver(message.clone()).await;
    let release = RunCommit { inbox_seen: Some(1), ..lab.release(execution, worker, 1, None) };
    lab.apply(release).await;
    assert_eq!(lab.deliver(message).await, Delivery::Duplicate(execution));
    assert_eq!(lab.load(execution).await.inbox, []);
    assert_eq!(lab.claim(worker).await, [], "a duplicate wakes nobody");
}

pub async fn an_inbox_is_read_beyond_a_position<S: Store>(lab: &Lab<S>) {
    let execution = lab.pending("ORD-1").await;
    for _ in 0..5 {
        lab.send(execution).await;
    }
    assert_eq!(positions(lab, execution, 3).await, [4, 5]);
    assert_eq!(positions(lab, execution, 5).await, [0_u64; 0]);
    assert_eq!(positions(lab, lab.execution(), 0).await, [0_u64; 0]);
}

pub async fn what_an_ended_run_has_not_consumed_can_still_be_read<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    let messages = [lab.send(execution).await, lab.send(execution).await, lab.send(execution).await];
    lab.apply(RunCommit { inbox_seen: Some(1), ..lab.end(execution, worker, 1) }).await;
    assert_eq!(lab.inbox(execution).await, [(2, messages[1]), (3, messages[2])]);
    assert_eq!(lab.load(execution).await.inbox.len(), 2);
    assert_eq!(lab.claim(worker).await, [], "nobody has to drive it for that");
}

pub async fn a_sent_message_is_in_the_outbox_until_it_is_known_to_be_delivered<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    let messages: Vec<_> =
        [lab.message(execution), to_run(lab.message(execution), "ORD-2"), lab.message(execution)].into();
    let outbox = messages[..2].to_vec();
    lab.apply(RunCommit { outbox, ..lab.append(execution, worker, 1) }).await;
    lab.apply(RunCommit { outbox: messages[2..].to_vec(), ..lab.append(execution, worker, 2) }).await;
    let expected: Vec<_> = messages.iter().map(|message| (execution, message.clone())).collect();
    assert_eq!(lab.store.outbox(worker, 100).await.unwrap(), expected);
    assert_eq!(lab.store.outbox(worker, 2).await.unwrap(), expected[..2]);
    let sent = vec![messages[1].id];
    lab.apply(RunCommit { sent, ..lab.append(execution, worker, 3) }).await;
    assert_eq!(lab.outbox(worker).await, [messages[0].id, messages[2].id]);
}

pub async fn the_oldest_messages_leave_the_outbox_first<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let (one, two) = (lab.owned("one", worker).await, lab.owned("two", worker).await);
    let mut expected = Vec::new();
    for seq in 1..=4 {
        for execution in [two, one] {
            let message = lab.message(execution);
            expected.push(message.id);
            lab.apply(RunCommit { outbox: vec![message], ..lab.append(execution, worker, seq) }).await;
        }
    }
    assert_eq!(lab.outbox(worker).await, expected);
}

pub async fn the_outbox_of_a_dead_worker_goes_with_its_runs<S: Store>(lab: &Lab<S>) {
    let (dead, living) = (lab.worker().await, lab.worker().await);
    let execution = lab.owned("ORD-1", dead).await;
    let message = lab.message(execution);
    lab.apply(RunCommit { outbox: vec![message.clone()], ..lab.append(execution, dead, 1) }).await;
    assert_eq!(executions(&lab.adopt(dead, living).await), [execution]);
    assert_eq!(lab.outbox(living).await, [message.id]);
    lab.apply(RunCommit { sent: vec![message.id], ..lab.append(execution, living, 2) }).await;
    assert_eq!(lab.outbox(living).await, []);
}

pub async fn a_message_of_a_released_run_is_still_to_be_sent<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    let message = lab.message(execution);
    let later = lab.now().await.after(HOUR);
    let release = lab.release(execution, worker, 1, Some(later));
    lab.apply(RunCommit { outbox: vec![message.clone()], ..release }).await;
    assert_eq!(lab.outbox(worker).await, [message.id]);
}

pub async fn a_message_of_an_ended_run_is_still_to_be_sent<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    let message = lab.message(execution);
    lab.apply(RunCommit { outbox: vec![message.clone()], ..lab.end(execution, worker, 1) }).await;
    assert_eq!(lab.outbox(worker).await, [message.id]);
}

pub async fn a_forgotten_message_is_no_longer_to_be_sent<S: Store>(lab: &Lab<S>) {
    let worker = lab.worker().await;
    let (ended, living) = (lab.owned("ORD-1", worker).await, lab.owned("ORD-2", worker).await);
    let messages = [lab.message(living), lab.message(living), lab.message(living)];
    lab.apply(RunCommit { outbox: messages[..2].to_vec(), ..lab.end(ended, worker, 1) }).await;
    lab.apply(RunCommit { outbox: messages[2..].to_vec(), ..lab.append(living, worker, 1) }).await;
    lab.store.forget(vec![messages[2].id, lab.message(living).id, messages[0].id]).await.unwrap();
    assert_eq!(lab.outbox(worker).await, [messages[1].id]);
    lab.store.forget(vec![messages[0].id]).await.unwrap();
    assert_eq!(lab.outbox(worker).await, [messages[1].id]);
}
