//! Several things at once. Each branch has a scope of its own, so that the ids of its operations
//! do not depend on how the branches interleave.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use saga_store::wire::OpId;

use crate::context::{self, Branch};
use crate::durable::{Durable, sealed::Sealed};

/// Awaits durable things at the same time and gives all their outputs, as a tuple in the order
/// written. Records nothing of its own, and what all of them begin with is one commit. A crash goes on
/// with each where it stood; a cancel undoes them all.
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

/// Awaits all of these at the same time and gives their outputs in the same order. Records nothing of
/// its own, and what all of them begin with is one commit. A crash goes on with each where it stood; a
/// cancel undoes them all.
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

#[diagnostic::do_not_recommend]
impl<D: Durable> Durable for JoinAll<D> {
    type Output = Vec<D::Output>;
    type Operation = JoinAllFuture<D>;

    fn into_operation(self) -> JoinAllFuture<D> {
        let items: Vec<_> =
            self.0.into_iter().map(|item| Item::Running(None, Box::pin(item.into_operation()))).collect();
        JoinAllFuture { running: items.len(), items, op: None }
    }
}

/// An awaited [`JoinAll`].
#[doc(hidden)]
pub struct JoinAllFuture<D: Durable> {
    items: Vec<Item<D>>,
    /// Its place, once it has begun.
    op: Option<OpId>,
    running: usize,
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
        // A branch for which nothing came would find nothing: with many of them, to poll each
        // after each arrival would take the square of their number.
        let woken = match &self.op {
            Some(join) => context::with("join_all", |context| context.woken_branches(join)),
            None => {
                self.begin();
                None
            }
        };
        match woken {
            Some(woken) => {
                for branch in woken {
                    self.poll_branch(usize::try_from(branch).unwrap_or(usize::MAX), cx);
                }
            }
            None => (0..self.items.len()).for_each(|branch| self.poll_branch(branch, cx)),
        }
        if self.running > 0 {
            return Poll::Pending;
        }
        let done = std::mem::take(&mut self.items);
        Poll::Ready(
            done.into_iter().filter_map(|item| if let Item::Done(output) = item { output } else { None }).collect(),
        )
    }
}

impl<D: Durable> JoinAllFuture<D> {
    fn begin(&mut self) {
        let join = context::with("join_all", context::Context::next_op);
        for (index, item) in (0..).zip(&mut self.items) {
            if let Item::Running(branch, _) = item {
                *branch = Some(Branch::new(&join, index));
            }
        }
        self.op = Some(join);
    }

    fn poll_branch(&mut self, index: usize, cx: &mut Context<'_>) {
        let Some(item) = self.items.get_mut(index) else { return };
        if let Item::Running(Some(branch), operation) = item
            && let Poll::Ready(output) = branch.within(|| operation.as_mut().poll(cx))
        {
            *item = Item::Done(Some(output));
            self.running -= 1;
        }
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

#[diagnostic::do_not_recommend]
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::task::Waker;

    use saga_store::Timestamp;
    use saga_store::wire::Entry;

    use super::*;
    use crate::context::{Arrival, Context as RunContext, Decision};

    /// Waits for one arrival, for a place of its own or one that it is given, and counts its polls.
    struct Probe {
        op: Option<OpId>,
        polls: Rc<Cell<u32>>,
    }

    impl Sealed for Probe {}

    impl Durable for Probe {
        type Output = ();
        type Operation = Self;

        fn into_operation(self) -> Self {
            self
        }
    }

    impl Future for Probe {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            self.polls.set(self.polls.get() + 1);
            context::with("a probe", |cx| {
                let op = self.op.get_or_insert_with(|| begin(cx));
                cx.take(op).map_or(Poll::Pending, |_| Poll::Ready(()))
            })
        }
    }

    fn begin(cx: &mut RunContext) -> OpId {
        let op = cx.next_op();
        cx.decide(op.clone(), Decision::new(Entry::TimerFired(op.clone()), None));
        op
    }

    struct Joined {
        context: Option<Box<RunContext>>,
        future: JoinAllFuture<Probe>,
        polls: Vec<Rc<Cell<u32>>>,
    }

    impl Joined {
        /// Of so many branches; the last one waits for something that began before the join.
        fn of(branches: usize) -> Self {
            let mut context = Box::new(RunContext::new(
                saga_store::ExecutionId::from_bytes([1; 16]),
                "".into(),
                1,
                Timestamp::from_micros(0),
                crate::codec::Encoder::default(),
            ));
            let before = begin(&mut context);
            let polls: Vec<_> = (0..branches).map(|_| Rc::default()).collect();
            let probe = |(at, polls): (usize, &Rc<Cell<u32>>)| Probe {
                op: (at + 1 == branches).then(|| before.clone()),
                polls: Rc::clone(polls),
            };
            let future = join_all(polls.iter().enumerate().map(probe)).into_operation();
            Self { context: Some(context), future, polls }
        }

        fn poll(&mut self) -> bool {
            let context = self.context.take().expect("it is given back");
            let future = &mut self.future;
            let (mut context, polled) =
                context::enter(context, || Pin::new(future).poll(&mut Context::from_waker(Waker::noop())));
            context.end_poll();
            self.context = Some(context);
            polled.is_ready()
        }

        fn arrive(&mut self, path: &[u32]) {
            let context = self.context.as_mut().expect("it is given back");
            context.arrive(&OpId::from(path), Arrival::Fired);
        }

        fn polls(&self) -> Vec<u32> {
            self.polls.iter().map(|polls| polls.get()).collect()
        }
    }

    #[test]
    fn an_arrival_polls_the_branch_that_waits_for_it_and_no_other() {
        let mut joined = Joined::of(4);
        assert!(!joined.poll());
        assert_eq!(joined.polls(), [1, 1, 1, 1]);
        joined.arrive(&[1, 2, 0]);
        assert!(!joined.poll());
        assert_eq!(joined.polls(), [1, 1, 2, 1]);
        joined.arrive(&[1, 1, 0]);
        joined.arrive(&[1, 0, 0]);
        assert!(!joined.poll());
        assert_eq!(joined.polls(), [2, 2, 2, 1]);
    }

    #[test]
    fn a_branch_is_polled_for_what_began_elsewhere() {
        let mut joined = Joined::of(2);
        assert!(!joined.poll());
        joined.arrive(&[0]);
        assert!(!joined.poll());
        assert_eq!(joined.polls(), [1, 2]);
        joined.arrive(&[1, 0, 0]);
        assert!(joined.poll());
        assert_eq!(joined.polls(), [2, 2]);
    }

    #[test]
    fn without_a_known_arrival_every_branch_is_polled() {
        let mut joined = Joined::of(3);
        assert!(!joined.poll() && !joined.poll());
        assert_eq!(joined.polls(), [2, 2, 2]);
    }
}
