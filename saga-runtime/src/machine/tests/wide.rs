//! What a run with many things at once does for each arrival: as much as one with few.

use std::sync::Arc;

use saga_store::message::{CancelRequest, MessageBody};
use saga_store::wire::{
    ChildEnd, ChildEnded, Completion, CompletionEnd, Conclusion, Entry, FailureKind, Payload, Record, RunStarted,
};
use saga_store::{ExecutionId, RunId};

use super::super::{AttemptStart, Identity, Machine};
use super::all_ready;
use super::{at, step, undo_step};
use crate::activity::{Activity, ActivityDefinition, AttemptFailure, Later, later};
use crate::classify::Class;
use crate::few::LOOKED;
use crate::prelude::*;
use crate::workflow::{Workflow, WorkflowDefinition};

/// So many things at once.
const WIDTH: u32 = 1_000;

#[activity(later)]
async fn answered(#[context] cx: &ActivityContext, number: u32) -> crate::Result<Later<u32>> {
    let _ = (cx.token(), number);
    Ok(Later::new())
}

#[activity(queue = "far")]
async fn far(number: u32) -> crate::Result<u32> {
    Ok(number)
}

#[workflow]
async fn all() -> crate::Result<()> {
    for done in join_all((0..WIDTH).map(step)).await {
        done?;
    }
    Ok(())
}

#[workflow]
async fn limited() -> crate::Result<()> {
    for done in for_each_concurrent(WIDTH as usize, 0..WIDTH, step).await {
        done?;
    }
    Ok(())
}

#[workflow]
async fn until_one_fails() -> crate::Result<()> {
    if try_join_all((0..WIDTH).map(step)).await.is_err() {
        step(0).await?;
    }
    Ok(())
}

#[workflow]
async fn nested() -> crate::Result<()> {
    join_all((0..WIDTH).map(|number| {
        attempt(async move {
            step(number).await?;
            Err::<(), _>(crate::Error::msg("fails"))
        })
    }))
    .await;
    Ok(())
}

#[workflow]
async fn all_answered() -> crate::Result<()> {
    for done in join_all((0..WIDTH).map(answered)).await {
        done?;
    }
    Ok(())
}

#[workflow]
async fn all_far() -> crate::Result<()> {
    for done in join_all((0..WIDTH).map(far)).await {
        done?;
    }
    Ok(())
}

#[workflow]
async fn naps() -> crate::Result<()> {
    join_all((0..WIDTH).map(|number| sleep(std::time::Duration::from_secs(u64::from(number) + 1)))).await;
    Ok(())
}

fn resolve(name: &str) -> Option<&'static ActivityDefinition> {
    [step::definition(), undo_step::definition(), answered::definition(), far::definition()]
        .into_iter()
        .find(|definition| definition.name == name)
}

fn replay(definition: &'static WorkflowDefinition, records: &[Record]) -> Machine {
    let identity = Identity {
        memo: None,
        encoder: crate::codec::Encoder::default(),
        id: RunId::new("test").unwrap(),
        execution: ExecutionId::from_bytes([7; 16]),
        workflow: definition.name.into(),
        resolve: Arc::new(resolve),
        workflows: Arc::new(|_, _| None),
    };
    Machine::replay(Arc::new(identity), definition, records).unwrap()
}

/// What befalls the run beside the ends of its attempts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kind,
    /// The attempt that ends in the middle fails.
    OneFails,
    /// It is cancelled in the middle.
    Cancelled,
}

/// Runs to the end, with a commit after each arrival, and then replays it.
fn looked_at(definition: &'static WorkflowDefinition, fate: Fate) -> (Conclusion, u64) {
    let started = RunStarted {
        workflow: definition.name.to_owned(),
        version: 1,
        id: "test".to_owned(),
        input: Payload::json("{}"),
        seed: 42,
        terms: None,
        parent: None,
    };
    let mut records = vec![Record::new(at(0), vec![Entry::Started(Box::new(started))])];
    let before = LOOKED.get();
    let mut machine = replay(definition, &records);
    let (mut open, mut second, mut ended): (Vec<AttemptStart>, i64, u32) = (Vec::new(), 0, 0);
    let mut mail: Vec<MessageBody> = Vec::new();
    while !machine.has_ended() {
        second += 1;
        for abort in machine.take_aborts() {
            machine.stopped(&abort);
        }
        if machine.needs_commit() {
            let turn = machine.take_turn(|| at(second));
            for entry in &turn.entries {
                match entry {
                    Entry::StepScheduled(far) if far.errand.is_some() => {
                        let end = ChildEnd::Completed(Payload::json("1"));
                        mail.push(MessageBody::ChildEnded(ChildEnded { op: far.op.clone(), end, undo: None }));
                    }
                    Entry::Deferred(op, _) => mail.push(MessageBody::StepCompleted(Completion {
                        op: op.clone(),
                        activity: answered::NAME.to_owned(),
                        end: CompletionEnd::Returned(Payload::json("1")),
                        attempt: None,
                    })),
                    _ => {}
                }
            }
            records.push(Record::new(turn.at, turn.entries));
        }
        open.extend(all_ready(&mut machine));
        // What a driver asks before it waits.
        let _ = (machine.is_dormant(), machine.awaits_children(), machine.awaits_token(), machine.awaits_events());
        if fate == Fate::Cancelled && ended == WIDTH / 2 {
            machine.receive(MessageBody::Cancel(CancelRequest { reason: None }), at(second));
        }
        ended += 1;
        if let Some(attempt) = open.pop() {
            let deferred = attempt.definition.name == answered::NAME;
            let end = if fate == Fate::OneFails && ended == WIDTH / 2 {
                Err(AttemptFailure::engine(FailureKind::TimedOut, Class::Permanent, "chosen to fail"))
            } else if deferred {
                Ok(later())
            } else {
                Ok(Payload::json(if attempt.key.undo { "null" } else { "1" }))
            };
            machine.attempt_ended(&attempt.key, end, at(second), 0.5);
        } else if let Some(message) = mail.pop() {
            machine.receive(message, at(second));
        } else {
            machine.fire(at(second));
        }
    }
    let turn = machine.take_turn(|| at(second));
    let Some(Entry::Concluded(conclusion)) = turn.entries.last().cloned() else { panic!("it did not end: {turn:?}") };
    records.push(Record::new(turn.at, turn.entries));
    assert!(replay(definition, &records).has_ended());
    // Half of the way, all that was open is taken up.
    let _ = replay(definition, &records[..records.len() / 2]);
    (conclusion, LOOKED.get() - before)
}

/// A workflow, what befalls it, and what it comes to.
type Case = (&'static WorkflowDefinition, Fate, fn(&Conclusion) -> bool);

#[test]
fn what_is_done_for_an_arrival_does_not_grow_with_what_is_open() {
    let completed = |conclusion: &Conclusion| matches!(conclusion, Conclusion::Completed(_));
    let cancelled = |conclusion: &Conclusion| matches!(conclusion, Conclusion::Cancelled(_));
    let failed = |conclusion: &Conclusion| matches!(conclusion, Conclusion::Failed { .. });
    let cases: [Case; 10] = [
        (all::definition(), Fate::Kind, completed),
        (all::definition(), Fate::OneFails, failed),
        (all::definition(), Fate::Cancelled, cancelled),
        (limited::definition(), Fate::Kind, completed),
        (until_one_fails::definition(), Fate::OneFails, completed),
        (nested::definition(), Fate::Kind, completed),
        (all_answered::definition(), Fate::Kind, completed),
        (all_far::definition(), Fate::Kind, completed),
        (naps::definition(), Fate::Kind, completed),
        (naps::definition(), Fate::Cancelled, cancelled),
    ];
    for (definition, fate, expected) in cases {
        let (conclusion, looked) = looked_at(definition, fate);
        assert!(expected(&conclusion), "`{}`: {conclusion:?}", definition.name);
        let each = looked / u64::from(WIDTH);
        assert!(each < 20, "`{}` looked at {each} entries for each of its {WIDTH}", definition.name);
    }
}
