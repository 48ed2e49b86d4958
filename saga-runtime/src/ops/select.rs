//! The first of several things, and all of them unless one fails. What is let go is dropped: its
//! attempts are aborted and what it did is undone, while the workflow goes on.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::join::Side;
use crate::context::{self, Branch};
use crate::durable::{Durable, sealed::Sealed};

/// Awaits durable things at the same time and goes on with the first that is done; if several are
/// at once, the one that is written first. The others are dropped: their attempts are aborted,
/// and what they did is undone. The winner, its value and what the workflow decides next are one
/// record; the drop adds an entry to it.
///
/// A crash before that record waits for all branches again, where each stood; after it the winner is
/// the same, and the undo of the others goes on. A cancel undoes what all branches have done.
///
/// ```
/// # use saga_runtime::prelude::*;
/// # use std::time::Duration;
/// # #[derive(serde::Serialize, serde::Deserialize, Event)]
/// # struct Approval { by: String }
/// #[workflow]
/// async fn approval_or_timeout() -> saga_runtime::Result<String> {
///     let by = select! {
///         approval = event::<Approval>() => approval.by,
///         () = sleep(Duration::from_secs(86_400)) => "nobody".to_owned(),
///     };
///     Ok(by)
/// }
/// ```
#[macro_export]
macro_rules! select {
    ($first:pat = $a:expr => $on_first:expr, $second:pat = $b:expr => $on_second:expr $(,)?) => {
        match $crate::__private::SelectPair::new($a, $b).__saga_durable().await {
            $crate::__private::Either::Left($first) => $on_first,
            $crate::__private::Either::Right($second) => $on_second,
        }
    };
    ($first:pat = $a:expr => $on_first:expr, $second:pat = $b:expr => $on_second:expr,
     $third:pat = $c:expr => $on_third:expr $(,)?) => {
        match $crate::__private::SelectPair::new($a, $crate::__private::SelectPair::new($b, $c)).__saga_durable().await
        {
            $crate::__private::Either::Left($first) => $on_first,
            $crate::__private::Either::Right($crate::__private::Either::Left($second)) => $on_second,
            $crate::__private::Either::Right($crate::__private::Either::Right($third)) => $on_third,
        }
    };
    ($first:pat = $a:expr => $on_first:expr, $second:pat = $b:expr => $on_second:expr,
     $third:pat = $c:expr => $on_third:expr, $fourth:pat = $d:expr => $on_fourth:expr $(,)?) => {
        match $crate::__private::SelectPair::new(
            $crate::__private::SelectPair::new($a, $b),
            $crate::__private::SelectPair::new($c, $d),
        )
        .__saga_durable()
        .await
        {
            $crate::__private::Either::Left($crate::__private::Either::Left($first)) => $on_first,
            $crate::__private::Either::Left($crate::__private::Either::Right($second)) => $on_second,
            $crate::__private::Either::Right($crate::__private::Either::Left($third)) => $on_third,
            $crate::__private::Either::Right($crate::__private::Either::Right($fourth)) => $on_fourth,
        }
    };
}

/// Awaits durable things that return a `Result` at the same time: all values as a tuple in the
/// order written, or the first error. On an error the others are dropped: their attempts are
/// aborted, and what they did is undone. Records nothing of its own; a drop adds an entry for each
/// side to the record of the error. A crash goes on with each where it stood; a cancel undoes them all.
///
/// `let (a, b) = try_join!(quote(x), quote(y)).await?;`
#[macro_export]
macro_rules! try_join {
    ($first:expr, $second:expr $(,)?) => {
        $crate::__private::TryJoinPair::new($first, $second, |a, b| (a, b))
    };
    ($first:expr, $second:expr, $third:expr $(,)?) => {
        $crate::__private::TryJoinPair::new($crate::try_join!($first, $second), $third, |(a, b), c| (a, b, c))
    };
    ($first:expr, $second:expr, $third:expr, $fourth:expr $(,)?) => {
        $crate::__private::TryJoinPair::new($crate::try_join!($first, $second, $third), $fourth, |(a, b, c), d| {
            (a, b, c, d)
        })
    };
    ($first:expr, $second:expr, $third:expr, $fourth:expr, $fifth:expr $(,)?) => {
        $crate::__private::TryJoinPair::new(
            $crate::try_join!($first, $second, $third, $fourth),
            $fifth,
            |(a, b, c, d), e| (a, b, c, d, e),
        )
    };
}

/// One of two.
#[doc(hidden)]
#[derive(Debug)]
pub enum Either<A, B> {
    /// The first.
    Left(A),
    /// The second.
    Right(B),
}

/// Two durable things of which the first that is done wins. What [`select!`](crate::select) is
/// made of.
#[doc(hidden)]
#[must_use = "a select does nothing until a workflow awaits it"]
pub struct SelectPair<A, B> {
    first: A,
    second: B,
}

impl<A: Durable, B: Durable> SelectPair<A, B> {
    /// A select of two.
    pub fn new(first: A, second: B) -> Self {
        Self { first, second }
    }
}

impl<A, B> Sealed for SelectPair<A, B> {}

#[diagnostic::do_not_recommend]
impl<A: Durable, B: Durable> Durable for SelectPair<A, B> {
    type Output = Either<A::Output, B::Output>;
    type Operation = SelectFuture<A, B>;

    fn into_operation(self) -> Self::Operation {
        SelectFuture { sides: Some((Side::new(self.first), Side::new(self.second))), branches: None }
    }
}

/// An awaited [`SelectPair`].
#[doc(hidden)]
pub struct SelectFuture<A: Durable, B: Durable> {
    sides: Option<(Side<A>, Side<B>)>,
    branches: Option<(Branch, Branch)>,
}

// The operations are boxed; outputs are moved, never pinned.
impl<A: Durable, B: Durable> Unpin for SelectFuture<A, B> {}

impl<A: Durable, B: Durable> Future for SelectFuture<A, B> {
    type Output = Either<A::Output, B::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let (left, right) = this.branches.get_or_insert_with(|| pair("select!"));
        let Some((first, second)) = &mut this.sides else { return Poll::Pending };
        let (winner, loser) = if first.poll(left, cx) {
            (first.take().map(Either::Left), right)
        } else if second.poll(right, cx) {
            (second.take().map(Either::Right), left)
        } else {
            return Poll::Pending;
        };
        context::with("select!", |context| context.drop_branch(loser));
        this.sides = None;
        winner.map_or(Poll::Pending, Poll::Ready)
    }
}

/// Two durable results at once, until one fails. What [`try_join!`](crate::try_join) is made of.
#[doc(hidden)]
#[must_use = "a join does nothing until a workflow awaits it: add `.await`"]
pub struct TryJoinPair<A, B, M> {
    first: A,
    second: B,
    merge: M,
}

impl<A, B, M, T, U, V, E> TryJoinPair<A, B, M>
where
    A: Durable<Output = Result<T, E>>,
    B: Durable<Output = Result<U, E>>,
    M: FnOnce(T, U) -> V,
{
    /// A join of two.
    pub fn new(first: A, second: B, merge: M) -> Self {
        Self { first, second, merge }
    }
}

impl<A, B, M> Sealed for TryJoinPair<A, B, M> {}

#[diagnostic::do_not_recommend]
impl<A, B, M, T, U, V, E> Durable for TryJoinPair<A, B, M>
where
    A: Durable<Output = Result<T, E>>,
    B: Durable<Output = Result<U, E>>,
    M: FnOnce(T, U) -> V,
{
    type Output = Result<V, E>;
    type Operation = TryJoinFuture<A, B, M, T, U>;

    fn into_operation(self) -> Self::Operation {
        TryJoinFuture {
            sides: Some((Side::new(self.first), Side::new(self.second))),
            done: (None, None),
            branches: None,
            merge: Some(self.merge),
        }
    }
}

/// An awaited [`TryJoinPair`].
#[doc(hidden)]
pub struct TryJoinFuture<A: Durable, B: Durable, M, T, U> {
    sides: Option<(Side<A>, Side<B>)>,
    done: (Option<T>, Option<U>),
    branches: Option<(Branch, Branch)>,
    merge: Option<M>,
}

// The operations are boxed; outputs are moved, never pinned.
impl<A: Durable, B: Durable, M, T, U> Unpin for TryJoinFuture<A, B, M, T, U> {}

impl<A, B, M, T, U, V, E> Future for TryJoinFuture<A, B, M, T, U>
where
    A: Durable<Output = Result<T, E>>,
    B: Durable<Output = Result<U, E>>,
    M: FnOnce(T, U) -> V,
{
    type Output = Result<V, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let (left, right) = this.branches.get_or_insert_with(|| pair("try_join!"));
        let Some((first, second)) = &mut this.sides else { return Poll::Pending };
        if first.poll(left, cx) {
            match first.take() {
                Some(Err(error)) => return let_go(&mut this.sides, right, error),
                Some(Ok(value)) => this.done.0 = Some(value),
                None => {}
            }
        }
        if second.poll(right, cx) {
            match second.take() {
                Some(Err(error)) => return let_go(&mut this.sides, left, error),
                Some(Ok(value)) => this.done.1 = Some(value),
                None => {}
            }
        }
        match (&this.done, this.merge.is_some()) {
            ((Some(_), Some(_)), true) => {}
            _ => return Poll::Pending,
        }
        match (this.done.0.take(), this.done.1.take(), this.merge.take()) {
            (Some(first), Some(second), Some(merge)) => Poll::Ready(Ok(merge(first, second))),
            _ => Poll::Pending,
        }
    }
}

/// One side has failed: the other is dropped, and what it did is undone.
fn let_go<S, V, E>(sides: &mut Option<S>, other: &Branch, error: E) -> Poll<Result<V, E>> {
    context::with("try_join!", |context| context.drop_branch(other));
    *sides = None;
    Poll::Ready(Err(error))
}

fn pair(what: &str) -> (Branch, Branch) {
    let op = context::with(what, context::Context::next_op);
    (Branch::new(&op, 0), Branch::new(&op, 1))
}
