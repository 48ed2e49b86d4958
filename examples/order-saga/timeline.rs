//! The timeline of a run, told from its journal.

use std::collections::BTreeMap;

use saga_runtime::Codec;
use saga_store::Timestamp;
use saga_store::wire::{
    Attempted, Conclusion, Entry, OpId, Payload, Record, StepEnded, StepFailed, StepScheduled, UndoCause, UndoPlan,
};

/// How a line reads: colours follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Something begins, or is merely noted.
    Plain,
    /// Something succeeded.
    Good,
    /// Something failed and is repeated, or is taken back.
    Warning,
    /// Something failed for good.
    Bad,
}

/// One event of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// When.
    pub(crate) at: Timestamp,
    /// Its sign.
    pub(crate) sign: char,
    /// Its colour.
    pub(crate) tone: Tone,
    /// What it is about: a step's name, or a word of the engine's.
    pub(crate) subject: String,
    /// The rest.
    pub(crate) text: String,
}

/// The events of a journal.
pub(crate) fn timeline(records: &[Record]) -> Vec<Line> {
    let mut teller = Teller::default();
    for record in records {
        for entry in &record.entries {
            teller.tell(record.at(), entry);
        }
    }
    teller.lines
}

/// What is known of a step when later entries name it by its place only.
#[derive(Debug, Default)]
struct Step {
    activity: String,
    undo: Option<String>,
    since: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Teller {
    lines: Vec<Line>,
    steps: BTreeMap<OpId, Step>,
}

impl Teller {
    fn tell(&mut self, at: Timestamp, entry: &Entry) {
        match entry {
            Entry::Started(started) => {
                self.line(at, '•', Tone::Plain, "started", format!("with {}", shown(&started.input)));
            }
            // It was given the run, and took it from nobody.
            Entry::Claimed(claimed) if claimed.noted == Some(true) => {}
            Entry::Claimed(claimed) => self.line(at, '⇄', Tone::Warning, "taken over", format!("by {}", claimed.by)),
            Entry::StepScheduled(step) => self.scheduled(at, step),
            Entry::StepEnded(step) => self.ended(at, step),
            Entry::StepFailed(step) => self.failed(at, step),
            Entry::Attempted(attempt) => self.attempted(at, attempt),
            Entry::UndoEnded(op, attempt) => self.undone(at, op, *attempt),
            Entry::UndoFailed(failed) => {
                let subject = self.undo_name(&failed.op);
                let text = format!("cannot undo {}: {}", self.name(&failed.op), failed.failure.message);
                self.line(at, '✗', Tone::Bad, subject, text);
            }
            Entry::UndoBegan(UndoCause::Failed { message, .. }) => {
                self.line(at, '↺', Tone::Warning, "undoing", format!("because it failed: {message}"));
            }
            Entry::UndoBegan(UndoCause::Cancelled(_)) => {
                self.line(at, '↺', Tone::Warning, "undoing", "because it is cancelled".to_owned());
            }
            Entry::Concluded(conclusion) => self.concluded(at, conclusion),
            Entry::TimerSet(timer) => {
                let due = Timestamp::from_micros(timer.due);
                self.line(at, '▸', Tone::Plain, "timer", format!("{} until {due}", timer.op));
            }
            Entry::TimerFired(op) => self.line(at, '✓', Tone::Plain, "timer", format!("{op} was due")),
            Entry::CancelRequested(request) => {
                let reason = request.reason.as_deref().unwrap_or("no reason was given");
                self.line(at, '!', Tone::Warning, "cancel", format!("requested: {reason}"));
            }
            Entry::Begun => self.line(at, '·', Tone::Plain, "begun", "its moment has come".to_owned()),
            Entry::Suspended(_) => self.line(at, '‖', Tone::Warning, "suspended", "until it is resumed".to_owned()),
            Entry::Resumed(_) => self.line(at, '▸', Tone::Plain, "resumed", "with what came meanwhile".to_owned()),
            Entry::Repaired(repair) => self.line(at, '!', Tone::Warning, "repaired", format!("{repair:?}")),
            Entry::EventReceived(event) => {
                self.line(at, '✉', Tone::Plain, "event", format!("{} {}", event.name, shown(&event.value)));
            }
            Entry::EventSent(sent) => {
                let text = format!("{} sent: {}", sent.event.name, shown(&sent.event.value));
                self.line(at, '✉', Tone::Plain, "event", text);
            }
            Entry::Continued(next) => {
                let text = format!("version {} with {}", next.version, shown(&next.input));
                self.line(at, '▸', Tone::Plain, "goes on as new", text);
            }
            Entry::EventAwaited(_, name) => self.line(at, '▸', Tone::Plain, "event", format!("{name} awaited")),
            Entry::Value(value) => self.line(at, '·', Tone::Plain, "value", shown(&value.value)),
            other => self.line(at, '·', Tone::Plain, "other", format!("{other:?}")),
        }
    }

    fn scheduled(&mut self, at: Timestamp, step: &StepScheduled) {
        let undo = match &step.undo {
            UndoPlan::Known(undo) => Some(undo.activity.clone()),
            UndoPlan::Nothing | UndoPlan::FromOutput => None,
        };
        self.steps.insert(step.op.clone(), Step { activity: step.activity.clone(), undo, since: Some(at) });
        self.line(at, '▸', Tone::Plain, step.activity.clone(), shown(&step.input));
    }

    fn ended(&mut self, at: Timestamp, ended: &StepEnded) {
        let mut text = format!("{}{}", shown(&ended.output), nth(ended.attempt));
        if let Some(step) = self.steps.get_mut(&ended.op) {
            if let Some(since) = step.since {
                text = format!("{text}  {:.1?}", at.since(since));
            }
            if let Some(undo) = &ended.undo {
                step.undo = Some(undo.activity.clone());
            }
        }
        let subject = self.name(&ended.op);
        self.line(at, '✓', Tone::Good, subject, text);
    }

    fn failed(&mut self, at: Timestamp, failed: &StepFailed) {
        let unknown = if failed.unknown { "; it may have had effect" } else { "" };
        let text = format!("{}{}{unknown}", failed.failure.message, nth(failed.attempt));
        let subject = self.name(&failed.op);
        self.line(at, '✗', Tone::Bad, subject, text);
    }

    fn attempted(&mut self, at: Timestamp, attempt: &Attempted) {
        let wait = Timestamp::from_micros(attempt.retry_at).since(at);
        let text = format!("attempt {} failed: {}; again in {wait:.1?}", attempt.attempt, attempt.failure.message);
        let subject = if attempt.undo { self.undo_name(&attempt.op) } else { self.name(&attempt.op) };
        self.line(at, '⟳', Tone::Warning, subject, text);
    }

    fn undone(&mut self, at: Timestamp, op: &OpId, attempt: u32) {
        let subject = self.undo_name(op);
        let text = format!("undid {}{}", self.name(op), nth(attempt));
        self.line(at, '↺', Tone::Good, subject, text);
    }

    fn concluded(&mut self, at: Timestamp, conclusion: &Conclusion) {
        let (tone, subject, text) = match conclusion {
            Conclusion::Completed(output) => (Tone::Good, "completed", format!("with {}", shown(output))),
            Conclusion::Failed { message, .. } => (Tone::Bad, "failed", message.clone()),
            Conclusion::Cancelled(_) => (Tone::Warning, "cancelled", "all is undone".to_owned()),
            Conclusion::Terminated(_) => (Tone::Warning, "terminated", "nothing was undone".to_owned()),
            Conclusion::Dead { reason } => (Tone::Bad, "dead", format!("needs an operator: {reason}")),
            Conclusion::Continued { next } => (Tone::Good, "continued", format!("in execution {next}")),
            other => (Tone::Bad, "ended", format!("{other:?}")),
        };
        self.line(at, '■', tone, subject, text);
    }

    fn name(&self, op: &OpId) -> String {
        self.steps.get(op).map_or_else(|| format!("step {op}"), |step| step.activity.clone())
    }

    fn undo_name(&self, op: &OpId) -> String {
        self.steps.get(op).and_then(|step| step.undo.clone()).unwrap_or_else(|| format!("undo of step {op}"))
    }

    fn line(&mut self, at: Timestamp, sign: char, tone: Tone, subject: impl Into<String>, text: String) {
        self.lines.push(Line { at, sign, tone, subject: subject.into(), text });
    }
}

/// Says which attempt it was, where it was not the first.
fn nth(attempt: u32) -> String {
    if attempt > 1 { format!(" (attempt {attempt})") } else { String::new() }
}

/// The head of a value, as a terminal can show it.
fn shown(payload: &Payload) -> String {
    const HEAD: usize = 160;
    let Ok(text) = Codec::to_json(payload) else {
        return format!("a value of {} bytes", payload.len());
    };
    let mut head: String = text.chars().take(HEAD).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if head.len() < text.len() {
        head.push('…');
    }
    head
}

#[cfg(test)]
mod tests {
    use saga_store::wire::{Failure, FailureKind, Retry, RunStarted, UndoStep};

    use super::*;

    fn op(number: u32) -> OpId {
        OpId::root().child(number)
    }

    fn json(text: &str) -> Payload {
        Payload::json(text.as_bytes().to_vec())
    }

    fn failure(message: &str) -> Failure {
        Failure { kind: FailureKind::Returned, message: message.to_owned(), error: None }
    }

    fn scheduled(number: u32, activity: &str, undo: UndoPlan) -> Entry {
        let activity = activity.to_owned();
        Entry::StepScheduled(StepScheduled {
            op: op(number),
            activity,
            input: json("{}"),
            undo,
            deadline: None,
            errand: None,
            at_call: None,
        })
    }

    fn release() -> UndoStep {
        let retry = Retry { max_attempts: None, initial: 1, max: 1, multiplier: 2.0, jitter: 0.0 };
        UndoStep { activity: "release".to_owned(), input: json("{}"), retry, timeout: 1 }
    }

    fn told(entries: Vec<Entry>) -> Vec<String> {
        let records: Vec<_> = entries
            .into_iter()
            .enumerate()
            .map(|(i, entry)| Record::new(Timestamp::from_micros(i64::try_from(i).unwrap() * 1000), vec![entry]))
            .collect();
        timeline(&records).into_iter().map(|line| format!("{} {} {}", line.sign, line.subject, line.text)).collect()
    }

    #[test]
    fn a_declined_order_is_told_step_by_step_with_its_undo() {
        let lines = told(vec![
            Entry::Started(Box::new(RunStarted {
                workflow: "order_saga".to_owned(),
                version: 1,
                id: "ORD-1".to_owned(),
                input: json("{\"order\":1}"),
                seed: 1,
                terms: None,
                parent: None,
            })),
            scheduled(0, "reserve", UndoPlan::FromOutput),
            Entry::StepEnded(StepEnded { op: op(0), attempt: 1, output: json("7"), undo: Some(Box::new(release())) }),
            scheduled(1, "charge", UndoPlan::Nothing),
            Entry::Attempted(Attempted {
                op: op(1),
                attempt: 1,
                failure: failure("no answer"),
                unknown: true,
                retry_at: 9000,
                undo: false,
            }),
            Entry::StepFailed(StepFailed { op: op(1), attempt: 2, failure: failure("declined"), unknown: true }),
            Entry::UndoBegan(UndoCause::Failed { error: json("1"), message: "declined".to_owned() }),
            Entry::UndoEnded(op(0), 1),
            Entry::Concluded(Conclusion::Failed { error: json("1"), message: "declined".to_owned() }),
        ]);
        assert_eq!(
            lines,
            [
                "• started with {\"order\":1}",
                "▸ reserve {}",
                "✓ reserve 7  1.0ms",
                "▸ charge {}",
                "⟳ charge attempt 1 failed: no answer; again in 5.0ms",
                "✗ charge declined (attempt 2); it may have had effect",
                "↺ undoing because it failed: declined",
                "↺ release undid reserve",
                "■ failed declined",
            ]
        );
    }

    #[test]
    fn an_entry_of_a_step_that_is_not_known_is_still_told() {
        assert_eq!(told(vec![Entry::UndoEnded(op(4), 3)]), ["↺ undo of step 4 undid step 4 (attempt 3)"]);
    }

    #[test]
    fn a_value_cannot_disturb_the_terminal_or_flood_it() {
        assert_eq!(shown(&json("\u{1b}[31m")), "\u{fffd}[31m");
        assert_eq!(shown(&json(&"x".repeat(1000))).chars().count(), 161);
    }
}
