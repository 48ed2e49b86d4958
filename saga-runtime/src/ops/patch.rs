//! Changing a workflow's code under its live runs.

use std::panic::Location;

use crate::context;
use crate::line;

/// Whether this run takes the new path of a change: `true` for runs that come here for the first
/// time with the changed code, `false` for those that had passed here when the code was older, whose
/// journal the new path would not match.
///
/// The unit of recording is the id: a run makes one choice for each id, at its first call, and keeps
/// it however often it comes here, also by other calls with the same id. A new choice is an entry on
/// the record of what the workflow decides next, and costs no commit of its own; the old path records
/// nothing. It survives crashes and cancels, and is copied by forks.
///
/// When no run is left that took the old path, replace the call by [`deprecate_patch`] and delete
/// the old path; when none is left that recorded the choice, delete that as well. A replay that
/// finds a recorded choice and no call for it says so.
///
/// ```
/// # use saga_runtime::prelude::*;
/// # #[activity]
/// # async fn screen(order: u32) -> saga_runtime::Result<()> { let _ = order; Ok(()) }
/// # #[activity]
/// # async fn charge(order: u32) -> saga_runtime::Result<()> { let _ = order; Ok(()) }
/// #[workflow]
/// async fn sale(order: u32) -> saga_runtime::Result<()> {
///     if patched("2026-11-fraud-check") {
///         screen(order).await?;
///     }
///     charge(order).await?;
///     Ok(())
/// }
/// ```
///
/// # Panics
///
/// Outside a workflow.
#[track_caller]
pub fn patched(id: &str) -> bool {
    line::reached(Location::caller());
    context::with("patched", |cx| cx.patched(id))
}

/// Takes the place of [`patched`] once no run is left that took the old path: runs that recorded the
/// choice still find it, new ones record nothing. At the same place in the code as the call was.
///
/// # Panics
///
/// Outside a workflow.
pub fn deprecate_patch(id: &str) {
    context::with("deprecate_patch", |cx| cx.deprecate_patch(id));
}
