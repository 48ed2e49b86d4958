//! Starts within users' own transactions: a run is there if, and only if, the transaction commits.

use std::pin::pin;

use saga_store::{NewRun, StartTx, StartedInTx};
use tokio_postgres::Transaction;

use super::{PostgresTransactions, PostgresTx};
use crate::error::Abort;
use crate::verbs::start;

impl StartTx<PostgresTransactions> for PostgresTx<'_> {
    /// A step that starts a run tells the workers when it is committed.
    fn start<'t>(&'t mut self, schema: &'t str, run: NewRun) -> StartedInTx<'t> {
        Box::pin(async move {
            let started = self.watch(pin!(start::start_within(&self.session, schema, &run))).await;
            self.state().started = true;
            let place = &self.db.address.place;
            started.map_err(Abort::from).and_then(|answer| answer).map_err(|abort| abort.into_call_error(place))
        })
    }
}

impl StartTx<PostgresTransactions> for Transaction<'_> {
    fn start<'t>(&'t mut self, schema: &'t str, run: NewRun) -> StartedInTx<'t> {
        Box::pin(async move {
            let started = start::start_within(self.client(), schema, &run).await;
            let place = "the transaction's database";
            started.map_err(Abort::from).and_then(|answer| answer).map_err(|abort| abort.into_call_error(place))
        })
    }
}
