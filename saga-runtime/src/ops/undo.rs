//! Undo steps by hand.

use std::panic::Location;

use saga_store::wire::Entry;

use crate::activity::{UndoCall, Undoes};
use crate::call::ActivityCall;
use crate::context;
use crate::line;

/// Adds an undo step: this call is made when what the workflow has done so far is undone, after
/// the undos of all later steps. For what a `compensate = …` cannot say: an undo that depends on
/// several steps, or on what the workflow has computed.
///
/// Recorded with its input in the record of the next decision. Retried for ever unless the call or
/// its activity says otherwise, as other undos are. From that record on it survives a crash, and a
/// cancel makes the call as a failure does; the workflow's code is not needed for it any more.
/// Costs no commit of its own until it is made. An activity that has an undo itself is refused by
/// the compiler.
///
/// ```
/// # use saga_runtime::prelude::*;
/// # #[activity]
/// # async fn notify_cancelled(order: String) -> saga_runtime::Result<()> { let _ = order; Ok(()) }
/// # #[activity]
/// # async fn ship(order: String) -> saga_runtime::Result<()> { let _ = order; Ok(()) }
/// #[workflow]
/// async fn order(id: String) -> saga_runtime::Result<()> {
///     undo(notify_cancelled(id.clone()));
///     ship(id).await?;
///     Ok(())
/// }
/// ```
///
/// # Panics
///
/// Outside a workflow.
#[track_caller]
pub fn undo<A: Undoes>(call: ActivityCall<A>) {
    line::reached(Location::caller());
    context::with("undo", |cx| {
        let op = cx.next_op();
        match UndoCall::new(call).into_step(cx.encoder_at(&op)) {
            Ok(step) => cx.note(Entry::UndoAdded(op, step)),
            Err(error) => cx.fail(format!("the undo `{}` at {op} cannot be recorded: {error}", A::NAME)),
        }
    });
}
