//! A run that is taken up from a worker that died between two attempts, or within the second.

use saga_store::message::{CancelRequest, MessageBody};
use saga_store::wire::{Conclusion, Entry, FailureKind, Payload, Record};

use super::super::Machine;
use super::all_ready;
use super::{at, replay, start};
use crate::activity::AttemptFailure;
use crate::classify::Class;

fn commit(machine: &mut Machine, records: &mut Vec<Record>, second: i64) {
    let turn = machine.take_turn(|| at(second));
    records.push(Record::new(turn.at, turn.entries));
}

/// A step whose first attempt surely did nothing, and whose second one is due at once.
fn between_attempts() -> Vec<Record> {
    let mut records = vec![start(&[])];
    let mut machine = replay(&records);
    commit(&mut machine, &mut records, 1);
    machine.fire(at(6));
    commit(&mut machine, &mut records, 6);
    let attempt = machine.dispatch().expect("the step after the sleep is ready");
    let nothing = Class::Transient { no_effect: true, retry_after: Some(std::time::Duration::from_secs(10)) };
    let failure = AttemptFailure::engine(FailureKind::TimedOut, nothing, "chosen to fail");
    machine.attempt_ended(&attempt.key, Err(failure), at(6), 0.5);
    commit(&mut machine, &mut records, 6);
    records
}

/// What is undone after a cancel that comes at this moment.
fn undone_after_a_cancel_at(second: i64) -> (usize, bool) {
    let mut records = between_attempts();
    let mut machine = replay(&records);
    machine.receive(MessageBody::Cancel(CancelRequest { reason: None }), at(second));
    commit(&mut machine, &mut records, second);
    let undos: Vec<_> = all_ready(&mut machine).filter(|start| start.key.undo).collect();
    for undo in &undos {
        machine.attempt_ended(&undo.key, Ok(Payload::json("null")), at(second), 0.5);
        commit(&mut machine, &mut records, second);
    }
    let last = records.last().and_then(|record| record.entries.last()).cloned();
    (undos.len(), matches!(last, Some(Entry::Concluded(Conclusion::Cancelled(_)))))
}

#[test]
fn an_attempt_that_had_its_time_before_the_run_was_taken_up_may_have_been_made() {
    assert_eq!(undone_after_a_cancel_at(16), (1, true), "the worker before may have made the second attempt");
}

#[test]
fn an_attempt_whose_time_has_not_come_was_not_made() {
    assert_eq!(undone_after_a_cancel_at(15), (0, true));
}
