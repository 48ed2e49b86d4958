//! Many things at once: until one fails, and with a limit.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use saga_store::wire::OpId;

use crate::context::{self, Branch};
use crate::durable::{Durable, sealed::Sealed};

/// One of many, in a scope of its own.
struct Item<D: Durable> {
    branch: Branch,
    operation: Option<Pin<Box<D::Operation>>>,
    output: Option<D::Output>,
}

impl<D: Durable> Item<D> {
    fn new(place: &OpId, index: u32, durable: D) -> Self {
        let operation = Some(Box::pin(durable.into_operation()));
        Self { branch: Branch::new(place, index), operation, output: None }
    }

    /// Polls it, if it has not ended; whether it has.
    fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(operation) = &mut self.operation else { return true };
        match self.branch.within(|| operation.as_mut().poll(cx)) {
            Poll::Ready(output) => {
                self.output = Some(output);
                self.operation = None;
                true
            }
            Poll::Pending => false,
        }
    }
}

/// The branches for which something came, in order; `None` if any may be meant. With many branches,
/// to poll each after each arrival would take the square of their number.
fn woken(place: &OpId) -> Option<Vec<usize>> {
    let mut woken: Vec<usize> = context::with("a join", |context| context.woken_branches(place))?
        .into_iter()
        .filter_map(|branch| usize::try_from(branch).ok())
        .collect();
    woken.sort_unstable();
    Some(woken)
}

/// Awaits durable things that return a `Result` at the same time: all values in the same order, or
/// the first error. On an error the others are dropped, also those that had ended: their attempts
/// are aborted, and what they did is undone while the workflow goes on.
///
/// Records nothing of its own; a drop adds an entry for each item to the record of the error. A
/// crash goes on with each item where it stood; a cancel undoes them all.
///
/// ```
/// # use saga_runtime::prelude::*;
/// # #[activity(compensate = unpack(item))]
/// # async fn pack(item: u32) -> saga_runtime::Result<u32> { Ok(item) }
/// # #[activity]
/// # async fn unpack(item: u32) -> saga_runtime::Result<()> { let _ = item; Ok(()) }
/// #[workflow]
/// async fn pack_all(items: Vec<u32>) -> saga_runtime::Result<Vec<u32>> {
///     Ok(try_join_all(items.into_iter().map(pack)).await?)
/// }
/// ```
pub fn try_join_all<I, T, E>(items: I) -> TryJoinAll<I::Item>
where
    I: IntoIterator,
    I::Item: Durable<Output = Result<T, E>>,
{
    TryJoinAll(items.into_iter().collect())
}

/// What [`try_join_all`] returns: await it in a workflow.
#[must_use = "a join does nothing until a workflow awaits it: add `.await`"]
#[derive(Debug)]
pub struct TryJoinAll<D>(Vec<D>);

impl<D> Sealed for TryJoinAll<D> {}

#[diagnostic::do_not_recommend]
impl<D, T, E> Durable for TryJoinAll<D>
where
    D: Durable<Output = Result<T, E>>,
{
    type Output = Result<Vec<T>, E>;
    type Operation = TryJoinAllFuture<D>;

    fn into_operation(self) -> TryJoinAllFuture<D> {
        TryJoinAllFuture { running: self.0.len(), new: self.0, place: None, items: Vec::new() }
    }
}

/// An awaited [`TryJoinAll`].
#[doc(hidden)]
pub struct TryJoinAllFuture<D: Durable> {
    new: Vec<D>,
    place: Option<OpId>,
    items: Vec<Item<D>>,
    /// How many have not ended.
    running: usize,
}

// The operations are boxed; outputs are moved, never pinned.
impl<D: Durable> Unpin for TryJoinAllFuture<D> {}

impl<D, T, E> Future for TryJoinAllFuture<D>
where
    D: Durable<Output = Result<T, E>>,
{
    type Output = Result<Vec<T>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let woken = if let Some(place) = &this.place {
            woken(place)
        } else {
            let place = context::with("try_join_all", context::Context::next_op);
            let new = std::mem::take(&mut this.new);
            this.items = (0..).zip(new).map(|(index, durable)| Item::new(&place, index, durable)).collect();
            this.place = Some(place);
            None
        };
        for index in woken.unwrap_or_else(|| (0..this.items.len()).collect()) {
            let Some(item) = this.items.get_mut(index).filter(|item| item.operation.is_some()) else { continue };
            if !item.poll(cx) {
                continue;
            }
            this.running -= 1;
            if let Some(Err(error)) = item.output.take_if(|output| output.is_err()) {
                let others = this.items.iter().enumerate().filter(|(other, _)| *other != index);
                context::with("try_join_all", |context| {
                    others.for_each(|(_, item)| context.drop_branch(&item.branch));
                });
                this.items.clear();
                return Poll::Ready(Err(error));
            }
        }
        if this.running > 0 {
            return Poll::Pending;
        }
        let done = std::mem::take(&mut this.items);
        Poll::Ready(done.into_iter().filter_map(|item| item.output).collect())
    }
}

/// Does something durable for each item, at most `limit` at the same time (at least one), and gives
/// the outputs in the order of the items. The next item begins when one has ended, in the same
/// record.
///
/// Records nothing of its own. A crash goes on with the items that had begun where they stood; a
/// cancel undoes what was done.
///
/// ```
/// # use saga_runtime::prelude::*;
/// # #[activity]
/// # async fn send(mail: String) -> saga_runtime::Result<()> { let _ = mail; Ok(()) }
/// #[workflow]
/// async fn send_all(mails: Vec<String>) -> saga_runtime::Result<()> {
///     for sent in for_each_concurrent(10, mails, send).await {
///         sent?;
///     }
///     Ok(())
/// }
/// ```
pub fn for_each_concurrent<I, F, D>(limit: usize, items: I, each: F) -> ForEachConcurrent<I::Item, F>
where
    I: IntoIterator,
    F: FnMut(I::Item) -> D,
    D: Durable,
{
    ForEachConcurrent { limit: limit.max(1), items: items.into_iter().collect(), each }
}

/// What [`for_each_concurrent`] returns: await it in a workflow.
#[must_use = "it does nothing until a workflow awaits it: add `.await`"]
#[derive(Debug)]
pub struct ForEachConcurrent<T, F> {
    limit: usize,
    items: Vec<T>,
    each: F,
}

impl<T, F> Sealed for ForEachConcurrent<T, F> {}

#[diagnostic::do_not_recommend]
impl<T, F, D> Durable for ForEachConcurrent<T, F>
where
    F: FnMut(T) -> D,
    D: Durable,
{
    type Output = Vec<D::Output>;
    type Operation = ForEachFuture<T, F, D>;

    fn into_operation(self) -> ForEachFuture<T, F, D> {
        let Self { limit, items, each } = self;
        let outputs = items.iter().map(|_| None).collect();
        ForEachFuture {
            limit,
            items: items.into_iter(),
            each,
            place: None,
            begun: 0,
            running: BTreeMap::new(),
            outputs,
        }
    }
}

/// An awaited [`ForEachConcurrent`].
#[doc(hidden)]
pub struct ForEachFuture<T, F, D: Durable> {
    limit: usize,
    items: std::vec::IntoIter<T>,
    each: F,
    place: Option<OpId>,
    begun: u32,
    /// Those under way, by their numbers.
    running: BTreeMap<usize, Item<D>>,
    outputs: Vec<Option<D::Output>>,
}

// The operations are boxed; the rest is moved, never pinned.
impl<T, F, D: Durable> Unpin for ForEachFuture<T, F, D> {}

impl<T, F, D> Future for ForEachFuture<T, F, D>
where
    F: FnMut(T) -> D,
    D: Durable,
{
    type Output = Vec<D::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let place =
            this.place.get_or_insert_with(|| context::with("for_each_concurrent", context::Context::next_op)).clone();
        let woken = woken(&place);
        for index in woken.unwrap_or_else(|| this.running.keys().copied().collect()) {
            let Some(item) = this.running.get_mut(&index) else { continue };
            if item.poll(cx) {
                this.outputs[index] = item.output.take();
                this.running.remove(&index);
            }
        }
        while this.running.len() < this.limit
            && let Some(next) = this.items.next()
        {
            let mut item = Item::new(&place, this.begun, (this.each)(next));
            let index = this.begun as usize;
            this.begun += 1;
            if item.poll(cx) {
                this.outputs[index] = item.output.take();
            } else {
                this.running.insert(index, item);
            }
        }
        if !this.running.is_empty() {
            return Poll::Pending;
        }
        Poll::Ready(std::mem::take(&mut this.outputs).into_iter().flatten().collect())
    }
}
