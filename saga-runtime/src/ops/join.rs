//! Several things at once. Each branch has a scope of its own, so that the ids of its operations
//! do not depend on how the branches interleave.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::context::{self, Branch};
use crate::durable::{Durable, sealed::Sealed};

/// Awaits durable things at the same time and gives all their outputs, as a tuple in the order
/// written. Records nothing of its own.
///
/// `let (a, b) = join!(quote(x), quote(y)).await;`
#[macro_export]
macro_rules! join {
    ($first:expr, $second:expr $(,)?) => {
        $crate::__private::JoinPair::new($first, $second, |a, b| (a, b))
    };
    ($first:expr, $second:expr, $third:expr $(,)?) => {
        $crate::__private::JoinPair::new($crate::join!($first, $second), $third, |(a, b), c| (a, b, c))
    };
    ($first:expr, $second:expr, $third:expr, $fourth:expr $(,)?) => {
        $crate::__private::JoinPair::new($crate::join!($first, $second, $third), $fourth, |(a, b, c), d| (a, b, c, d))
    };
    ($first:expr, $second:expr, $third:expr, $fourth:expr, $fifth:expr $(,)?) => {
        $crate::__private::JoinPair::new($crate::join!($first, $second, $third, $fourth), $fifth, |(a, b, c, d), e| {
            (a, b, c, d, e)
        })
    };
}

/// Awaits all of these at the same time and gives their outputs in the same order. Records
/// nothing of its own.
pub fn join_all<I>(items: I) -> JoinAll<I::Item>
where
    I: IntoIterator,
    I::Item: Durable,
{
    JoinAll(items.into_iter().collect())
}

/// What [`join_all`] returns: await it in a workflow.
#[must_use = "a join does nothing until a workflow awaits it: add `.await`"]
#[derive(Debug)]
pub struct JoinAll<D>(Vec<D>);

impl<D> Sealed for JoinAll<D> {}

impl<D: Durable> Durable for JoinAll<D> {
    type Output = Vec<D::Output>;
    type Operation = JoinAllFuture<D>;

    fn into_operation(self) -> JoinAllFuture<D> {
        let pending = self.0.into_iter().map(|item| Item::Running(None, Box::pin(item.into_operation()))).collect();
        JoinAllFuture { items: pending, begun: false }
    }
}

/// An awaited [`JoinAll`].
#[doc(hidden)]
pub struct JoinAllFuture<D: Durable> {
    items: Vec<Item<D>>,
    begun: bool,
}

enum Item<D: Durable> {
    Running(Option<Branch>, Pin<Box<D::Operation>>),
    Done(Option<D::Output>),
}

// The operations are boxed; outputs are moved, never pinned.
impl<D: Durable> Unpin for JoinAllFuture<D> {}

impl<D: Durable> Future for JoinAllFuture<D> {
    type Output = Vec<D::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.begun {
            self.begun = true;
            let join = context::with("join_all", context::Context::next_op);
            for (index, item) in (0..).zip(&mut self.items) {
                if let Item::Running(branch, _) = item {
                    *branch = Some(Branch::new(&join, index));
                }
            }
        }
        let mut pending = false;
        for item in &mut self.items {
            if let Item::Running(Some(branch), operation) = item {
                match branch.within(|| operation.as_mut().poll(cx)) {
                    Poll::Ready(output) => *item = Item::Done(Some(output)),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending {
            return Poll::Pending;
        }
        let done = std::mem::take(&mut self.items);
        Poll::Ready(
            done.into_iter().filter_map(|item| if let Item::Done(output) = item { output } else { None }).collect(),
        )
    }
}

/// Two durable things at once, and how their outputs become one. What [`join!`] is made of.
#[must_use = "a join does nothing until a workflow awaits it: add `.await`"]
#[doc(hidden)]
pub struct JoinPair<A, B, M> {
    first: A,
    second: B,
    merge: M,
}

impl<A: Durable, B: Durable, M, T> JoinPair<A, B, M>
where
    M: FnOnce(A::Output, B::Output) -> T,
{
    /// A join of two.
    pub fn new(first: A, second: B, merge: M) -> Self {
        Self { first, second, merge }
    }
}

impl<A, B, M> Sealed for JoinPair<A, B, M> {}

impl<A: Durable, B: Durable, M, T> Durable for JoinPair<A, B, M>
where
    M: FnOnce(A::Output, B::Output) -> T,
{
    type Output = T;
    type Operation = JoinFuture<A, B, M>;

    fn into_operation(self) -> Self::Operation {
        JoinFuture {
            first: Side::new(self.first),
            second: Side::new(self.second),
            branches: None,
            merge: Some(self.merge),
        }
    }
}

/// One side of a pair, before and after its end.
pub(super) enum Side<D: Durable> {
    Running(Pin<Box<D::Operation>>),
    Done(Option<D::Output>),
}

impl<D: Durable> Side<D> {
    pub(super) fn new(durable: D) -> Self {
        Self::Running(Box::pin(durable.into_operation()))
    }

    /// Polls it in its branch; whether it is done.
    pub(super) fn poll(&mut self, branch: &mut Branch, cx: &mut Context<'_>) -> bool {
        if let Self::Running(operation) = self {
            match branch.within(|| operation.as_mut().poll(cx)) {
                Poll::Ready(output) => *self = Self::Done(Some(output)),
                Poll::Pending => return false,
            }
        }
        true
    }

    pub(super) fn take(&mut self) -> Option<D::Output> {
        match self {
            Self::Done(output) => output.take(),
            Self::Running(_) => None,
        }
    }
}

/// An awaited [`JoinPair`].
#[doc(hidden)]
pub struct JoinFuture<A: Durable, B: Durable, M> {
    first: Side<A>,
    second: Side<B>,
    branches: Option<(Branch, Branch)>,
    merge: Option<M>,
}

// The operations are boxed; the rest is moved, never pinned.
impl<A: Durable, B: Durable, M> Unpin for JoinFuture<A, B, M> {}

impl<A: Durable, B: Durable, M, T> Future for JoinFuture<A, B, M>
where
    M: FnOnce(A::Output, B::Output) -> T,
{
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = &mut *self;
        let (left, right) = this.branches.get_or_insert_with(|| {
            let join = context::with("join!", context::Context::next_op);
            (Branch::new(&join, 0), Branch::new(&join, 1))
        });
        let first_done = this.first.poll(left, cx);
        let second_done = this.second.poll(right, cx);
        if !(first_done && second_done) {
            return Poll::Pending;
        }
        match (this.first.take(), this.second.take(), this.merge.take()) {
            (Some(first), Some(second), Some(merge)) => Poll::Ready(merge(first, second)),
            _ => Poll::Pending,
        }
    }
}
