//! Starting a run within a transaction of the program's own.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;

use saga_store::{ErrorKind, StartTx, StoreError, Timestamp, TxFamily};

use super::draft::Draft;
use super::start::{Fresh, had_other_name};
use super::{ClientError, RunHandle, StartRun};
use crate::call::CallOptions;
use crate::workflow::Workflow;

impl<W: Workflow> StartRun<W> {
    /// Starts the run within a transaction of the program's own: the run is there if, and only
    /// if, that commits. Takes a `&mut PostgresTx<'_>`, of a transactional activity or of
    /// `PostgresStore::begin`, or a `&mut tokio_postgres::Transaction<'_>` of any connection with
    /// the store's database.
    ///
    /// Nothing is told to the workers from within the transaction, since it may yet be rolled
    /// back. A `PostgresTx` tells them when it is committed; after the commit of any other, call
    /// [`RunHandle::committed`], or a worker finds the run within ten seconds. A handle's other
    /// methods find the run once it is committed.
    ///
    /// Costs a round trip or two. An id that another open transaction has started is waited for,
    /// for as long as the transaction's `lock_timeout` or `statement_timeout` says; other starts
    /// and all runs go on. An error of the store fails the whole transaction.
    pub fn within<F, T>(mut self, tx: &mut T) -> StartWithin<'_, W>
    where
        F: TxFamily,
        T: StartTx<F>,
    {
        let starting: Pin<Box<dyn Future<Output = _> + Send + '_>> = match self.client.layers.clone() {
            None => Box::pin(async move {
                let (fresh, now) = self.fresh()?;
                let options = std::mem::take(&mut self.call.options);
                self.make_within(tx, &fresh, &options, now).await
            }),
            Some(layers) => Box::pin(async move {
                let (fresh, mut passage) = self.enter(&layers)?;
                while let Some((start, asker)) = passage.asked().await {
                    let now = self.client.parts.clock.now();
                    passage.make(asker, self.make_within(&mut *tx, &fresh, start.options(), now)).await;
                }
                passage.end()
            }),
        };
        StartWithin(starting)
    }

    async fn make_within<F, T>(
        &mut self,
        tx: &mut T,
        fresh: &Fresh,
        options: &CallOptions,
        now: Timestamp,
    ) -> Result<RunHandle<W>, ClientError>
    where
        F: TxFamily,
        T: StartTx<F>,
    {
        let parts = &self.client.parts;
        let kind = parts.store.kind();
        let mut name = W::NAME.to_owned();
        let started = loop {
            // Nobody knows whether it will be there: no worker takes it at once.
            let Draft { mut new, .. } = self.draft(fresh, &name, options, now)?;
            let Some(schema) = parts.store.start_within(&mut new).filter(|_| kind == F::STORE_KIND) else {
                let message = format!(
                    "a run of a \"{kind}\" store cannot be started within a transaction of a \"{}\" database",
                    F::STORE_KIND
                );
                return Err(StoreError::new(ErrorKind::Invalid, message).into());
            };
            match had_other_name::<W>(tx.start(schema, new).await?, &name) {
                Ok(started) => break started,
                Err(other) => name = other,
            }
        };
        self.handle(fresh, started)
    }
}

/// A run about to be started within a transaction: await it. See [`StartRun::within`].
#[must_use = "a run is started when this is awaited: add `.await`"]
pub struct StartWithin<'t, W>(Pin<Box<dyn Future<Output = Result<RunHandle<W>, ClientError>> + Send + 't>>);

impl<'t, W> IntoFuture for StartWithin<'t, W> {
    type Output = Result<RunHandle<W>, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 't>>;

    fn into_future(self) -> Self::IntoFuture {
        self.0
    }
}

impl<W> fmt::Debug for StartWithin<'_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartWithin").finish_non_exhaustive()
    }
}
