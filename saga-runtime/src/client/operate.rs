//! What an operator does to a run without owning it: appends at the head of its journal.
//!
//! The append is the fence: whoever drove the run has its next append refused and drops it. If
//! the run's own worker comes first, the operator looks again and tries again.

use saga_store::wire::{Conclusion, Entry, Record, encode, join_rows, split_rows};
use saga_store::{
    Blob, BuildId, CommitError, CommitOutcome, Delivery, ErrorKind, ExecutionId, LoadedRun, Message, MessageId,
    RunCommit, RunId, RunState, Seq, StateChange, StoreError, Then, Timestamp,
};

use super::{Client, ClientError, Parts, chain};
use crate::machine::farewells;

/// How often an operator's append comes second before it is given up.
const ROUNDS: u32 = 50;

/// How often a store that does not answer is asked again.
const OUTAGE_ROUNDS: u32 = 5;

/// What to append.
pub(super) struct Append {
    pub(super) entries: Vec<Entry>,
    pub(super) change: StateChange,
    pub(super) then: Then,
}

impl Append {
    /// Ends the run.
    pub(super) fn end(conclusion: Conclusion) -> Self {
        let change = StateChange { state: RunState::of(&conclusion), conclusion: Some(encode(&conclusion)) };
        Self { entries: vec![Entry::Concluded(conclusion)], change, then: Then::End }
    }
}

/// Lets a run be taken up at once by whoever drives it, also where messages wait for it: an
/// operator never stays the owner.
pub(super) fn release(now: Timestamp) -> Then {
    Then::Release { wake_at: Some(now), not_build: Some(BuildId("an operator's".into())) }
}

/// Whether the journal says that the run has ended.
pub(super) fn conclusion(records: &[Record]) -> Option<&Conclusion> {
    match records.last()?.entries.last()? {
        Entry::Concluded(conclusion) => Some(conclusion),
        _ => None,
    }
}

/// Which execution an operator means.
#[derive(Debug, Clone)]
pub(super) enum Subject {
    /// The newest of the run.
    Run,
    /// This one, or the one in which it goes on.
    Execution(ExecutionId),
}

/// The journal of a run, as an operator reads it. The next execution of one that goes on is waited
/// for; if it never comes, that one is what there is.
pub(super) async fn read(
    parts: &Parts,
    id: &RunId,
    subject: &Subject,
) -> Result<(LoadedRun, Vec<Record>), ClientError> {
    let none = || ClientError::NoRun { id: id.clone() };
    let execution = match subject {
        Subject::Run => parts.store.get(id).await?.ok_or_else(none)?.execution,
        Subject::Execution(execution) => *execution,
    };
    let execution = match chain::settled(parts, id, execution).await {
        Ok(view) => view.execution,
        Err(ClientError::GoesOn { .. }) => chain::last(parts, id, execution).await?.execution,
        Err(error) => return Err(error),
    };
    let run = parts.store.load(&[execution]).await?.pop().ok_or_else(none)?;
    let records =
        join_rows(&run.journal).map_err(|error| ClientError::Unreadable { id: id.clone(), why: error.to_string() })?;
    Ok((run, records))
}

/// Appends to a run what `decide` makes of its journal. Reads the journal once a try.
pub(super) async fn append(
    client: &Client,
    id: &RunId,
    subject: &Subject,
    mut decide: impl FnMut(&[Record]) -> Result<Append, ClientError>,
) -> Result<ExecutionId, ClientError> {
    let parts = &client.parts;
    for round in 0..ROUNDS {
        let (run, records) = read(parts, id, subject).await?;
        let execution = run.view.execution;
        let Append { entries, change, then } = decide(&records)?;
        let now = parts.clock.now();
        let outbox = match entries.last() {
            Some(Entry::Concluded(conclusion)) => farewells(execution, &records, conclusion, now),
            _ => Vec::new(),
        };
        let record = Record::new(now, entries);
        let drop_here = parts.worker.as_ref().and_then(|worker| worker.driver(execution));
        let place = Place { execution, seq: Seq(run.journal.len() as u64) };
        match commit(parts, place, &[record], Vec::new(), outbox.clone(), change, then).await? {
            CommitOutcome::Applied(_) => {
                send(parts, outbox).await;
                if let Some(drop_here) = drop_here {
                    drop_here();
                }
                match chain::next_of(&run.view)? {
                    // It went on after all, in the last moment.
                    Some(next) if parts.store.get_execution(next).await?.is_some() => {}
                    _ => return Ok(execution),
                }
            }
            CommitOutcome::Refused { .. } => chain::pause(&*parts.clock, round).await,
            CommitOutcome::Rejected(why) => return Err(ClientError::Rejected { id: id.clone(), why }),
        }
    }
    Err(ClientError::Busy { id: id.clone() })
}

/// Where an operator's records go.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) execution: ExecutionId,
    pub(super) seq: Seq,
}

/// Commits records; one that gets no answer is sent again unchanged.
pub(super) async fn commit(
    parts: &Parts,
    place: Place,
    records: &[Record],
    blobs: Vec<Blob>,
    outbox: Vec<Message>,
    change: StateChange,
    then: Then,
) -> Result<CommitOutcome, ClientError> {
    let mut commits = vec![RunCommit {
        execution: place.execution,
        owner: parts.entropy.incarnation(parts.clock.now()),
        seq: place.seq,
        nonce: parts.entropy.nonce(),
        rows: records.iter().flat_map(|record| split_rows(record.to_bytes())).collect(),
        blobs,
        inbox_seen: None,
        outbox,
        sent: Vec::new(),
        change: Some(change),
        status: None,
        then,
        tx: None,
    }];
    let mut round = 0;
    loop {
        match parts.store.commit(commits).await {
            Ok(mut answers) => return answers.pop().ok_or_else(|| unanswered().into()),
            Err(CommitError { error, commits: again }) if error.is_retryable() && round < OUTAGE_ROUNDS => {
                commits = again;
                round += 1;
                chain::pause(&*parts.clock, round * 5).await;
            }
            Err(CommitError { error, .. }) => return Err(error.into()),
        }
    }
}

/// Sends what a durable record says. What cannot be sent now, or not to where it says, is in the
/// outbox, for any worker.
async fn send(parts: &Parts, messages: Vec<Message>) {
    if messages.is_empty() {
        return;
    }
    let ids: Vec<MessageId> = messages.iter().map(|message| message.id).collect();
    match parts.mail().put(messages).await {
        Ok(answers) => {
            let mut sent = Vec::new();
            for (id, answer) in ids.into_iter().zip(answers) {
                let there = match answer {
                    Delivery::New(_) | Delivery::Duplicate(_) | Delivery::NoRun => true,
                    // It may have gone on.
                    Delivery::Ended(execution) => parts
                        .store
                        .get_execution(execution)
                        .await
                        .is_ok_and(|view| view.is_none_or(|view| view.state != RunState::Continued)),
                };
                sent.extend(there.then_some(id));
            }
            if let Err(error) = parts.store.forget(sent).await {
                tracing::debug!(%error, "delivered messages cannot be forgotten now");
            }
        }
        Err(error) => tracing::warn!(%error, "who is to know of the end of the run cannot be told now"),
    }
}

fn unanswered() -> StoreError {
    StoreError::new(ErrorKind::Bug, "the store answered a commit with nothing; report this")
}
