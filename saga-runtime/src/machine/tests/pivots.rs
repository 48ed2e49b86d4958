//! A cancel beside a point of no return, live and from each prefix of the journal.

use std::sync::Arc;

use saga_store::message::{CancelRequest, MessageBody};
use saga_store::wire::{Conclusion, Entry, FailureKind, Payload, Record, RunStarted};
use saga_store::{ExecutionId, RunId};

use super::super::{AttemptStart, Identity, Machine};
use super::all_ready;
use super::{at, step, undo_step};
use crate::activity::{Activity, ActivityDefinition, AttemptEnd, AttemptFailure};
use crate::classify::Class;
use crate::prelude::*;
use crate::workflow::Workflow;

#[activity(pivot)]
async fn seal() -> crate::Result<()> {
    Ok(())
}

#[workflow]
async fn sealed() -> crate::Result<()> {
    step(1).await?;
    seal().await?;
    step(2).await?;
    Ok(())
}

fn resolve(name: &str) -> Option<&'static ActivityDefinition> {
    [step::definition(), undo_step::definition(), seal::definition()]
        .into_iter()
        .find(|definition| definition.name == name)
}

fn replay(records: &[Record]) -> Machine {
    let identity = Identity {
        memo: None,
        encoder: crate::codec::Encoder::default(),
        id: RunId::new("test").unwrap(),
        execution: ExecutionId::from_bytes([7; 16]),
        workflow: sealed::NAME.into(),
        resolve: Arc::new(resolve),
        workflows: Arc::new(|_, _| None),
    };
    Machine::replay(Arc::new(identity), sealed::definition(), records).unwrap()
}

fn start() -> Record {
    let started = RunStarted {
        workflow: sealed::NAME.to_owned(),
        version: 1,
        id: "test".to_owned(),
        input: Payload::json("{}"),
        seed: 42,
        terms: None,
        parent: None,
    };
    Record::new(at(0), vec![Entry::Started(Box::new(started))])
}

fn cancel() -> MessageBody {
    MessageBody::Cancel(CancelRequest { reason: Some("no longer wanted".to_owned()) })
}

/// Lets the run go on to its end. `seals` are the ends of the pivot's attempts; the cancel comes
/// when so many of them have begun, and the last of them is under way.
fn go_on(mut records: Vec<Record>, mut seals: Vec<AttemptEnd>, cancel_at: Option<usize>) -> Vec<Record> {
    let mut machine = replay(&records);
    let (mut second, mut begun) = (100 * i64::try_from(records.len()).unwrap(), 0);
    let mut open: Vec<AttemptStart> = Vec::new();
    loop {
        second += 1;
        for abort in machine.take_aborts() {
            open.retain(|attempt| attempt.key != abort);
            machine.stopped(&abort);
        }
        if machine.needs_commit() {
            let turn = machine.take_turn(|| at(second));
            records.push(Record::new(turn.at, turn.entries));
        }
        if machine.has_ended() {
            return records;
        }
        open.extend(all_ready(&mut machine));
        let Some(attempt) = open.pop() else {
            second = second.max(machine.next_due().expect("something is due").as_micros() / 1_000_000 + 1);
            machine.fire(at(second));
            continue;
        };
        let end = if attempt.definition.name == seal::NAME && !attempt.key.undo {
            begun += 1;
            if cancel_at == Some(begun) {
                machine.receive(cancel(), at(second));
            }
            if seals.is_empty() { Ok(Payload::json("null")) } else { seals.remove(0) }
        } else {
            Ok(Payload::json(if attempt.key.undo { "null" } else { "1" }))
        };
        machine.attempt_ended(&attempt.key, end, at(second), 0.5);
    }
}

fn failure(class: Class) -> AttemptEnd {
    Err(AttemptFailure::engine(FailureKind::TimedOut, class, "chosen to fail"))
}

fn conclusion(records: &[Record]) -> Conclusion {
    match records.last().and_then(|record| record.entries.last()) {
        Some(Entry::Concluded(conclusion)) => conclusion.clone(),
        other => panic!("the run has not ended: {other:?}"),
    }
}

fn undone(records: &[Record]) -> usize {
    let entries = records.iter().flat_map(|record| &record.entries);
    entries.filter(|entry| matches!(entry, Entry::UndoEnded(..))).count()
}

/// The same end from each prefix: what is cut off happens again.
fn same_from_each_prefix(records: &[Record], seals: &[AttemptEnd], expected: impl Fn(&Conclusion) -> bool) {
    let ended = |record: &Record| record.entries.iter().any(|entry| matches!(entry, Entry::CancelRequested(_)));
    for cut in 1..records.len() {
        let kept = &records[..cut];
        let cancel_at = (!kept.iter().any(ended)).then_some(1);
        let failed = kept.iter().flat_map(|record| &record.entries);
        let failed = failed.filter(|entry| matches!(entry, Entry::Attempted(_) | Entry::StepFailed(_))).count();
        let passed = kept.iter().flat_map(|record| &record.entries).any(
            |entry| matches!(entry, Entry::StepEnded(ended) if ended.op == saga_store::wire::OpId::root().child(1)),
        );
        let cancel_at = cancel_at.filter(|_| !passed);
        let again = go_on(kept.to_vec(), seals[failed.min(seals.len())..].to_vec(), cancel_at);
        let conclusion = conclusion(&again);
        assert!(expected(&conclusion), "cut after {cut}: {conclusion:?}");
        assert_eq!(undone(&again), undone(records), "cut after {cut}");
    }
}

#[test]
fn a_cancel_while_the_pivot_is_under_way_is_refused_when_it_succeeds() {
    let records = go_on(vec![start()], Vec::new(), Some(1));
    assert!(matches!(conclusion(&records), Conclusion::Completed(_)));
    same_from_each_prefix(&records, &[], |end| matches!(end, Conclusion::Completed(_)));
}

#[test]
fn a_cancel_while_the_pivot_is_under_way_holds_when_it_fails() {
    let seals = [failure(Class::Permanent)];
    let records = go_on(vec![start()], seals.to_vec(), Some(1));
    assert!(matches!(conclusion(&records), Conclusion::Cancelled(_)));
    assert_eq!(undone(&records), 1);
    same_from_each_prefix(&records, &seals, |end| matches!(end, Conclusion::Cancelled(_)));
}

#[test]
fn a_cancel_between_attempts_that_did_nothing_holds_at_once() {
    let nothing = Class::Transient { no_effect: true, retry_after: None };
    let records = go_on(vec![start()], vec![failure(nothing)], Some(1));
    assert!(matches!(conclusion(&records), Conclusion::Cancelled(_)));
    assert_eq!(undone(&records), 1);
}

#[test]
fn a_cancel_while_the_outcome_of_the_pivot_is_unknown_waits_for_it() {
    let seals = [failure(Class::TRANSIENT), failure(Class::TRANSIENT)];
    let records = go_on(vec![start()], seals.to_vec(), Some(2));
    assert!(matches!(conclusion(&records), Conclusion::Completed(_)));
    assert_eq!(undone(&records), 0);
    same_from_each_prefix(&records, &seals, |end| matches!(end, Conclusion::Completed(_)));
}

#[test]
fn a_pivot_is_attempted_until_its_outcome_is_known() {
    let seals = vec![failure(Class::TRANSIENT); 20];
    let records = go_on(vec![start()], seals, None);
    assert!(matches!(conclusion(&records), Conclusion::Completed(_)));
}

#[test]
fn a_pivot_that_surely_did_nothing_is_out_of_attempts_like_any_step() {
    let nothing = Class::Transient { no_effect: true, retry_after: None };
    let records = go_on(vec![start()], vec![failure(nothing); 20], None);
    assert!(matches!(conclusion(&records), Conclusion::Failed { .. }));
    assert_eq!(undone(&records), 1);
}
