//! What a workflow can say.

mod attempt;
mod child;
mod continue_as_new;
mod event;
mod join;
mod many;
mod patch;
mod pivot;
mod select;
mod send;
mod session;
mod sleep;
mod status;
mod step;
mod undo;
mod value;

pub use attempt::{Attempt, AttemptFuture, attempt};
pub use child::{ChildError, ChildFuture, ChildHandle, Spawn, SpawnFuture, spawn};
pub use continue_as_new::{ContinueAsNew, ContinueFuture, continue_as_new};
pub use event::{Elapsed, EventFuture, EventTimeout, EventTimeoutFuture, EventWait, event};
pub use join::{JoinAll, JoinAllFuture, JoinFuture, JoinPair, join_all};
pub use many::{ForEachConcurrent, ForEachFuture, TryJoinAll, TryJoinAllFuture, for_each_concurrent, try_join_all};
pub use patch::{deprecate_patch, patched};
pub use pivot::{Pivot, PivotFuture, pivot};
pub use select::{Either, SelectFuture, SelectPair, TryJoinFuture, TryJoinPair};
pub use send::{SendEvent, SendFuture, send};
pub use session::session;
pub use sleep::{Sleep, SleepFuture, sleep, sleep_until};
pub use status::set_status;
pub use step::StepFuture;
pub use undo::undo;
pub(crate) use value::unit_interval;
pub use value::{Random, SideEffect, SideEffectFuture, new_uuid, now, random, side_effect};
