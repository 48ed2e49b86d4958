//! A transactional attempt: its writes, its schedule and its end are one record and one commit.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use saga_store::wire::{Entry, FailureKind, Payload, Record, StepEnded, UndoStep, split_rows};
use saga_store::{Applied, CommitOutcome, RunCommit, Timestamp, TxVerdict};

use super::attempt;
use super::driver::{Driver, Parting};
use crate::activity::{AttemptEnd, AttemptFailure, Code, TxJob, panicked};
use crate::classify::Class;
use crate::codec::Encoder;
use crate::externalize::externalize;
use crate::machine::{AttemptStart, Turn};

/// What an attempt left behind for its driver.
struct TxEnd {
    ended: AttemptEnd,
    undo: Option<Box<UndoStep>>,
    rows: u64,
}

impl Driver {
    /// Commits a transactional attempt, together with the turn that scheduled it if there is one.
    pub(super) async fn commit_transaction(&mut self, turn: Option<Turn>, start: AttemptStart) -> Option<Parting> {
        let Code::Transaction { pack, .. } = start.definition.code else { return None };
        let at = turn.as_ref().map_or_else(|| self.shared.clock.now(), |turn| turn.at);
        let (mut entries, status) = turn.map(|turn| (turn.entries, turn.status)).unwrap_or_default();
        let mut blobs = externalize(&mut entries, &self.shared.entropy, at);
        let status = self.status(status, at, &mut blobs);
        let rows = match entries.as_slice() {
            [] => Vec::new(),
            _ => split_rows(Record::new(at, entries.clone()).to_bytes()),
        };
        let schedule_rows = rows.len() as u64;
        let schedule =
            RunCommit { rows: rows.clone(), blobs: blobs.clone(), status: status.clone(), ..self.empty_commit() };
        if schedule_rows > 1 {
            // The attempt's record replaces one row; a schedule of several goes first, alone.
            let outcome = self.submit(schedule).await;
            if let Some(parting) = self.acknowledged(outcome, schedule_rows, None, false) {
                return Some(parting);
            }
            return Box::pin(self.commit_transaction(None, start)).await;
        }
        let left: Arc<Mutex<Option<TxEnd>>> = Arc::default();
        let needed = self.machine.undo_needs_output(&start.key).then_some(self.shared.environment.common.encoder);
        let mut finish = finisher(Arc::clone(&left), start.clone(), needed, at, entries);
        let context = attempt::context(&self.scope, &start, None);
        if let Some(stage) = self.shared.environment.stage.clone() {
            // A test has no transaction: the record of the attempt's end takes its place.
            let attempt = AssertUnwindSafe(stage.attempt(start.definition, context, start.input.clone()));
            let ended = attempt.catch_unwind().await.unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
            let rows = match finish(ended) {
                TxVerdict::Keep(record) => split_rows(record),
                TxVerdict::RollBack => rows,
            };
            let outcome = if rows.is_empty() {
                Some(CommitOutcome::Applied(Applied::default()))
            } else {
                self.submit(RunCommit { rows, blobs, ..self.empty_commit() }).await
            };
            return self.transaction_ended(outcome, &left, start, schedule_rows, schedule, at).await;
        }
        let tx = pack(TxJob { input: start.input.clone(), context, finish: Box::new(finish) });
        let outcome = self.submit(RunCommit { rows, blobs, status, tx: Some(tx), ..self.empty_commit() }).await;
        self.transaction_ended(outcome, &left, start, schedule_rows, schedule, at).await
    }

    /// Feeds what a transactional attempt left behind.
    async fn transaction_ended(
        &mut self,
        outcome: Option<CommitOutcome>,
        left: &Mutex<Option<TxEnd>>,
        start: AttemptStart,
        schedule_rows: u64,
        schedule: RunCommit,
        at: Timestamp,
    ) -> Option<Parting> {
        let left = left.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (outcome, left) {
            (Some(CommitOutcome::Applied(applied)), Some(TxEnd { ended: Ok(output), undo, rows })) => {
                let parting = self.acknowledged(Some(CommitOutcome::Applied(applied)), rows, None, false);
                self.fed(|machine, _| machine.transaction_kept(&start.key, output, undo.as_deref(), at));
                parting
            }
            (Some(CommitOutcome::Applied(applied)), Some(TxEnd { ended: Err(failure), .. })) => {
                let parting = self.acknowledged(Some(CommitOutcome::Applied(applied)), schedule_rows, None, false);
                self.arrived.push((start.key, Err(failure)));
                parting
            }
            // Applied before, its answer lost: the journal knows what became of it.
            (Some(CommitOutcome::Applied(_)), None) => Some(Parting::Reload),
            (Some(CommitOutcome::Rejected(why)), _) => {
                // The store undid the writes: the schedule still has to be recorded.
                if schedule_rows > 0 {
                    let outcome = self.submit(schedule).await;
                    if let Some(parting) = self.acknowledged(outcome, schedule_rows, None, false) {
                        return Some(parting);
                    }
                }
                let message = format!("the store did not take the writes of `{}`: {why}", start.definition.name);
                let class = Class::Transient { no_effect: true, retry_after: None };
                self.arrived.push((start.key, Err(AttemptFailure::engine(FailureKind::Payload, class, message))));
                None
            }
            (outcome, _) => self.acknowledged(outcome, 0, None, false),
        }
    }
}

/// Decides, inside the transaction, whether its writes stay, and writes the record that says so.
fn finisher(
    left: Arc<Mutex<Option<TxEnd>>>,
    start: AttemptStart,
    needs_output: Option<Encoder>,
    at: Timestamp,
    schedule: Vec<Entry>,
) -> impl FnMut(AttemptEnd) -> TxVerdict + Send {
    move |ended| {
        let undo = match (&ended, needs_output) {
            (Ok(output), Some(encoder)) => start.definition.undo_for(&start.input, output, encoder),
            _ => Ok(None),
        };
        let (ended, undo) = match undo {
            Ok(undo) => (ended, undo),
            Err(error) => {
                let message = format!("the undo of `{}` cannot be recorded: {error}", start.definition.name);
                (Err(AttemptFailure::engine(FailureKind::Payload, Class::Permanent, message)), None)
            }
        };
        let (verdict, rows) = match &ended {
            Ok(output) => {
                let entry = end_entry(&start, output.clone(), undo.clone());
                let record = Record::new(at, schedule.iter().cloned().chain([entry]).collect()).to_bytes();
                let rows = split_rows(record.clone()).len() as u64;
                (TxVerdict::Keep(record), rows)
            }
            Err(_) => (TxVerdict::RollBack, 0),
        };
        *left.lock().unwrap_or_else(PoisonError::into_inner) = Some(TxEnd { ended, undo, rows });
        verdict
    }
}

pub(super) fn end_entry(start: &AttemptStart, output: Payload, undo: Option<Box<UndoStep>>) -> Entry {
    let op = start.key.op.clone();
    if start.key.undo {
        Entry::UndoEnded(op, start.attempt)
    } else {
        Entry::StepEnded(StepEnded { op, attempt: start.attempt, output, undo })
    }
}
