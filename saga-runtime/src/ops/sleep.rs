//! Waiting for a moment.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use saga_store::Timestamp;
use saga_store::wire::{Entry, OpId, TimerSet};

use crate::context::{self, Arrival, Decision};
use crate::durable::{Durable, sealed::Sealed};

/// Waits for a time. The moment at which it ends is recorded once, so that a crash does not
/// extend it. Two records: one that sets the timer (together with whatever else is decided
/// then), one when it fires. A run that only sleeps long holds no memory.
///
/// A crash changes nothing: whoever takes the run up waits for what is left, and goes on at once if
/// the moment has passed meanwhile. A cancel ends the wait; there is nothing to undo.
///
/// ```
/// # use saga_runtime::prelude::*;
/// # use std::time::Duration;
/// # #[activity]
/// # async fn remind(customer: u32) -> saga_runtime::Result<()> { let _ = customer; Ok(()) }
/// #[workflow]
/// async fn trial(customer: u32) -> saga_runtime::Result<()> {
///     sleep(Duration::from_secs(14 * 86_400)).await;
///     remind(customer).await?;
///     Ok(())
/// }
/// ```
pub fn sleep(duration: Duration) -> Sleep {
    Sleep(Until::After(duration))
}

/// Waits until a moment of the store's clock; not at all if it has passed. Recorded, paid, and kept
/// through a crash or ended by a cancel as [`sleep`] is.
pub fn sleep_until(moment: Timestamp) -> Sleep {
    Sleep(Until::At(moment))
}

/// What [`sleep`] returns: await it in a workflow.
#[must_use = "a sleep does nothing until a workflow awaits it: add `.await`"]
#[derive(Debug, Clone, Copy)]
pub struct Sleep(Until);

#[derive(Debug, Clone, Copy)]
enum Until {
    After(Duration),
    At(Timestamp),
}

impl Sealed for Sleep {}

#[diagnostic::do_not_recommend]
impl Durable for Sleep {
    type Output = ();
    type Operation = SleepFuture;

    fn into_operation(self) -> SleepFuture {
        SleepFuture { until: self.0, op: None }
    }
}

/// An awaited [`Sleep`].
#[doc(hidden)]
pub struct SleepFuture {
    until: Until,
    op: Option<OpId>,
}

impl Future for SleepFuture {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        context::with("sleep", |cx| {
            let until = self.until;
            let op = self.op.get_or_insert_with(|| {
                let op = cx.next_op();
                let due = match until {
                    Until::After(duration) => cx.now().after(duration),
                    Until::At(moment) => moment,
                };
                let entry = Entry::TimerSet(TimerSet { op: op.clone(), due: due.as_micros() });
                cx.decide(op.clone(), Decision::new(entry, None));
                op
            });
            match cx.take(op) {
                Some(Arrival::Fired) => Poll::Ready(()),
                _ => Poll::Pending,
            }
        })
    }
}
