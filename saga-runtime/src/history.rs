//! A run's journal outside of its store: as lines to read, and as JSON and back.

use std::fmt;

use saga_store::Timestamp;
use saga_store::wire::{
    ChildEnd, Conclusion, Entry, Failure, Payload, Recipient, Record, Relayed, Repair, RunStarted, UndoCause, UndoPlan,
    UndoStep,
};
use serde::{Deserialize, Serialize};

use crate::codec::{self, Codec};
use crate::hex;

/// A run's journal, away from its store. [`RunDetails::history`](crate::RunDetails::history) gives
/// it; [`History::export`] turns it into JSON that can be kept with the tests, and `replay`
/// (feature `test`) runs such a file through today's code.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct History {
    /// The run's name.
    pub run: String,
    /// Its workflow's durable name.
    pub workflow: String,
    /// Its workflow's version.
    pub version: u32,
    /// What the journal says, large payloads included.
    pub records: Vec<Record>,
}

/// The form of the file. Each record is there twice: in words, for whoever reads it, and as the
/// journal's own bytes, which are what counts and whose format old builds and new ones share.
#[derive(Serialize, Deserialize)]
struct File {
    history: u32,
    run: String,
    workflow: String,
    version: u32,
    records: Vec<FileRecord>,
}

#[derive(Serialize, Deserialize)]
struct FileRecord {
    at: String,
    says: Vec<String>,
    cbor: String,
}

const FILE_FORMAT: u32 = 1;

/// Payloads longer than this are cut where they are shown.
const SHOWN: usize = 160;

/// A text that is no exported history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryError(String);

impl fmt::Display for HistoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for HistoryError {}

impl History {
    /// The journal of a run, from its records.
    pub(crate) fn of(records: Vec<Record>) -> Result<Self, HistoryError> {
        let first = records.first().and_then(|record| record.entries.first());
        let Some(Entry::Started(started)) = first else {
            return Err(HistoryError("the journal does not begin with the start of a run".to_owned()));
        };
        let RunStarted { workflow, version, id, .. } = &**started;
        Ok(Self { run: id.clone(), workflow: workflow.clone(), version: *version, records })
    }

    /// The history as JSON: one record after another, each in words and as the journal's bytes.
    /// The same history gives the same text.
    ///
    /// It holds the run's inputs and outputs: mind where it is kept.
    pub fn export(&self) -> String {
        let record = |record: &Record| FileRecord {
            at: record.at().to_string(),
            says: record.entries.iter().map(describe).collect(),
            cbor: hex::to_text(&record.to_bytes()),
        };
        let file = File {
            history: FILE_FORMAT,
            run: self.run.clone(),
            workflow: self.workflow.clone(),
            version: self.version,
            records: self.records.iter().map(record).collect(),
        };
        match serde_json::to_string_pretty(&file) {
            Ok(text) => text + "\n",
            Err(error) => unreachable!("strings and numbers are always JSON: {error}"),
        }
    }

    /// The history that [`export`](Self::export) gave. What it says in words is not read.
    pub fn import(json: &str) -> Result<Self, HistoryError> {
        let wrong = |why: String| HistoryError(format!("not an exported history: {why}"));
        let file: File = serde_json::from_str(json).map_err(|error| wrong(error.to_string()))?;
        if file.history != FILE_FORMAT {
            return Err(wrong(format!("its format is {}, this build reads {FILE_FORMAT}", file.history)));
        }
        let records = file.records.iter().enumerate().map(|(number, record)| {
            let bytes = hex::from_text(&record.cbor)
                .ok_or_else(|| wrong(format!("record {number}: `cbor` is not hexadecimal")))?;
            Record::from_bytes(&bytes).map_err(|error| wrong(format!("record {number}: {error}")))
        });
        Self::of(records.collect::<Result<_, _>>()?)
    }

    /// What the journal says, a line an entry: its record's number, its time, and words.
    pub fn lines(&self) -> Vec<String> {
        let records = self.records.iter().enumerate();
        let lines = records.flat_map(|(number, record)| {
            record.entries.iter().map(move |entry| format!("{number:>4}  {}  {}", record.at(), describe(entry)))
        });
        lines.collect()
    }

    /// When the run began.
    pub fn began_at(&self) -> Timestamp {
        self.records.first().map_or(Timestamp::from_micros(0), Record::at)
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.lines().join("\n"))
    }
}

/// An entry in words.
pub(crate) fn describe(entry: &Entry) -> String {
    match entry {
        Entry::Started(started) => {
            format!("started `{}` version {} with {}", started.workflow, started.version, shown(&started.input))
        }
        Entry::Claimed(claimed) if claimed.noted == Some(true) => format!("held by {}", claimed.by),
        Entry::Claimed(claimed) => format!("taken over by {}", claimed.by),
        Entry::StepScheduled(step) => {
            let undo = match &step.undo {
                UndoPlan::Nothing => String::new(),
                UndoPlan::Known(undo) => format!(", undone by {}", undo_call(undo)),
                UndoPlan::FromOutput => ", undone by what its output says".to_owned(),
            };
            format!("step {} `{}` scheduled with {}{undo}", step.op, step.activity, shown(&step.input))
        }
        Entry::StepEnded(step) => {
            let undo = step.undo.as_ref().map(|undo| format!(", undone by {}", undo_call(undo))).unwrap_or_default();
            format!("step {} returned {} at attempt {}{undo}", step.op, shown(&step.output), step.attempt)
        }
        Entry::StepFailed(step) => {
            let unknown = if step.unknown { ", perhaps with an effect" } else { "" };
            format!("step {} failed at attempt {}{unknown}: {}", step.op, step.attempt, failure(&step.failure))
        }
        Entry::Attempted(attempt) => {
            let what = if attempt.undo { "the undo of step" } else { "step" };
            let again = Timestamp::from_micros(attempt.retry_at);
            let cause = failure(&attempt.failure);
            format!("attempt {} of {what} {} failed, again at {again}: {cause}", attempt.attempt, attempt.op)
        }
        Entry::Progressed(progressed) => {
            let what = if progressed.undo { "the undo of step" } else { "step" };
            let (op, attempt, progress) = (&progressed.op, progressed.attempt, shown(&progressed.progress));
            format!("attempt {attempt} of {what} {op} is at {progress}")
        }
        Entry::Deferred(op, attempt) => {
            format!("attempt {attempt} of step {op} leaves its output to whoever has the token")
        }
        Entry::Relayed(relayed) => sent_on(relayed),
        Entry::TimerSet(timer) => format!("sleep {} until {}", timer.op, Timestamp::from_micros(timer.due)),
        Entry::TimerFired(op) => format!("sleep {op} ended"),
        Entry::EventAwaited(op, name) => format!("event `{name}` awaited at {op}"),
        Entry::EventReceived(event) => format!("event `{}` came: {}", event.name, shown(&event.value)),
        Entry::CancelRequested(request) => format!("cancel requested{}", because(request.reason.as_deref())),
        Entry::Begun => "the moment of its start has come".to_owned(),
        Entry::Suspended(request) => format!("suspended{}", because(request.reason.as_deref())),
        Entry::Resumed(request) => format!("resumed{}", because(request.reason.as_deref())),
        Entry::Repaired(Repair::Resume) => "repaired: it goes on".to_owned(),
        Entry::Repaired(Repair::Retry) => "repaired: what failed is tried again".to_owned(),
        Entry::Repaired(Repair::Skip(op)) => format!("repaired: step {op} is taken as undone"),
        Entry::Repaired(Repair::SetResult(op, value)) => {
            format!("repaired: step {op} is taken to have returned {}", shown(value))
        }
        Entry::EventRefused(event, why) => format!("event `{}` refused: {why}: {}", event.name, shown(&event.value)),
        Entry::Patched(id) => format!("takes the new path of patch `{id}`"),
        Entry::UndoBegan(UndoCause::Failed { message, .. }) => format!("failed: {message}; undoing begins"),
        Entry::UndoBegan(UndoCause::Cancelled(_)) => "cancelled; undoing begins".to_owned(),
        Entry::UndoEnded(op, attempt) => format!("step {op} is undone, at attempt {attempt}"),
        Entry::UndoFailed(step) => {
            format!(
                "the undo of step {} failed for good at attempt {}: {}",
                step.op,
                step.attempt,
                failure(&step.failure)
            )
        }
        Entry::UndoAdded(op, undo) => format!("undo {op} added: {}", undo_call(undo)),
        Entry::ChildScheduled(child) => {
            format!("child {} scheduled: `{}` as {}, with {}", child.op, child.workflow, child.id, shown(&child.input))
        }
        Entry::ChildEnded(child) => match &child.end {
            ChildEnd::Completed(output) => format!("child {} completed with {}", child.op, shown(output)),
            ChildEnd::Failed { message, .. } => format!("child {} failed: {message}", child.op),
            ChildEnd::Dead { reason } => format!("child {} is dead: {reason}", child.op),
            ChildEnd::NotStarted { why } => format!("child {} was not started: {why}", child.op),
            ChildEnd::Cancelled => format!("child {} was cancelled", child.op),
            other => format!("child {} ended: {other:?}", child.op),
        },
        Entry::ChildCancelled(op) => format!("child {op} is asked to stop"),
        Entry::ChildDetached(op) => format!("child {op} goes on by itself"),
        Entry::Pivot(op) => format!("point of no return {op}: what was done before it stays"),
        Entry::EventSent(sent) => {
            let to = match &sent.to {
                Recipient::Run(id) => format!("run {id}"),
                Recipient::Child(op) => format!("child {op}"),
                other => format!("{other:?}"),
            };
            format!("event `{}` sent at {} to {to}: {}", sent.event.name, sent.op, shown(&sent.event.value))
        }
        Entry::Continued(next) => {
            format!("goes on as new at {}: version {} with {}", next.op, next.version, shown(&next.input))
        }
        Entry::BegunAnew => "what was under way elsewhere is begun anew".to_owned(),
        Entry::Dropped(scope) => format!("branch {scope} dropped"),
        Entry::Value(value) => match codec::refused(&value.value) {
            Some(why) => format!("{} refused: {why}", value.op),
            None => format!("value {} recorded: {}", value.op, shown(&value.value)),
        },
        Entry::Concluded(conclusion) => end(conclusion),
        other => format!("{other:?}"),
    }
}

fn sent_on(relayed: &Relayed) -> String {
    let what = if relayed.cancel { "its cancel" } else { "it" };
    format!("step {} of the parent: {what} was sent to {}", relayed.op, relayed.execution)
}

fn end(conclusion: &Conclusion) -> String {
    match conclusion {
        Conclusion::Completed(output) => format!("completed with {}", shown(output)),
        Conclusion::Failed { message, .. } => format!("ended as failed: {message}"),
        Conclusion::Cancelled(request) => format!("ended as cancelled{}", because(request.reason.as_deref())),
        Conclusion::Terminated(request) => format!("terminated{}", because(request.reason.as_deref())),
        Conclusion::Dead { reason } => format!("dead: {reason}"),
        Conclusion::Continued { next } => format!("goes on in execution {next}"),
        other => format!("{other:?}"),
    }
}

fn undo_call(undo: &UndoStep) -> String {
    format!("`{}` with {}", undo.activity, shown(&undo.input))
}

fn failure(failure: &Failure) -> String {
    format!("{} ({:?})", failure.message, failure.kind)
}

fn because(reason: Option<&str>) -> String {
    reason.map(|reason| format!(": {reason}")).unwrap_or_default()
}

fn shown(payload: &Payload) -> String {
    if payload.inline().is_none() {
        return format!("({} bytes, stored apart)", payload.len());
    }
    match Codec::to_json(payload) {
        Ok(text) if text.chars().count() > SHOWN => {
            format!("{}… ({} bytes)", text.chars().take(SHOWN).collect::<String>(), payload.len())
        }
        Ok(text) => text,
        Err(why) => format!("({} bytes: {why})", payload.len()),
    }
}

#[cfg(test)]
mod tests {
    use saga_store::wire::StepEnded;

    use super::*;

    fn history() -> History {
        let started = Entry::Started(Box::new(RunStarted {
            workflow: "pay".to_owned(),
            version: 1,
            id: "ORD-1".to_owned(),
            input: Payload::json("{\"cents\":5}"),
            seed: 7,
            terms: None,
            parent: None,
        }));
        let ended = Entry::StepEnded(StepEnded {
            op: saga_store::wire::OpId::root().child(0),
            attempt: 1,
            output: Payload::json("\"é\""),
            undo: None,
        });
        let at = Timestamp::from_micros(1_000);
        History::of(vec![Record::new(at, vec![started]), Record::new(at, vec![ended])]).unwrap()
    }

    #[test]
    fn a_history_that_is_exported_comes_back_the_same() {
        assert_eq!(History::import(&history().export()).unwrap(), history());
    }

    #[test]
    fn an_exported_history_can_be_read_by_people() {
        let json = history().export();
        assert!(json.contains("started `pay` version 1 with {\\\"cents\\\":5}"), "{json}");
        assert!(json.contains("step 0 returned \\\"é\\\" at attempt 1"), "{json}");
    }

    #[test]
    fn what_is_no_history_is_refused_with_its_place() {
        let wrong = |json: &str| History::import(json).unwrap_err().to_string();
        assert!(wrong("{}").starts_with("not an exported history"));
        assert!(wrong(&history().export().replace("\"history\": 1", "\"history\": 9")).contains("format is 9"));
        assert!(wrong(&history().export().replace("\"cbor\": \"", "\"cbor\": \"z")).contains("record 0"));
        assert!(wrong(&history().export().replace("\"cbor\": \"83", "\"cbor\": \"00")).contains("record 0"));
    }
}
