//! One process of the simulation: its clock, its way to the store, and its attempts.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use saga_store::wire::{Entry, FailureKind, Payload, Record, join_rows, split_rows};
use saga_store::{
    Applied, ClaimedRun, CommitError, CommitOutcome, Differences, ErrorKind, ExecutionId, Incarnation, Nonce,
    RunCommit, Seq, StoreError, Then, Timestamp,
};

use super::Bug;
use super::log::Log;
use crate::activity::{ActivityContext, ActivityDefinition, AttemptFailure, AttemptFuture, Code};
use crate::classify::Class;
use crate::clock::Clock;
use crate::erased::BoxFuture;
use crate::layer::Stage;
use crate::memory::MemoryStore;
use crate::memory::hook::{Answer, Hook, Verb};
use crate::test::world::World;
use crate::workflow::WorkflowDefinition;

/// How long a worker's beat holds.
const LEASE: Duration = Duration::from_secs(12);

/// One process. A clone is the same one.
#[derive(Clone)]
pub(super) struct Node(pub(super) Arc<Parts>);

pub(super) struct Parts {
    pub(super) host: u32,
    pub(super) world: World,
    pub(super) log: Log,
    pub(super) store: MemoryStore,
    pub(super) bug: Option<Bug>,
    /// How far this machine's clock is off, in microseconds, until it learns the store's time.
    pub(super) skew: AtomicI64,
    /// How long the process has stood still, for a clock that stands with it.
    pub(super) stood: AtomicI64,
    pub(super) lives: Mutex<Vec<Incarnation>>,
    /// Runs whose claim is undone, and of which nothing has been written here since.
    pub(super) undone: Mutex<BTreeSet<ExecutionId>>,
    /// Until when others leave its runs alone, in the world's own time: from its last good beat.
    pub(super) lease_until: AtomicI64,
}

impl Node {
    fn is(&self, bug: Bug) -> bool {
        self.0.bug == Some(bug)
    }

    /// Whether something happens that happens once in so many times. Never, when all is quiet.
    fn once_in(&self, times: usize) -> bool {
        self.0.log.chance(times)
    }

    async fn wait(&self, longest_millis: usize) {
        let millis = self.0.log.below(longest_millis + 1);
        if millis > 0 && !self.0.log.is_quiet() {
            let moment = self.0.world.time.now().after(Duration::from_millis(millis as u64));
            self.0.world.time.sleep_until(moment).await;
        }
    }

    fn fails(&self, times: usize, what: &str) -> Result<(), StoreError> {
        if self.once_in(times) {
            self.0.log.say(format!("worker {}: the store does not answer {what}", self.0.host));
            return Err(StoreError::new(ErrorKind::Unavailable, "the simulation cut the connection"));
        }
        Ok(())
    }

    /// Writes one commit, as the store does, or as a bug does.
    fn write(&self, mut commit: RunCommit) -> CommitOutcome {
        let (store, execution) = (&self.0.store, commit.execution);
        let journal = store.look(execution).map(|(_, journal)| journal).unwrap_or_default();
        let head = Seq(journal.len() as u64);
        let repeated = journal.iter().any(|row| row.nonce == commit.nonce);
        if self.is(Bug::FenceDropped) && !repeated {
            commit.seq = head;
        }
        if self.is(Bug::AcknowledgedButLost) && self.once_in(20) {
            return CommitOutcome::Applied(Applied::default());
        }
        match &mut commit.then {
            Then::Release { wake_at, .. } if self.is(Bug::ForgottenTimer) => *wake_at = None,
            Then::End if self.is(Bug::HalfCommit) => (commit.then, commit.change) = (Then::Keep, None),
            _ => {}
        }
        if self.is(Bug::OutboxForgotten) {
            commit.outbox.clear();
        }
        let says: Vec<String> = commit
            .rows
            .iter()
            .filter_map(|row| Record::from_bytes(&row.body).ok())
            .flat_map(|record| record.entries.iter().map(crate::history::describe).collect::<Vec<_>>())
            .collect();
        let seq = commit.seq;
        let mut outcome = store.append(vec![commit]).pop().unwrap_or(CommitOutcome::Refused { head: None });
        self.0.log.say(format!("worker {}: {execution} at {seq}: {outcome:?}: {says:?}", self.0.host));
        if let CommitOutcome::Applied(applied) = &mut outcome {
            self.undone().remove(&execution);
            applied.stay &= !self.is(Bug::LostWakeUp);
        }
        self.0.log.look_at(store, execution);
        outcome
    }
}

impl Hook for Node {
    fn enter(&self, verb: Verb) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.wait(20).await;
            if self.once_in(60) {
                self.wait(4_000).await;
            }
            self.fails(40, &format!("{verb:?}"))
        })
    }

    fn loses_hint(&self) -> bool {
        self.once_in(4)
    }

    fn answer(&self, answer: &mut Answer<'_>) {
        match answer {
            Answer::Joined(node) => {
                self.0.lives.lock().unwrap_or_else(PoisonError::into_inner).push(node.incarnation);
                self.hold_lease();
                self.0.log.say(format!("worker {} joins", self.0.host));
            }
            Answer::Claimed(claimed) => {
                let taken = claimed.iter().filter(|claim| claim.taken_over).count();
                if !claimed.is_empty() {
                    let all = claimed.len();
                    self.0.log.say(format!("worker {} takes up {all} runs, {taken} of others", self.0.host));
                }
                if self.is(Bug::NobodyAdopts) {
                    claimed.retain(|claim| !claim.taken_over);
                }
                if self.is(Bug::NobodyReconciles) || self.0.bug.is_none() {
                    self.lose(claimed);
                }
                if self.is(Bug::ClaimTrusted) || self.0.bug.is_none() {
                    self.undo(claimed);
                }
            }
            // Where a bug is looked for, nothing mends what it does.
            Answer::Reconciled(found) if self.0.bug.is_some() => {
                **found = Differences { unread: std::mem::take(&mut found.unread), ..Differences::default() };
            }
            Answer::Reconciled(found) => {
                if **found != Differences::default() {
                    self.0.log.say(format!("worker {} finds {found:?}", self.0.host));
                }
            }
            Answer::Loaded(loaded) if self.is(Bug::StaleJournal) => {
                for run in loaded.iter_mut().filter(|run| run.journal.len() > 1) {
                    run.journal.pop();
                }
            }
            Answer::Beat(beat) => {
                if beat.member {
                    self.hold_lease();
                }
            }
            Answer::Loaded(_) => {}
        }
    }

    fn commit<'a>(
        &'a self,
        _: &'a MemoryStore,
        mut commits: Vec<RunCommit>,
    ) -> BoxFuture<'a, Result<Vec<CommitOutcome>, CommitError>> {
        Box::pin(async move {
            let unknown = |commits| {
                Err(CommitError {
                    error: StoreError::new(ErrorKind::Unavailable, "the simulation cut the connection"),
                    commits,
                })
            };
            if self.is(Bug::AcknowledgedEarly) && commits.iter().all(|commit| commit.then == Then::Keep) {
                let outcomes = commits.iter().map(|_| CommitOutcome::Applied(Applied::default())).collect();
                let node = self.clone();
                self.0.world.tasks.on(self.0.host).spawn(async move {
                    node.wait(30).await;
                    for commit in commits {
                        node.write(commit);
                    }
                });
                return Ok(outcomes);
            }
            self.wait(15).await;
            if self.is(Bug::LostWakeUp) && commits.iter().any(|commit| matches!(commit.then, Then::Release { .. })) {
                // Time for a message to come in between.
                self.wait(8_000).await;
            }
            if self.fails(25, "a commit, which it has not got").is_err() {
                return unknown(commits);
            }
            let half = self.once_in(25);
            if half {
                // Written, but nobody hears so: sent again unchanged, it is recognised.
                self.0.log.say(format!("worker {}: a commit's answer is lost", self.0.host));
                for commit in &commits {
                    self.write(copy(commit));
                }
                if self.is(Bug::NewMarkOnRepeat) {
                    for commit in &mut commits {
                        commit.nonce = Nonce(commit.nonce.0 ^ 1);
                    }
                }
                return unknown(commits);
            }
            if self.is(Bug::SelectInTwoCommits) {
                commits = self.split_selects(commits).await;
            }
            let outcomes = commits.into_iter().map(|commit| self.write(commit)).collect();
            self.wait(15).await;
            Ok(outcomes)
        })
    }
}

fn copy(commit: &RunCommit) -> RunCommit {
    RunCommit {
        execution: commit.execution,
        owner: commit.owner,
        seq: commit.seq,
        nonce: commit.nonce,
        rows: commit.rows.clone(),
        blobs: commit.blobs.clone(),
        inbox_seen: commit.inbox_seen,
        outbox: commit.outbox.clone(),
        sent: commit.sent.clone(),
        change: commit.change.clone(),
        status: commit.status.clone(),
        then: commit.then.clone(),
        tx: None,
    }
}

/// A commit as two: up to the first branch that it drops, and from there on.
fn split_at_drop(commit: &RunCommit) -> Option<(RunCommit, RunCommit)> {
    let bytes: Vec<u8> = commit.rows.iter().flat_map(|row| row.body.iter().copied()).collect();
    let mut record = Record::from_bytes(&bytes).ok()?;
    let at = record.entries.iter().position(|entry| matches!(entry, Entry::Dropped(_))).filter(|at| *at > 0)?;
    let rest = record.entries.split_off(at);
    let second = Record::new(record.at(), rest);
    let rows = split_rows(record.to_bytes());
    let seq = commit.seq.plus(rows.len() as u64);
    let first = RunCommit { rows, outbox: Vec::new(), change: None, then: Then::Keep, ..copy(commit) };
    Some((first, RunCommit { rows: split_rows(second.to_bytes()), seq, ..copy(commit) }))
}

impl Clock for Node {
    fn now(&self) -> Timestamp {
        let micros = self.0.world.time.now().as_micros() + self.0.skew.load(Ordering::Relaxed);
        Timestamp::from_micros(micros)
    }

    fn sleep_until(&self, moment: Timestamp) -> BoxFuture<'static, ()> {
        let moment = self.0.world.time.now().after(moment.since(self.now()));
        Box::pin(self.0.world.time.sleep_until(moment))
    }

    fn elapsed(&self) -> Duration {
        let stood = if self.is(Bug::LeaseStands) { self.0.stood.load(Ordering::Relaxed) } else { 0 };
        Clock::elapsed(&self.0.world).saturating_sub(Duration::from_micros(u64::try_from(stood).unwrap_or(0)))
    }

    fn learn(&self, store_now: Timestamp) {
        let off = store_now.as_micros() - self.0.world.time.now().as_micros();
        self.0.skew.store(off, Ordering::Relaxed);
    }
}

impl Stage for Node {
    fn began(&self, _: &'static WorkflowDefinition) {}

    fn workflow(&self, _: &str, _: u32) -> Option<&'static WorkflowDefinition> {
        None
    }

    fn attempt(
        &self,
        definition: &'static ActivityDefinition,
        context: ActivityContext,
        input: Payload,
    ) -> AttemptFuture {
        let node = self.clone();
        if let Some(broken) = self.too_early(&context) {
            self.0.log.broken(broken);
        }
        let key = context.idempotency_key();
        self.0.log.say(format!("worker {}: attempt {} of `{}` {key}", self.0.host, context.attempt(), definition.name));
        Box::pin(async move {
            node.wait(200).await;
            if node.once_in(12) {
                let class = Class::Transient { no_effect: true, retry_after: None };
                return Err(AttemptFailure::engine(FailureKind::CircuitOpen, class, "not tried"));
            }
            if node.once_in(25) {
                return std::future::pending().await;
            }
            let end = match definition.code {
                Code::Async(code) => code(context, input).await,
                Code::Blocking(code) => code(&context, &input),
                Code::Transaction { .. } | Code::AsyncTransaction { .. } => return std::future::pending().await,
            };
            if node.once_in(15) {
                return Err(AttemptFailure::engine(FailureKind::TimedOut, Class::TRANSIENT, "its answer was lost"));
            }
            node.wait(200).await;
            end
        })
    }
}

impl Node {
    /// The answer to a claim is lost, and the store does not know.
    fn lose(&self, claimed: &mut Vec<ClaimedRun>) {
        if !claimed.is_empty() && self.once_in(20) {
            self.0.log.say(format!("worker {} does not hear which runs it was given", self.0.host));
            claimed.clear();
        }
    }

    /// The store crashes before a claim is on its disk, and the worker does not notice.
    fn undo(&self, claimed: &[ClaimedRun]) {
        for claim in claimed.iter().filter(|claim| !claim.taken_over) {
            if self.once_in(4) {
                self.0.log.say(format!("worker {}: the claim of {} is undone", self.0.host, claim.id));
                self.0.store.undo_claim(claim.execution);
                self.undone().insert(claim.execution);
            }
        }
    }

    fn undone(&self) -> MutexGuard<'_, BTreeSet<ExecutionId>> {
        self.0.undone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what a select drops in a second commit, some time after the first; gives what is left
    /// to be written.
    async fn split_selects(&self, commits: Vec<RunCommit>) -> Vec<RunCommit> {
        let mut left = Vec::with_capacity(commits.len());
        for commit in commits {
            match split_at_drop(&commit) {
                Some((first, second)) => {
                    self.write(first);
                    self.wait(8_000).await;
                    left.push(second);
                }
                None => left.push(commit),
            }
        }
        left
    }

    fn hold_lease(&self) {
        let until = self.0.world.time.now().after(LEASE);
        self.0.lease_until.store(until.as_micros(), Ordering::Relaxed);
    }

    /// Which rule this attempt breaks by beginning now.
    fn too_early(&self, context: &ActivityContext) -> Option<String> {
        let (owner, journal) = self.0.store.look(context.execution())?;
        let (op, key, host) = (context.op(), context.idempotency_key(), self.0.host);
        let lives = self.0.lives.lock().unwrap_or_else(PoisonError::into_inner);
        // One that beats again after a silence may lose its runs all the same: whoever takes them has
        // judged before. It learns so at its next beat, and the fence refuses it till then.
        let holds = self.0.world.time.now().as_micros() < self.0.lease_until.load(Ordering::Relaxed);
        if !owner.is_some_and(|owner| lives.contains(&owner)) {
            if self.undone().contains(&context.execution()) {
                return Some(format!("rule 8: worker {host} begins an attempt of {key}, and its claim was undone"));
            }
            return (!holds)
                .then(|| format!("rule 8: worker {host} begins an attempt of {key}, and the run is another's"));
        }
        let records = join_rows(&journal).ok()?;
        let mut entries = records.iter().flat_map(|record| &record.entries);
        if context.is_undo() {
            return entries
                .any(|entry| matches!(entry, Entry::UndoEnded(ended, _) if ended == op))
                .then(|| format!("rule 6: an attempt of {key} begins, and that is undone already"));
        }
        let scheduled = entries.clone().any(|entry| matches!(entry, Entry::StepScheduled(step) if step.op == *op));
        if !scheduled {
            return Some(format!("rule 1: an attempt of {key} begins before its record is durable"));
        }
        let ended = entries.any(|entry| matches!(entry, Entry::StepEnded(step) if step.op == *op));
        ended.then(|| format!("rule 1: an attempt of {key} begins, and its end is journalled already"))
    }
}
