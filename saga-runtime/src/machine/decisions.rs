//! What the code decides, held against what the journal says that it decided.

use saga_store::wire::Entry;

/// Whether both are the same decision; what it says may differ.
pub(super) fn same_decision(code: &Entry, journal: &Entry) -> bool {
    match (code, journal) {
        (Entry::StepScheduled(a), Entry::StepScheduled(b)) => a.op == b.op && a.activity == b.activity,
        (Entry::TimerSet(a), Entry::TimerSet(b)) => a.op == b.op,
        (Entry::EventAwaited(a, name), Entry::EventAwaited(b, other)) => a == b && name == other,
        (Entry::Value(a), Entry::Value(b)) => a.op == b.op,
        (Entry::Dropped(a), Entry::Dropped(b))
        | (Entry::Pivot(a), Entry::Pivot(b))
        | (Entry::ChildCancelled(a), Entry::ChildCancelled(b))
        | (Entry::ChildDetached(a), Entry::ChildDetached(b)) => a == b,
        (Entry::ChildScheduled(a), Entry::ChildScheduled(b)) => a.op == b.op && a.workflow == b.workflow,
        (Entry::Patched(a), Entry::Patched(b)) => a == b,
        (Entry::EventSent(a), Entry::EventSent(b)) => a.op == b.op && a.event.name == b.event.name,
        (Entry::Continued(a), Entry::Continued(b)) => a.op == b.op && a.version == b.version,
        (Entry::UndoAdded(a, undo), Entry::UndoAdded(b, other)) => a == b && undo.activity == other.activity,
        _ => false,
    }
}

/// In words, for whoever reads why a replay does not match.
pub(super) fn describe(entry: &Entry) -> String {
    match entry {
        Entry::StepScheduled(step) => format!("activity `{}` at {}", step.activity, step.op),
        Entry::StepEnded(step) => format!("the end of the activity at {}", step.op),
        Entry::StepFailed(step) => format!("the failure of the activity at {}", step.op),
        Entry::TimerSet(timer) => format!("a sleep at {}", timer.op),
        Entry::TimerFired(op) => format!("the end of the sleep at {op}"),
        Entry::EventAwaited(op, name) => format!("waiting for event `{name}` at {op}"),
        Entry::EventReceived(event) => format!("event `{}`", event.name),
        Entry::EventSent(sent) => format!("sending event `{}` at {}", sent.event.name, sent.op),
        Entry::Continued(next) => format!("going on as new, as version {}, at {}", next.version, next.op),
        Entry::Patched(id) => format!("the choice of patch `{id}` (see `deprecate_patch`)"),
        Entry::Value(value) => format!("a side effect at {}", value.op),
        Entry::UndoAdded(op, undo) => format!("the undo `{}` at {op}", undo.activity),
        Entry::ChildScheduled(child) => format!("child `{}` at {}", child.workflow, child.op),
        Entry::ChildEnded(child) => format!("the end of the child at {}", child.op),
        Entry::ChildCancelled(op) => format!("the cancel of child {op}"),
        Entry::ChildDetached(op) => format!("letting go of child {op}"),
        Entry::Pivot(op) => format!("the point of no return at {op}"),
        Entry::Dropped(scope) => format!("the drop of branch {scope}"),
        Entry::UndoEnded(op, _) => format!("the end of the undo of {op}"),
        Entry::CancelRequested(_) => "a cancel".to_owned(),
        Entry::Begun => "the moment of its start".to_owned(),
        Entry::Suspended(_) => "an operator's suspension".to_owned(),
        Entry::Resumed(_) => "an operator's resumption".to_owned(),
        other => format!("{other:?}"),
    }
}
