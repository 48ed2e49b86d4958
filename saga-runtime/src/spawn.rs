//! Where tasks run: on tokio, or on what a test puts in its place.

use std::future::Future;
#[cfg(feature = "test")]
use std::sync::Arc;

use tokio::task::AbortHandle;

#[cfg(feature = "test")]
use crate::erased::BoxFuture;

/// Starts tasks. Injected, so that a test decides which task goes on next.
#[derive(Clone)]
pub(crate) enum Spawner {
    /// On the runtime of whoever calls.
    Tokio,
    /// On a test's own executor.
    #[cfg(feature = "test")]
    Executor(Arc<dyn Executor>),
}

/// An executor beside tokio.
#[cfg(feature = "test")]
pub(crate) trait Executor: Send + Sync {
    /// Starts a task.
    fn spawn(&self, task: BoxFuture<'static, ()>) -> Task;

    /// Whether somebody lets a task go on that yields.
    fn steps(&self) -> bool;
}

/// A task that was started. Dropping the handle lets the task go on.
pub(crate) enum Task {
    Tokio(AbortHandle),
    #[cfg(feature = "test")]
    Executor(Box<dyn Fn() + Send + Sync>),
}

impl Spawner {
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Task {
        match self {
            Self::Tokio => Task::Tokio(tokio::spawn(task).abort_handle()),
            #[cfg(feature = "test")]
            Self::Executor(executor) => executor.spawn(Box::pin(task)),
        }
    }

    /// Lets the other tasks that are ready have their turn.
    pub(crate) async fn yield_now(&self) {
        match self {
            Self::Tokio => tokio::task::yield_now().await,
            // Tokio would wake the task only when the test's own task has returned to it, which
            // waits for the tasks: to the executor it would look as if nothing could happen.
            #[cfg(feature = "test")]
            Self::Executor(executor) => {
                // Where nobody steps a task would never go on.
                let mut yielded = !executor.steps();
                std::future::poll_fn(|cx| {
                    if std::mem::replace(&mut yielded, true) {
                        return std::task::Poll::Ready(());
                    }
                    cx.waker().wake_by_ref();
                    std::task::Poll::Pending
                })
                .await;
            }
        }
    }
}

impl Task {
    /// Whether it has ended, by itself or with the runtime that it was on.
    pub(crate) fn is_over(&self) -> bool {
        match self {
            Self::Tokio(handle) => handle.is_finished(),
            // A test's executor lives as long as what is spawned on it is of use.
            #[cfg(feature = "test")]
            Self::Executor(_) => false,
        }
    }

    /// Drops the task's future at its current await; nothing if it has ended.
    pub(crate) fn abort(&self) {
        match self {
            Self::Tokio(handle) => handle.abort(),
            #[cfg(feature = "test")]
            Self::Executor(abort) => abort(),
        }
    }
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task").finish_non_exhaustive()
    }
}
