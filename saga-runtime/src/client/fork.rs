//! A new execution that begins with a part of another one's journal.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, IntoFuture};
use std::pin::Pin;

use saga_store::wire::{ChildEnd, Conclusion, Entry, OpId, Record, RunStarted, RunTerms, UndoPlan};
use saga_store::{
    Blob, CommitOutcome, ExecutionId, LoadedRun, NewRun, OnExisting, RunId, RunState, Seq, Started, StateChange,
    Timestamp,
};

use super::operate::{self, Place, Subject};
use super::{Client, ClientError, repair, start};
use crate::built_in;
use crate::derive;
use crate::externalize::{externalize, internalize};

/// A new execution about to be made: await it. See [`Client::fork`].
#[must_use = "an execution is made when this is awaited: add `.await`"]
#[derive(Debug)]
pub struct Fork {
    client: Client,
    of: String,
    from: From,
    id: Option<String>,
}

#[derive(Debug)]
enum From {
    Step(String),
    Undone,
}

impl Client {
    /// Makes a new execution of a run that has ended: what it did before this step is taken over,
    /// and from the step on everything is done anew, by the code of today and under new idempotency
    /// keys. Random values are the same, since they derive from the run's seed; its deadline is not
    /// taken over. It has the same id, or another ([`Fork::id`]).
    ///
    /// Steps are named as [`Client::show`] does: `2`, or `4.1.0`. What the run did after the step is
    /// not undone. A step that was under way beside it at that point is attempted again as well.
    /// Refused if a step before it has been undone: the new execution would take for done what is
    /// not.
    ///
    /// Child runs are steps in this: `step` can name one, one that has completed before it is not run
    /// again (and is undone with the new execution, by its own undo), and one that was under way is
    /// started anew as a run of its own, also if the one of before has completed since. So are the runs
    /// that make attempts for queues. A child that the workflow names itself takes the place of the
    /// finished run of that name, if the new execution has the old id; under another id such a name
    /// belongs to another run, and the child is
    /// [`NotStarted`](crate::ChildError::NotStarted). A child that was let go goes on by itself, and is
    /// not started again.
    ///
    /// Costs a read of the journal, a start, and a commit of what is copied. A crash between the two
    /// leaves an execution that does nothing; terminate it, or fork again under another id.
    pub fn fork(&self, id: impl Into<String>, step: impl Into<String>) -> Fork {
        Fork { client: self.clone(), of: id.into(), from: From::Step(step.into()), id: None }
    }

    /// Makes a new execution of a run that failed or was cancelled, from the earliest step that was
    /// undone; if none was, from the last one that failed; else from the beginning. A child run counts
    /// as a step: one that was undone is run again, one that failed is where it begins. See
    /// [`Client::fork`].
    ///
    /// ```no_run
    /// # async fn example(client: saga_runtime::Client) -> Result<(), saga_runtime::ClientError> {
    /// // The payment service is back:
    /// let execution = client.retry("ORD-1").await?;
    /// # Ok(()) }
    /// ```
    pub fn retry(&self, id: impl Into<String>) -> Fork {
        Fork { client: self.clone(), of: id.into(), from: From::Undone, id: None }
    }
}

impl Fork {
    /// Gives the new execution an id of its own: a run of that id must not exist.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    async fn make(self) -> Result<ExecutionId, ClientError> {
        let of = RunId::new(&self.of)?;
        let parts = &self.client.parts;
        let view = self.client.get(&self.of).await?;
        if built_in::definition(&view.workflow).is_some() {
            let why = "it works for another run, which is the one to fork or to retry".to_owned();
            return Err(ClientError::NotPossible { id: of, why });
        }
        let (run, mut records) = operate::read(parts, &of, &Subject::Run).await?;
        internalize(&*parts.store, run.view.execution, &mut records).await?;
        let Some(conclusion) = operate::conclusion(&records) else { return Err(ClientError::IsLive { id: of }) };
        let history = History::of(&records, conclusion);
        let cut = match &self.from {
            From::Step(text) => history.at(&of, &repair::step(&of, text)?)?,
            From::Undone => history.earliest_undone(&of, conclusion)?,
        };
        let id = self.id.as_ref().map(RunId::new).transpose()?;
        self.start(run, cut_off(records, cut), id.unwrap_or_else(|| of.clone()), of).await
    }

    async fn start(
        &self,
        run: LoadedRun,
        mut records: Vec<Record>,
        id: RunId,
        of: RunId,
    ) -> Result<ExecutionId, ClientError> {
        let parts = &self.client.parts;
        let now = parts.clock.now();
        let execution = parts.entropy.execution(now);
        renew(&mut records, run.view.execution, execution);
        let rest = records.split_off(1);
        let unreadable = || ClientError::Unreadable { id: of.clone(), why: "its journal has no beginning".to_owned() };
        let mut first = records.pop().ok_or_else(unreadable)?;
        let Some(Entry::Started(started)) = first.entries.first_mut() else { return Err(unreadable()) };
        adopt(started, &id, rest.len(), id == of);
        let input_digest = started.input.inline().map_or(0, |bytes| start::digest(bytes));
        let blobs = externalize(&mut first.entries, &parts.entropy, now);
        let on_existing = if id == of { OnExisting::ReplaceFinished } else { OnExisting::Reject };
        let new = NewRun {
            id: id.clone(),
            execution,
            workflow: run.view.workflow,
            version: run.view.version,
            lane: String::new(),
            priority: 0,
            // Nobody shall take it before the copy is complete.
            not_before: (!rest.is_empty()).then(|| Timestamp::from_micros(i64::MAX / 4)),
            attributes: run.view.attributes,
            memo: run.view.memo,
            input_digest,
            first: first.to_bytes(),
            nonce: parts.entropy.nonce(),
            blobs,
            messages: Vec::new(),
            claim_for: None,
            on_existing,
        };
        match parts.store.start(vec![new]).await?.pop() {
            Some(Started::New) => {}
            Some(Started::Existing { execution: existing, .. }) if existing == execution => {}
            Some(Started::Rejected(why)) => return Err(ClientError::Rejected { id, why }),
            _ => return Err(ClientError::Exists { id }),
        }
        if rest.is_empty() {
            return Ok(execution);
        }
        let (rest, blobs) = self.externalized(rest, now);
        let place = Place { execution, seq: Seq::FIRST.plus(1) };
        let change = StateChange { state: RunState::Running, conclusion: None };
        match operate::commit(parts, place, &rest, blobs, Vec::new(), change, operate::release(now)).await? {
            CommitOutcome::Applied(_) => Ok(execution),
            CommitOutcome::Refused { .. } => Err(ClientError::Busy { id }),
            CommitOutcome::Rejected(why) => Err(ClientError::Rejected { id, why }),
        }
    }

    fn externalized(&self, mut records: Vec<Record>, now: Timestamp) -> (Vec<Record>, Vec<Blob>) {
        let entropy = &self.client.parts.entropy;
        let blobs = records.iter_mut().flat_map(|record| externalize(&mut record.entries, entropy, now)).collect();
        (records, blobs)
    }
}

impl IntoFuture for Fork {
    type Output = Result<ExecutionId, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.make())
    }
}

/// The start of the new execution.
fn adopt(started: &mut RunStarted, id: &RunId, copied: usize, forked: bool) {
    id.as_str().clone_into(&mut started.id);
    let undo_continues = started.terms.as_ref().and_then(|terms| terms.undo_continues);
    let copied = (copied > 0).then_some(copied as u64);
    let terms = RunTerms { copied, undo_continues, forked: forked.then_some(true), ..RunTerms::default() };
    started.terms = (terms != RunTerms::default()).then_some(terms);
}

/// Gives what the copied part has started and not seen the end of, children and steps on queues, ids
/// that follow from the new execution: it starts them for itself, and is told of their ends.
fn renew(records: &mut [Record], of: ExecutionId, execution: ExecutionId) {
    let entries = || records.iter().flat_map(|record| &record.entries);
    // A child that was let go is nobody's any more.
    let over: BTreeSet<OpId> = entries()
        .filter_map(|entry| match entry {
            Entry::StepEnded(ended) => Some(&ended.op),
            Entry::ChildEnded(ended) => Some(&ended.op),
            Entry::ChildDetached(op) => Some(op),
            _ => None,
        })
        .cloned()
        .collect();
    for record in records {
        let at = record.at();
        for entry in &mut record.entries {
            match entry {
                Entry::ChildScheduled(child) if !over.contains(&child.op) => {
                    if let Some(place) = child.id.strip_prefix(&format!("{of}/")) {
                        child.id = format!("{execution}/{place}");
                    }
                    child.execution = derive::child(execution, &child.op, at);
                }
                Entry::StepScheduled(step) if !over.contains(&step.op) => {
                    if let Some(errand) = &mut step.errand {
                        errand.execution = derive::child(execution, &step.op, at);
                        // No execution of a session: it is found nowhere, as a lost one.
                        errand.session.iter_mut().for_each(|session| session.execution = execution);
                    }
                }
                _ => {}
            }
        }
    }
}

/// The first entries of a journal, without takeovers.
fn cut_off(records: Vec<Record>, entries: usize) -> Vec<Record> {
    let mut left = entries;
    let mut kept = Vec::new();
    for mut record in records {
        record.entries.truncate(left);
        left -= record.entries.len();
        record.entries.retain(|entry| !matches!(entry, Entry::Claimed(_) | Entry::Suspended(_) | Entry::Resumed(_)));
        if !record.entries.is_empty() {
            kept.push(record);
        }
    }
    kept
}

/// What a journal says of steps, by the places of its entries.
#[derive(Default)]
struct History {
    scheduled: BTreeMap<OpId, usize>,
    /// Steps that were undone, or whose undo was at least tried; and where that is said last.
    undone: BTreeMap<OpId, usize>,
    /// Where the last step that failed was scheduled.
    last_failed: Option<usize>,
}

impl History {
    fn of(records: &[Record], conclusion: &Conclusion) -> Self {
        let mut history = Self::default();
        let mut undoable = BTreeSet::new();
        let mut undoing = false;
        let mut end = 0;
        for (place, entry) in records.iter().flat_map(|record| &record.entries).enumerate() {
            end = place;
            match entry {
                Entry::StepScheduled(step) => {
                    history.scheduled.insert(step.op.clone(), place);
                    if step.undo != UndoPlan::Nothing {
                        undoable.insert(step.op.clone());
                    }
                }
                Entry::UndoAdded(op, _) => {
                    history.scheduled.insert(op.clone(), place);
                    undoable.insert(op.clone());
                }
                Entry::ChildScheduled(child) => {
                    history.scheduled.insert(child.op.clone(), place);
                    if child.undo != UndoPlan::Nothing {
                        undoable.insert(child.op.clone());
                    }
                }
                Entry::ChildEnded(ended) if !undoing => match &ended.end {
                    ChildEnd::Completed(_) | ChildEnd::Cancelled => {}
                    _ => history.last_failed = history.scheduled.get(&ended.op).copied(),
                },
                Entry::StepFailed(failed) => history.last_failed = history.scheduled.get(&failed.op).copied(),
                Entry::UndoEnded(op, _) => drop(history.undone.insert(op.clone(), place)),
                Entry::UndoFailed(failed) => drop(history.undone.insert(failed.op.clone(), place)),
                Entry::Attempted(attempted) if attempted.undo => {
                    history.undone.insert(attempted.op.clone(), place);
                }
                Entry::UndoBegan(_) => undoing = true,
                _ => {}
            }
        }
        // What an undo that was cut short has done is not known.
        if undoing && matches!(conclusion, Conclusion::Dead { .. } | Conclusion::Terminated(_)) {
            for op in undoable {
                history.undone.entry(op).or_insert(end);
            }
        }
        history
    }

    /// The earliest step before this place that was undone after it.
    fn undone_before(&self, place: usize) -> Option<(&OpId, usize)> {
        let undone_after = self.undone.iter().filter(|(_, at)| **at >= place);
        let scheduled = undone_after.filter_map(|(op, _)| Some((op, *self.scheduled.get(op)?)));
        scheduled.filter(|(_, at)| *at < place).min_by_key(|(_, at)| *at)
    }

    /// The place of a step, if nothing before it was undone.
    fn at(&self, id: &RunId, step: &OpId) -> Result<usize, ClientError> {
        let not_possible = |why: String| ClientError::NotPossible { id: id.clone(), why };
        let Some(place) = self.scheduled.get(step) else {
            return Err(not_possible(format!("the run has no step {step}")));
        };
        match self.undone_before(*place) {
            Some((undone, _)) => Err(not_possible(format!(
                "step {undone}, which comes before step {step}, has been undone; fork from it or from an earlier one"
            ))),
            None => Ok(*place),
        }
    }

    fn earliest_undone(&self, id: &RunId, conclusion: &Conclusion) -> Result<usize, ClientError> {
        if !matches!(conclusion, Conclusion::Failed { .. } | Conclusion::Cancelled(_)) {
            let why = match conclusion {
                Conclusion::Dead { .. } => "the run is dead: repair it".to_owned(),
                _ => format!("the run is {}, not failed: fork it", RunState::of(conclusion)),
            };
            return Err(ClientError::NotPossible { id: id.clone(), why });
        }
        // The first entry is the start.
        let mut place = self.last_failed.unwrap_or(1).max(1);
        while let Some((_, earlier)) = self.undone_before(place) {
            place = earlier;
        }
        Ok(place)
    }
}
