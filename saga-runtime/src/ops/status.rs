//! What a workflow says of itself while it runs.

use serde::Serialize;

use crate::context;

/// Says how far the run is: clients read it with [`RunHandle::status`](crate::RunHandle::status)
/// while the run is live and after its end, and are told of changes by
/// [`RunHandle::watch`](crate::RunHandle::watch). The last one before the workflow waits is what is
/// seen.
///
/// It rides on the record of what the workflow decides next and costs no commit; it is no part of
/// the journal, so that setting another one is no change that breaks live runs. After a crash the
/// status is the one of the last record; a cancel leaves it.
///
/// ```
/// # use saga_runtime::prelude::*;
/// # #[activity]
/// # async fn pack(item: u32) -> saga_runtime::Result<()> { let _ = item; Ok(()) }
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Progress {
///     packed: u32,
/// }
///
/// #[workflow]
/// async fn pack_all(items: Vec<u32>) -> saga_runtime::Result<()> {
///     let mut packed = 0;
///     for item in items {
///         pack(item).await?;
///         packed += 1;
///         set_status(Progress { packed });
///     }
///     Ok(())
/// }
/// ```
///
/// # Panics
///
/// Outside a workflow.
#[allow(clippy::needless_pass_by_value, reason = "said of a value that nobody needs afterwards")]
pub fn set_status<T: Serialize>(status: T) {
    context::with("set_status", |cx| match cx.encoder().encode(&status) {
        Ok(status) => cx.set_status(status),
        Err(error) => cx.fail(format!("the status cannot be recorded: {error}")),
    });
}
