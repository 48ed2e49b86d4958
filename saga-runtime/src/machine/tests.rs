//! A run replays to the same operations, whatever the order in which its attempts ended.

mod interleavings;
mod pivots;
mod taken_up;
mod wide;

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use saga_store::wire::{Entry, OpId, Payload, Record, RunStarted};
use saga_store::{ExecutionId, RunId, Timestamp};

use super::{AttemptStart, Identity, Machine};
use crate::activity::{ActivityDefinition, AttemptFailure, UndoKind};
use crate::classify::Class;
use crate::prelude::*;
use crate::seldom::Empty;
use crate::workflow::Workflow;

/// All attempts that a machine would start now.
fn all_ready(machine: &mut Machine) -> impl Iterator<Item = AttemptStart> {
    std::iter::from_fn(|| machine.dispatch())
}

#[activity(compensate = undo_step(number))]
async fn step(number: u32) -> crate::Result<u32> {
    Ok(number)
}

#[activity]
async fn undo_step(number: u32) -> crate::Result<()> {
    let _ = number;
    Ok(())
}

/// Branches of their own lengths, whose later steps depend on what earlier ones gave.
#[workflow]
async fn branches(lengths: Vec<u32>) -> crate::Result<u64> {
    let first = side_effect(|| 1_u64).await;
    let (sum, _) = join!(join_all(lengths.into_iter().map(branch)), async {
        sleep(std::time::Duration::from_secs(5)).await;
        step(random::<u32>()).await
    })
    .await;
    select! {
        _ = branch(2) => {},
        _ = async { branch(1).await?; sleep(std::time::Duration::from_secs(50)).await; Ok::<_, crate::Error>(()) } => {},
    }
    let tried = attempt(async {
        let (left, right) = join!(branch(2), branch(1)).await;
        left?;
        right?;
        select! {
            _ = branch(1) => {},
            _ = branch(3) => {},
        }
        Err::<(), _>(crate::Error::msg("fails"))
    });
    let nothing_done = attempt(async {
        attempt(async { Err::<(), _>(crate::Error::msg("fails")) }).await.unwrap_err();
        select! {
            failed = attempt(async { sleep(std::time::Duration::ZERO).await; Err::<(), _>(crate::Error::msg("fails")) }) => failed,
            _ = step(9) => Err(crate::Error::msg("fails")),
        }
    });
    let (tried, nothing_done, eight) = join!(tried, nothing_done, step(8)).await;
    tried.unwrap_err();
    nothing_done.unwrap_err();
    eight?;
    let _ = try_join!(branch(2), async {
        step(7).await?;
        Err::<(), _>(crate::Error::msg("fails"))
    })
    .await;
    undo(undo_step(4));
    let mut total = first;
    for branch in sum {
        total += branch?;
    }
    Ok(total)
}

#[durable]
async fn branch(length: u32) -> crate::Result<u64> {
    let mut sum = 0;
    for number in 0..length {
        sum += u64::from(step(number).await?);
    }
    Ok(sum)
}

fn resolve(name: &str) -> Option<&'static ActivityDefinition> {
    [step::definition(), undo_step::definition()].into_iter().find(|definition| definition.name == name)
}

use crate::activity::Activity;

fn identity() -> Arc<Identity> {
    Arc::new(Identity {
        memo: None,
        encoder: crate::codec::Encoder::default(),
        id: RunId::new("test").unwrap(),
        execution: ExecutionId::from_bytes([7; 16]),
        workflow: branches::NAME.into(),
        resolve: Arc::new(resolve),
        workflows: Arc::new(|_, _| None),
    })
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000)
}

fn start(lengths: &[u32]) -> Record {
    let input = serde_json::json!({ "lengths": lengths }).to_string();
    let started = RunStarted {
        workflow: branches::NAME.to_owned(),
        version: 1,
        id: "test".to_owned(),
        input: Payload::json(input),
        seed: 42,
        terms: None,
        parent: None,
    };
    Record::new(at(0), vec![Entry::Started(Box::new(started))])
}

fn replay(records: &[Record]) -> Machine {
    Machine::replay(identity(), branches::definition(), records).unwrap()
}

/// Runs to the end; `choose` picks which of the open attempts ends next, and whether it fails.
fn run(lengths: &[u32], mut choose: impl FnMut(usize) -> (usize, bool)) -> (Vec<Record>, Vec<BTreeSet<OpId>>) {
    let mut records = vec![start(lengths)];
    let mut open_after = Vec::new();
    let mut machine = replay(&records);
    let mut open: Vec<AttemptStart> = Vec::new();
    let mut second = 0;
    loop {
        for abort in machine.take_aborts() {
            open.retain(|attempt| attempt.key != abort);
            machine.stopped(&abort);
        }
        if machine.needs_commit() {
            let turn = machine.take_turn(|| at(second));
            records.push(Record::new(turn.at, turn.entries));
            open.extend(all_ready(&mut machine));
            open_after.push(open.iter().map(|attempt| attempt.key.op.clone()).collect());
        }
        if machine.has_ended() {
            return (records, open_after);
        }
        second += 1;
        open.extend(all_ready(&mut machine));
        if open.is_empty() || second % 7 == 0 {
            second = second.max(machine.next_due().map_or(0, |due| due.as_micros() / 1_000_000 + 1));
            machine.fire(at(second));
            continue;
        }
        let (pick, fails) = choose(open.len());
        let attempt = open.swap_remove(pick % open.len());
        let end = if fails {
            Err(AttemptFailure::engine(saga_store::wire::FailureKind::TimedOut, Class::Permanent, "chosen to fail"))
        } else if attempt.key.undo {
            Ok(Payload::json("null"))
        } else {
            let input: serde_json::Value = serde_json::from_slice(attempt.input.inline().unwrap()).unwrap();
            Ok(Payload::json(input["number"].to_string()))
        };
        machine.attempt_ended(&attempt.key, end, at(second), 0.5);
    }
}

proptest! {
    #[test]
    fn each_prefix_of_a_journal_replays_to_the_operations_that_were_open(
        lengths in prop::collection::vec(0_u32..4, 0..5),
        order in prop::collection::vec((0_usize..100, prop::bool::weighted(0.05)), 1..60),
    ) {
        let mut next = 0;
        let (records, open_after) = run(&lengths, |_| {
            let choice = order[next % order.len()];
            next += 1;
            // No failure while undoing: a permanent one would end the run as dead.
            (choice.0, choice.1 && next < order.len())
        });
        for (index, open) in open_after.iter().enumerate() {
            let mut machine = replay(&records[..index + 2]);
            prop_assert!(!machine.needs_commit() || machine.is_undoing(), "a replay decided something new at {index}");
            let again: BTreeSet<OpId> = all_ready(&mut machine).map(|start| start.key.op).collect();
            let missing: Vec<_> = open.difference(&again).collect();
            prop_assert!(missing.is_empty(), "record {index}: not taken up again: {missing:?}, but {again:?}");
        }
    }

    #[test]
    fn every_order_of_completions_gives_the_same_result(
        lengths in prop::collection::vec(0_u32..4, 0..5),
        order in prop::collection::vec(0_usize..100, 1..60),
    ) {
        let mut next = 0;
        let (records, _) = run(&lengths, |_| {
            next += 1;
            (order[next % order.len()], false)
        });
        let expected: u64 = 1 + lengths.iter().map(|length| u64::from(length * length.saturating_sub(1) / 2)).sum::<u64>();
        let last = records.last().and_then(|record| record.entries.last()).cloned();
        let Some(Entry::Concluded(saga_store::wire::Conclusion::Completed(output))) = last else {
            return Err(TestCaseError::fail(format!("{last:?}")));
        };
        prop_assert_eq!(output, Payload::json(expected.to_string()));
    }
}

#[test]
fn an_undo_from_input_is_in_the_record_of_the_schedule() {
    assert_eq!(step::UNDO, UndoKind::FromInput);
    let mut machine = replay(&[start(&[1])]);
    let turn = machine.take_turn(|| at(1));
    let undoable = turn.entries.iter().filter(
        |entry| matches!(entry, Entry::StepScheduled(step) if step.undo != saga_store::wire::UndoPlan::Nothing),
    );
    assert_eq!(undoable.count(), 1);
}

#[test]
fn what_a_run_has_nothing_of_is_as_a_new_one() {
    fn check<T: Empty + std::fmt::Debug>() {
        assert_eq!(format!("{:?}", T::empty()), format!("{:?}", T::default()));
    }
    check::<super::undo::UndoLog>();
    check::<super::orphans::Orphans>();
    check::<super::timers::Timers>();
    check::<super::children::Children>();
}
