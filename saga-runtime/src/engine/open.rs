//! Attempts within transactions that are sessions of the store: the code runs like any other
//! attempt, and the record of its end is the last statement of its transaction.
//!
//! The turn that schedules such a step is held back while nothing else happens in the run, and
//! then shares the record of the step's end: one row a step. Whatever else comes (a message, a
//! timer, another step's end, or too long a time) commits it by itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use saga_store::wire::{Claimed, Entry, FailureKind, Payload, Record, StepScheduled, UndoStep, split_rows};
use saga_store::{
    Applied, CommitOutcome, Nonce, OpenTx, RunCommit, Seq, Timestamp, Transacted, TxLimits, TxOutcome, TxStep,
};

use super::attempt::{AttemptEnvironment, AttemptRun, context};
use super::driver::{Driver, Parting};
use super::transaction::end_entry;
use crate::activity::{AsyncTxJob, AttemptEnd, AttemptFailure, Lifeline};
use crate::classify::Class;
use crate::erased::BoxFuture;
use crate::externalize::externalize;
use crate::few::FewMap;
use crate::layer::timed_out;
use crate::machine::{AttemptStart, TaskKey, Turn};

/// How long a schedule is held back. It is invisible, and its time is the record's, for so long.
const HOLD: Duration = Duration::from_millis(500);

/// An activity's name that is longer is counted in with what makes a record long.
const LONG_NAME: usize = 1024;

/// How often in a row an attempt gives way to other transactions before that is its failure.
const MOST_CONFLICTS: u32 = 20;

/// The first wait and the longest one of an attempt that gave way, and of a store that is away.
const CONFLICT_PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));
const OUTAGE_PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));

/// A transaction that waits for its record.
struct OpenStep {
    tx: Box<dyn OpenTx>,
    start: AttemptStart,
}

/// The transactions of one run that wait for their records.
#[derive(Default)]
pub(crate) struct OpenSteps {
    steps: Mutex<FewMap<TaskKey, OpenStep>>,
}

impl OpenSteps {
    fn put(&self, step: OpenStep) {
        self.lock().insert(step.start.key.clone(), step);
    }

    fn take(&self, key: &TaskKey) -> Option<OpenStep> {
        self.lock().remove(key)
    }

    pub(super) fn has(&self, key: &TaskKey) -> bool {
        self.lock().contains_key(key)
    }

    /// Undoes what an attempt that is no longer wanted has written.
    pub(super) fn abort(&self, key: &TaskKey) {
        drop(self.take(key));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, FewMap<TaskKey, OpenStep>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AttemptEnvironment {
    /// Makes an attempt within a transaction. If it succeeds that is left open, with the run.
    /// An outage of the store and conflicts with other transactions are no failures of it.
    pub(super) async fn in_transaction(
        &self,
        run: &AttemptRun,
        start: &AttemptStart,
        pack: fn(AsyncTxJob) -> TxStep,
    ) -> AttemptEnd {
        let (mut conflicts, mut outages) = (0, 0);
        loop {
            let left: Arc<Mutex<Option<AttemptEnd>>> = Arc::default();
            let step = pack(self.job(run, start, Arc::clone(&left)));
            let transacted = self.store.transact(step, TxLimits { statement: start.timeout }).await;
            let ended = left.lock().unwrap_or_else(PoisonError::into_inner).take();
            let pause = match transacted {
                Ok(Transacted::Open(tx)) => {
                    if matches!(ended, Some(Ok(_))) {
                        run.open.put(OpenStep { tx, start: start.clone() });
                    }
                    return ended.unwrap_or_else(|| Err(lost_end(start)));
                }
                Ok(Transacted::RolledBack) => return ended.unwrap_or_else(|| Err(lost_end(start))),
                Ok(Transacted::Conflict(why)) if conflicts >= MOST_CONFLICTS => return Err(too_many(start, &why)),
                Ok(Transacted::Conflict(_)) => {
                    conflicts += 1;
                    pause(CONFLICT_PAUSES, conflicts)
                }
                Ok(Transacted::TimedOut(why)) => {
                    let message = format!("`{}` timed out: {why}", start.definition.name);
                    return Err(AttemptFailure::engine(FailureKind::TimedOut, Class::TRANSIENT, message));
                }
                Ok(Transacted::Rejected(why)) => return Err(refused(start, &why, Class::Permanent)),
                Err(error) if error.is_retryable() => {
                    outages += 1;
                    let retry_in = pause(OUTAGE_PAUSES, outages);
                    tracing::warn!(%error, activity = start.definition.name, ?retry_in, "an attempt lost its transaction; it is made again");
                    retry_in
                }
                Err(error) => return Err(refused(start, &error.to_string(), Class::Permanent)),
            };
            let clock = &self.common.clock;
            clock.sleep_until(clock.now().after(pause)).await;
        }
    }

    fn job(&self, run: &AttemptRun, start: &AttemptStart, left: Arc<Mutex<Option<AttemptEnd>>>) -> AsyncTxJob {
        let (clock, of) = (Arc::clone(&self.common.clock), start.clone());
        AsyncTxJob {
            input: start.input.clone(),
            context: context(&run.scope, start, None),
            limit: Box::new(move || {
                let over = clock.sleep_until(clock.now().after(of.timeout));
                Box::pin(async move {
                    over.await;
                    timed_out(of.definition.name, of.timeout, of.default_timeout)
                })
            }),
            finish: Box::new(move |ended| *left.lock().unwrap_or_else(PoisonError::into_inner) = Some(ended)),
        }
    }
}

/// A turn that is taken and not committed.
struct Held {
    at: Timestamp,
    entries: Vec<Entry>,
    status: Option<Payload>,
}

impl Held {
    /// Whether its record may be longer than a row. Most are the schedule of one step, which are
    /// not: payloads that are large are kept beside the journal.
    fn may_be_long(&self) -> bool {
        match &self.entries[..] {
            [Entry::StepScheduled(StepScheduled { activity, errand: None, at_call: None, .. })] => {
                activity.len() > LONG_NAME || self.status.is_some()
            }
            _ => true,
        }
    }
}

impl Driver {
    /// Makes the attempt that a turn schedules, and commits both together if nothing else
    /// happens meanwhile.
    pub(super) fn hold(&mut self, turn: Turn, start: AttemptStart) -> BoxFuture<'_, Option<Parting>> {
        let held = Held { at: turn.at, entries: turn.entries, status: turn.status };
        let key = start.key.clone();
        let (lifeline, attempt) = self.begin(start, false);
        Box::pin(self.hold_back(held, key, lifeline, attempt))
    }

    async fn hold_back(
        &mut self,
        held: Held,
        key: TaskKey,
        lifeline: Arc<Lifeline>,
        mut attempt: BoxFuture<'static, AttemptEnd>,
    ) -> Option<Parting> {
        if held.may_be_long() && self.schedule(&held).rows.len() > 1 {
            let parting = Box::pin(self.commit_schedule(&held)).await;
            self.attempts.start(key, true, lifeline, attempt);
            return parting;
        }
        let clock = Arc::clone(&self.shared.clock);
        let latest = clock.now().after(HOLD);
        let timer = clock.sleep_until(self.machine.next_due().map_or(latest, |due| due.min(latest)));
        let ended = tokio::select! {
            biased;
            ended = &mut attempt => Some(ended),
            done = self.attempts.next() => {
                self.arrived.push(done);
                None
            }
            () = self.mailbox.raised() => {
                // It is looked at once the schedule is committed.
                self.mailbox.wake();
                None
            }
            () = timer => None,
        };
        let open = self.run.as_ref().and_then(|run| run.open.take(&key));
        match (ended, open) {
            (Some(Ok(output)), Some(open)) => self.commit_open(open, output, Some(held)).await,
            (Some(ended), _) => {
                let parting = Box::pin(self.commit_schedule(&held)).await;
                self.arrived.push((key, ended));
                parting
            }
            (None, _) => {
                let parting = Box::pin(self.commit_schedule(&held)).await;
                if parting.is_none() {
                    self.attempts.start(key, true, lifeline, attempt);
                }
                parting
            }
        }
    }

    /// Whether a transaction waits for its record.
    pub(super) fn has_open(&self) -> bool {
        self.arrived.iter().any(|(key, _)| self.is_open(key))
    }

    /// Commits one transaction that waits for its record, if there is one. Its decisions are to
    /// be committed before anything else is fed.
    pub(super) async fn settle(&mut self) -> Option<Option<Parting>> {
        let at = self.arrived.iter().position(|(key, _)| self.is_open(key))?;
        let (key, ended) = self.arrived.remove(at);
        let open = self.run.as_ref()?.open.take(&key)?;
        if !self.machine.awaits(&key) {
            return Some(None);
        }
        let Ok(output) = ended else { return Some(None) };
        Some(self.commit_open(open, output, None).await)
    }

    async fn commit_open(&mut self, open: OpenStep, output: Payload, held: Option<Held>) -> Option<Parting> {
        let OpenStep { tx, start } = open;
        let undo = if self.machine.undo_needs_output(&start.key) {
            start.definition.undo_for(&start.input, &output, self.shared.environment.common.encoder)
        } else {
            Ok(None)
        };
        let undo = match undo {
            Ok(undo) => undo,
            Err(error) => {
                drop(tx);
                let message = format!("the undo of `{}` cannot be recorded: {error}", start.definition.name);
                let failure = AttemptFailure::engine(FailureKind::Payload, Class::Permanent, message);
                return Box::pin(self.failed(&start, failure, held)).await;
            }
        };
        let at = held.as_ref().map_or_else(|| self.shared.clock.now(), |held| held.at);
        let before = held.iter().flat_map(|held| held.entries.iter().cloned());
        let entries = before.chain([end_entry(&start, output.clone(), undo.clone())]).collect();
        let status = held.as_ref().and_then(|held| held.status.clone());
        let commit = self.commit_of(at, entries, status);
        let kept = Kept { start, output, undo, at, seq: commit.seq, nonce: commit.nonce, rows: commit.rows.len() };
        let mut committing = tx.commit(commit);
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = &mut committing => break outcome,
                done = self.attempts.next() => self.arrived.push(done),
            }
        };
        match outcome {
            TxOutcome::Applied => self.kept(kept),
            TxOutcome::Refused { head } => {
                self.shared.counts.refused_commits.add(1);
                self.acknowledged(Some(CommitOutcome::Refused { head }), 0, None, false)
            }
            TxOutcome::Conflict(why) => {
                self.conflicts += 1;
                if self.conflicts > MOST_CONFLICTS {
                    self.conflicts = 0;
                    let failure = too_many(&kept.start, &why);
                    return Box::pin(self.failed(&kept.start, failure, held)).await;
                }
                Box::pin(self.again(kept.start, held)).await
            }
            TxOutcome::Rejected(why) => {
                let failure = refused(&kept.start, &why, Class::Permanent);
                Box::pin(self.failed(&kept.start, failure, held)).await
            }
            TxOutcome::Unknown(error) => {
                tracing::warn!(%error, run = %self.scope.id, "a transaction got no answer; whether it is applied is found out");
                Box::pin(self.find_out(kept, held)).await
            }
        }
    }

    fn kept(&mut self, kept: Kept) -> Option<Parting> {
        self.conflicts = 0;
        let applied = CommitOutcome::Applied(Applied::default());
        let parting = self.acknowledged(Some(applied), kept.rows as u64, None, false);
        self.fed(|machine, _| machine.transaction_kept(&kept.start.key, kept.output, kept.undo.as_deref(), kept.at));
        parting
    }

    /// Appends a record where that of the transaction belongs: either it was there before, or it
    /// never will be.
    async fn find_out(&mut self, kept: Kept, held: Option<Held>) -> Option<Parting> {
        let commit = match &held {
            Some(held) => self.schedule(held),
            None => {
                let claimed = Entry::Claimed(Claimed::noted(self.membership.incarnation().to_string()));
                self.commit_of(self.shared.clock.now(), vec![claimed], None)
            }
        };
        let rows = commit.rows.len() as u64;
        let outcome = self.submit(commit).await;
        if matches!(outcome, Some(CommitOutcome::Refused { .. })) && self.nonce_at(kept.seq).await == Some(kept.nonce) {
            return self.kept(kept);
        }
        let applied = matches!(outcome, Some(CommitOutcome::Applied(_)));
        let parting = self.acknowledged(outcome, rows, None, false);
        if applied && parting.is_none() {
            return self.again(kept.start, None).await;
        }
        parting
    }

    /// The mark of a row; an outage is waited out.
    async fn nonce_at(&mut self, seq: Seq) -> Option<Nonce> {
        let clock = Arc::clone(&self.shared.clock);
        for outages in 1.. {
            match self.shared.store.load(&[self.execution]).await {
                Ok(loaded) => return loaded.first()?.journal.iter().find(|row| row.seq == seq).map(|row| row.nonce),
                Err(error) if error.is_retryable() => {
                    clock.sleep_until(clock.now().after(pause(OUTAGE_PAUSES, outages))).await;
                }
                Err(error) => {
                    tracing::error!(%error, run = %self.scope.id, "the journal cannot be read");
                    break;
                }
            }
        }
        None
    }

    /// Makes the same attempt once more: what it did is undone.
    async fn again(&mut self, start: AttemptStart, held: Option<Held>) -> Option<Parting> {
        if let Some(held) = held
            && let Some(parting) = self.commit_schedule(&held).await
        {
            return Some(parting);
        }
        let key = start.key.clone();
        let (lifeline, attempt) = self.begin(start, false);
        self.attempts.start(key, true, lifeline, attempt);
        None
    }

    async fn failed(&mut self, start: &AttemptStart, failure: AttemptFailure, held: Option<Held>) -> Option<Parting> {
        let parting = match &held {
            Some(held) => self.commit_schedule(held).await,
            None => None,
        };
        self.arrived.push((start.key.clone(), Err(failure)));
        parting
    }

    async fn commit_schedule(&mut self, held: &Held) -> Option<Parting> {
        let commit = self.schedule(held);
        let rows = commit.rows.len() as u64;
        let outcome = self.submit(commit).await;
        self.acknowledged(outcome, rows, None, false)
    }

    fn schedule(&self, held: &Held) -> RunCommit {
        self.commit_of(held.at, held.entries.clone(), held.status.clone())
    }

    fn commit_of(&self, at: Timestamp, mut entries: Vec<Entry>, status: Option<Payload>) -> RunCommit {
        let mut blobs = externalize(&mut entries, &self.shared.entropy, at);
        let status = self.status(status, at, &mut blobs);
        RunCommit { rows: split_rows(Record::new(at, entries).to_bytes()), blobs, status, ..self.empty_commit() }
    }
}

/// An attempt whose transaction is to be committed, and by which row that can be seen.
struct Kept {
    start: AttemptStart,
    output: Payload,
    undo: Option<Box<UndoStep>>,
    at: Timestamp,
    seq: Seq,
    nonce: Nonce,
    rows: usize,
}

fn pause((first, most): (Duration, Duration), count: u32) -> Duration {
    (first * 2_u32.saturating_pow(count.min(16) - 1)).min(most)
}

fn refused(start: &AttemptStart, why: &str, class: Class) -> AttemptFailure {
    let message = format!("the store did not take the writes of `{}`: {why}", start.definition.name);
    AttemptFailure::engine(FailureKind::Payload, class, message)
}

fn too_many(start: &AttemptStart, why: &str) -> AttemptFailure {
    let message =
        format!("its transaction was undone and made again {MOST_CONFLICTS} times, at last because of this: {why}");
    refused(start, &message, Class::Transient { no_effect: true, retry_after: None })
}

fn lost_end(start: &AttemptStart) -> AttemptFailure {
    refused(start, "its end is lost; report this", Class::Permanent)
}
