//! Values that are not the same twice, made so that a replay sees them again.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::__private::Recorded;
use crate::codec::{self, CodecError, Encoder};
use crate::context;
use crate::durable::{Durable, sealed::Sealed};
use saga_store::Timestamp;
use saga_store::wire::{Entry, OpId, OpValue, Payload};

/// The time, by the store's clock: that of the record that let the workflow go on last. Costs
/// nothing and records nothing; the same on replay.
///
/// # Panics
///
/// Outside a workflow.
pub fn now() -> Timestamp {
    context::with("now()", |cx| cx.now())
}

/// A random value: derived from the run's seed and the place in the code. Records nothing; the
/// same on replay. Not for secrets.
///
/// # Panics
///
/// Outside a workflow.
pub fn random<T: Random>() -> T {
    context::with("random()", |cx| {
        let op = cx.next_op();
        T::from_bits(mix(cx.seed(), &op, 0), mix(cx.seed(), &op, 1))
    })
}

/// A version-4 UUID, derived as [`random`] is: nothing is recorded.
///
/// # Panics
///
/// Outside a workflow.
pub fn new_uuid() -> uuid::Uuid {
    uuid::Builder::from_random_bytes(random::<u128>().to_be_bytes()).into_uuid()
}

/// A type that [`random`] can make.
pub trait Random: Sized {
    /// From two independent words of random bits.
    #[doc(hidden)]
    fn from_bits(low: u64, high: u64) -> Self;
}

macro_rules! random_integer {
    ($($name:ty),*) => {$(
        impl Random for $name {
            #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "the low bits are wanted")]
            fn from_bits(low: u64, _: u64) -> Self {
                low as Self
            }
        }
    )*};
}
random_integer!(u8, u16, u32, u64, usize, i8, i16, i32, i64, isize);

impl Random for u128 {
    fn from_bits(low: u64, high: u64) -> Self {
        Self::from(high) << 64 | Self::from(low)
    }
}

impl Random for bool {
    fn from_bits(low: u64, _: u64) -> Self {
        low & 1 == 1
    }
}

impl Random for f64 {
    /// Uniform in 0..1.
    fn from_bits(low: u64, _: u64) -> Self {
        unit_interval(low)
    }
}

/// The 53 high bits as a number in 0..1.
#[allow(clippy::cast_precision_loss, reason = "53 bits fit")]
pub(crate) fn unit_interval(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// `SplitMix64` over the seed, the place and a lane.
fn mix(seed: u64, op: &OpId, lane: u64) -> u64 {
    let mut state = finalize(seed ^ finalize(lane.wrapping_add(0x9e37_79b9_7f4a_7c15)));
    for number in op.path() {
        state = finalize(state.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_add(u64::from(*number)));
    }
    state
}

fn finalize(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Records the value of a closure: it runs once, and a replay gets what it gave. The value rides
/// on the record of the next decision; if the worker dies before that record is durable, the
/// closure runs again. It must not wait; what takes time or can fail is an activity. It costs no commit
/// of its own. After a crash the value is the recorded one; a cancel undoes nothing of it, so that it
/// must have no effect.
///
/// ```
/// # use saga_runtime::prelude::*;
/// # fn hostname() -> String { "here".to_owned() }
/// #[workflow]
/// async fn began_on() -> saga_runtime::Result<String> {
///     Ok(side_effect(hostname).await)
/// }
/// ```
pub fn side_effect<T, F>(closure: F) -> SideEffect<F, T>
where
    F: FnOnce() -> T,
    T: Recorded,
{
    SideEffect { closure, encode: |encoder, value| encoder.encode(value), decode: codec::decode }
}

/// What [`side_effect`] returns: await it in a workflow.
#[must_use = "a side effect does nothing until a workflow awaits it: add `.await`"]
pub struct SideEffect<F, T> {
    closure: F,
    encode: fn(Encoder, &T) -> Result<Payload, CodecError>,
    decode: fn(&Payload) -> Result<T, CodecError>,
}

impl<F, T> Sealed for SideEffect<F, T> {}

#[diagnostic::do_not_recommend]
impl<T, F: FnOnce() -> T> Durable for SideEffect<F, T> {
    type Output = T;
    type Operation = SideEffectFuture<F, T>;

    fn into_operation(self) -> SideEffectFuture<F, T> {
        SideEffectFuture(Some(self))
    }
}

/// An awaited [`SideEffect`].
#[doc(hidden)]
pub struct SideEffectFuture<F, T>(Option<SideEffect<F, T>>);

// Nothing in it is pinned: the closure is moved out before it runs.
impl<F, T> Unpin for SideEffectFuture<F, T> {}

impl<T, F: FnOnce() -> T> Future for SideEffectFuture<F, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        let Some(SideEffect { closure, encode, decode }) = self.0.take() else { return Poll::Pending };
        let (op, recorded, encoder) = context::with("side_effect", |cx| {
            let op = cx.next_op();
            let recorded = cx.recorded(&op);
            (op, recorded, cx.encoder())
        });
        let value = match recorded {
            Some(value) => Ok(value),
            None => encode(encoder, &closure()),
        };
        context::with("side_effect", |cx| {
            let decoded = value.and_then(|value| Ok((decode(&value)?, value)));
            match decoded {
                Ok((decoded, value)) => {
                    cx.note(Entry::Value(OpValue { op, value }));
                    Poll::Ready(decoded)
                }
                Err(error) => {
                    cx.fail(format!("the value of side_effect at {op} cannot be recorded or read: {error}"));
                    Poll::Pending
                }
            }
        })
    }
}
