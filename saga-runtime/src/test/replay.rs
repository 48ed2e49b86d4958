//! A stored history through today's code, with no store.

use std::fmt;
use std::sync::Arc;

use saga_store::wire::{Conclusion, Entry, Record, UndoCause};
use saga_store::{ExecutionId, RunId, Timestamp};

use crate::history::{History, HistoryError, describe};
use crate::machine::{Identity, Machine};
use crate::registry::Registry;
use crate::workflow::{Workflow, WorkflowDefinition};

/// What a history that today's code can continue came to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replayed {
    /// How many records were fed.
    pub records: usize,
    /// Whether the workflow's code has ended with them.
    pub ended: bool,
}

/// Why today's code cannot continue a history: at which record, what it says there, and what the
/// code does instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayMismatch {
    position: Option<usize>,
    message: String,
}

impl ReplayMismatch {
    /// The number of the record that does not match, from 0; none if nothing could be replayed.
    pub fn position(&self) -> Option<usize> {
        self.position
    }

    fn before(message: impl fmt::Display) -> Self {
        Self { position: None, message: message.to_string() }
    }
}

impl fmt::Display for ReplayMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ReplayMismatch {}

impl From<HistoryError> for ReplayMismatch {
    fn from(error: HistoryError) -> Self {
        Self::before(error)
    }
}

/// Runs an exported history ([`History::export`]) through the code of the workflow of this name
/// that is linked into the program, of the version that the history names. Nothing is called and
/// nothing is stored.
///
/// The workflow's own decisions are checked to its end: also those of a run that failed or was
/// cancelled, up to where its undo began, since undoing goes by the journal alone.
pub fn replay(workflow: &str, history_json: &str) -> Result<Replayed, ReplayMismatch> {
    let history = History::import(history_json)?;
    let registry = Registry::linked();
    let Some(definition) = registry.workflow(workflow, history.version) else {
        let version = history.version;
        return Err(ReplayMismatch::before(format!("no workflow `{workflow}` of version {version} is linked in")));
    };
    check(definition, &history)
}

/// The same with the workflow named as a type: `replay_of::<order_saga>(json)`.
pub fn replay_of<W: Workflow>(history_json: &str) -> Result<Replayed, ReplayMismatch> {
    let history = History::import(history_json)?;
    if history.version != W::VERSION {
        let (recorded, version) = (history.version, W::VERSION);
        return Err(ReplayMismatch::before(format!(
            "the history is of version {recorded} of `{}`, this is version {version}",
            W::NAME
        )));
    }
    check(W::definition(), &history)
}

/// How the recorded code ended.
enum Recorded {
    /// It has not, or nothing is said about it.
    Open,
    Cancelled,
    Completed,
    Continued,
    Failed(String),
}

/// The run's execution, as the names of its children tell it; without children it does not matter.
fn execution_of(records: &[Record]) -> ExecutionId {
    let entries = records.iter().flat_map(|record| &record.entries);
    let mut told = entries.filter_map(|entry| match entry {
        Entry::ChildScheduled(child) => child.id.strip_suffix(&format!("/{}", child.op))?.parse().ok(),
        _ => None,
    });
    told.next().map_or(ExecutionId::from_bytes([0; 16]), ExecutionId::from_uuid)
}

fn check(definition: &'static WorkflowDefinition, history: &History) -> Result<Replayed, ReplayMismatch> {
    if history.workflow != definition.name {
        let (recorded, name) = (&history.workflow, definition.name);
        return Err(ReplayMismatch::before(format!("the history is of workflow `{recorded}`, not of `{name}`")));
    }
    let (records, end) = forward(&history.records);
    let registry = Registry::linked();
    let identity = Identity {
        memo: None,
        encoder: crate::codec::Encoder::default(),
        id: RunId::new(&history.run).map_err(ReplayMismatch::before)?,
        execution: execution_of(&records),
        workflow: history.workflow.as_str().into(),
        resolve: Arc::new(move |name: &str| registry.activity(name, "memory")),
        workflows: Arc::new(|_, _| None),
    };
    let mut machine = Machine::replay(Arc::new(identity), definition, &records)
        .map_err(|error| ReplayMismatch { position: error.record, message: error.to_string() })?;
    let decided = machine.take_turn(|| Timestamp::from_micros(0)).entries;
    let ended = decided.iter().find(|entry| is_end(entry));
    let replayed = Replayed { records: records.len(), ended: ended.is_some() };
    let (position, entry, recorded) = match end {
        Some((position, entry, recorded)) => (position, Some(entry), recorded),
        None => (records.len(), None, Recorded::Open),
    };
    let matches = match (&recorded, ended) {
        (Recorded::Open, _)
        | (Recorded::Cancelled, None | Some(Entry::UndoBegan(UndoCause::Cancelled(_))))
        | (Recorded::Completed, Some(Entry::Concluded(Conclusion::Completed(_))))
        | (Recorded::Continued, Some(Entry::Concluded(Conclusion::Continued { .. }))) => true,
        (Recorded::Failed(recorded), Some(Entry::UndoBegan(UndoCause::Failed { message, .. }))) => recorded == message,
        _ => false,
    };
    if matches {
        return Ok(replayed);
    }
    let recorded = entry.map(describe).unwrap_or_default();
    let now = match ended.or_else(|| decided.first()) {
        Some(entry) => describe(entry),
        None => "the code still waits".to_owned(),
    };
    let workflow = &history.workflow;
    Err(ReplayMismatch {
        position: Some(position),
        message: format!(
            "replay of `{workflow}` does not match its journal at record {position}: recorded \"{recorded}\", \
             now \"{now}\""
        ),
    })
}

fn is_end(entry: &Entry) -> bool {
    matches!(entry, Entry::UndoBegan(_) | Entry::Concluded(_))
}

/// The part of a journal that the workflow's code made, and how it ended, with its place.
fn forward(records: &[Record]) -> (Vec<Record>, Option<(usize, &Entry, Recorded)>) {
    let mut kept = Vec::new();
    for (number, record) in records.iter().enumerate() {
        let Some(at) = record.entries.iter().position(is_end) else {
            kept.push(record.clone());
            continue;
        };
        if at > 0 {
            kept.push(Record::new(record.at(), record.entries[..at].to_vec()));
        }
        let entry = &record.entries[at];
        let recorded = match entry {
            Entry::UndoBegan(UndoCause::Failed { message, .. }) => Recorded::Failed(message.clone()),
            Entry::UndoBegan(UndoCause::Cancelled(_)) => Recorded::Cancelled,
            Entry::Concluded(Conclusion::Completed(_)) => Recorded::Completed,
            Entry::Concluded(Conclusion::Continued { .. }) => Recorded::Continued,
            // A dead run is there to be mended: its code may do something else now.
            _ => Recorded::Open,
        };
        return (kept, Some((number, entry, recorded)));
    }
    (kept, None)
}
