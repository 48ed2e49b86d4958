//! What the documentation of an activity says that is generated.

use super::options::{Breaker, Options};
use crate::docs;
use crate::duration;
use crate::function::{Function, Params};

/// The lines.
pub(super) fn lines(function: &Function, params: &Params, options: &Options, name: &str) -> Vec<String> {
    let signature = docs::signature(name, params.inputs().map(|p| (&p.ident, &p.ty)), &function.sig.output);
    let mut lines = vec![
        format!(
            "An activity: calling it runs nothing, awaiting the call in a workflow does. Recorded as `{signature}`."
        ),
        String::new(),
    ];
    let attempt = match options.timeout {
        Some(timeout) => duration::text(timeout),
        None => "30s (the default)".to_owned(),
    };
    lines.push(format!("- One attempt may take {attempt}."));
    if let Some(heartbeat) = options.heartbeat {
        lines.push(format!("- It may be silent for {}, without a heartbeat.", duration::text(heartbeat)));
    }
    lines.push(format!("- {}", retries(options)));
    if let Some(Breaker { failures, cooldown, key }) = &options.breaker {
        let cooldown = duration::text(*cooldown);
        let of = key.as_ref().map(|key| format!(" with the same `{key}`")).unwrap_or_default();
        lines.push(format!("- After {failures} failures in a row{of} no attempt is let through for {cooldown}."));
    }
    if function.sig.asyncness.is_none() && options.transaction.is_none() {
        lines.push("- It may block: it runs on a thread of the runtime's pool for that.".to_owned());
    }
    if let Some(queue) = &options.queue {
        lines.push(format!(
            "- It runs on a worker that serves the queue `{queue}`; an undo by it runs where the workflow does."
        ));
    }
    if let Some(priority) = options.priority {
        lines.push(format!("- Its priority there is {priority}: of the steps that wait, higher ones go first."));
    }
    if let Some(undo) = &options.compensate {
        lines.push(format!("- Undone by `{}`.", docs::text(undo)));
    }
    for (holds, line) in [
        (options.read_only, "- It changes nothing."),
        (options.pivot, "- It is the point of no return."),
        (options.later, "- Its output comes from whoever has the step's token."),
        (options.transaction.is_some(), "- Its writes share the transaction of its journal record."),
    ] {
        if holds {
            lines.push(line.to_owned());
        }
    }
    lines.push(String::new());
    lines.push(format!("`{}::plain` is the function as it was written.", function.sig.ident));
    lines
}

fn retries(options: &Options) -> String {
    let retry = &options.retry;
    let or = |value: Option<String>, default: &str| value.unwrap_or_else(|| default.to_owned());
    let attempts = match retry.max_attempts {
        Some(1) => return "It is tried once.".to_owned(),
        Some(count) => format!("It is tried at most {count} times"),
        None if options.retriable => "It is tried until it succeeds".to_owned(),
        None => "It is tried at most 5 times (the default)".to_owned(),
    };
    format!(
        "{attempts}, {} after the first attempt, then {} times as long each, up to {}, varied by up to {} of it.",
        or(retry.initial.map(duration::text), "100ms"),
        or(retry.multiplier.map(|number| number.to_string()), "2"),
        or(retry.max.map(duration::text), "30s"),
        or(retry.jitter.map(|number| number.to_string()), "0.2"),
    )
}
