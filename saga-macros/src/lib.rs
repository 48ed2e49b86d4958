//! The macros of the saga framework. `saga-runtime` re-exports them and documents how to use them.
//!
//! Each macro parses, checks and expands. All errors are collected before any is reported, and on
//! an error the item is still emitted, so that one mistake is one error. Expansion cannot fail.
//!
//! - [`macro@activity`], [`macro@workflow`], [`macro@durable`]: the attributes.
//! - [`macro@Classify`], [`macro@Event`]: the derives.

mod activity;
mod attr;
mod awaits;
mod classify;
mod compensate;
mod determinism;
mod diag;
mod docs;
mod durable;
mod duration;
mod event;
mod function;
mod item;
mod krate;
mod plan;
#[cfg(test)]
mod tests;
mod workflow;

use proc_macro::TokenStream;

/// Makes a function an activity: a step of a workflow, which may do anything and is retried and
/// undone.
///
/// An `async fn` runs on the runtime as any task does. A plain `fn` may block: it runs on a thread of
/// the runtime's pool for that, and is told to stop (`cx.is_cancelled()`) where an `async` one is
/// dropped.
///
/// The function becomes one that returns a call. Beside it stands a type of the same name with the
/// inputs as fields, and with `plain`, the function as it was written.
///
/// | option | meaning |
/// |---|---|
/// | `name = "…"` | the durable name; the function's name if left out |
/// | `timeout = "5s"` | how long one attempt may take; 30 s if left out |
/// | `heartbeat = "10s"` | an attempt that gives no sign of life (`cx.heartbeat(…)`) for so long is ended as timed out |
/// | `retry(max_attempts = 5, initial = "100ms", max = "30s", multiplier = 2.0, jitter = 0.2)` | when a failed attempt is repeated; these are the defaults |
/// | `compensate = release(output.id)` | the activity that undoes it; `output` is this activity's output, and each input is in scope by name |
/// | `circuit_breaker(failures = 5, cooldown = "30s")` | after so many failures in a row let no attempt through for so long |
/// | `read_only` | it changes nothing |
/// | `pivot` | it is the point of no return |
/// | `retriable` | it may follow the point of no return: it is retried until it succeeds, so its error has no `#[permanent]` variant |
/// | `later` | its output comes later, from whoever has the step's token: it returns `Result<Later<T>, E>` |
/// | `queue = "gpu"` | it runs on any worker that serves this queue, which an undo by it does not; without it, in the process that runs the workflow |
/// | `priority = 5` | of the steps that wait on the queue those with a higher one go first; a whole number, 0 if nothing is said |
/// | `transaction` | its writes share the transaction of its journal record: an `async fn` with a parameter `#[transaction] tx: &mut PostgresTx<'_>`, or for SQLite a plain `fn` with `#[transaction] tx: &SqliteTx<'_>` |
/// | `crate = path` | where the runtime crate is, if it was renamed |
///
/// Parameters are inputs, recorded in the journal under their names, unless they are marked:
/// `#[state] x: &T` is lent what the engine was given with `.state(…)`, and
/// `#[context] cx: &ActivityContext` tells about the attempt.
#[proc_macro_attribute]
pub fn activity(attr: TokenStream, item: TokenStream) -> TokenStream {
    activity::activity(attr.into(), &item.into()).into()
}

/// Makes a function a workflow: its steps are recorded, and it goes on after a crash where it was.
///
/// Each `.await` in it takes durable things only: calls of activities and workflows, timers,
/// events, joins of them, helpers annotated with `#[durable]`, and async blocks written in it.
///
/// | option | meaning |
/// |---|---|
/// | `name = "…"` | the durable name; the function's name if left out |
/// | `version = 2` | the version; old runs end on the code of their version |
/// | `strict` | each awaited activity says what it is (`compensate = …`, `read_only`, `pivot`, `retriable`), and they come in this order along every path: what can be undone, the pivot, what is retried until it succeeds |
/// | `allow(clock, …)` | lifts rules that a replay depends on, by name: `hash_order`, `clock`, `random`, `env`, `io`, `threads`, `print` |
/// | `crate = path` | where the runtime crate is, if it was renamed |
#[proc_macro_attribute]
pub fn workflow(attr: TokenStream, item: TokenStream) -> TokenStream {
    workflow::workflow(attr.into(), &item.into()).into()
}

/// Makes an async function a helper of workflows: it may await what a workflow may await, and it
/// may borrow and recurse. It takes the options `allow(…)`, `strict` and `crate = path` of a
/// workflow. Strict workflows await helpers only that are `#[durable(strict)]`: free functions that
/// are neither generic nor recursive.
#[proc_macro_attribute]
pub fn durable(attr: TokenStream, item: TokenStream) -> TokenStream {
    durable::durable(attr.into(), &item.into()).into()
}

/// Says of each value of an error type how it is classed: `#[permanent]`, `#[transient]`,
/// `#[transient(no_effect)]` or `#[transient(retry_after = field)]` on the variants. An unmarked
/// variant is transient. `#[classify(crate = path)]` names a renamed runtime crate.
#[proc_macro_derive(Classify, attributes(classify, permanent, transient))]
pub fn classify(item: TokenStream) -> TokenStream {
    classify::classify(item.into()).into()
}

/// Makes a type an event that can be sent to a run and awaited in a workflow. Its durable name is
/// the type's, or what `#[event(name = "…")]` says. `#[event(crate = path)]` names a renamed
/// runtime crate.
#[proc_macro_derive(Event, attributes(event))]
pub fn event(item: TokenStream) -> TokenStream {
    event::event(item.into()).into()
}
