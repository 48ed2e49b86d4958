//! How the orders' runs stand, from the store.

use std::collections::HashMap;

use anyhow::Context;
use saga_runtime::{Client, Codec};
use saga_store::wire::{self, Conclusion};
use saga_store::{Query, RunState, RunView};

use crate::saga::{OrderError, Refusal, order_saga};

/// So many runs are read at once.
const PAGE: usize = 2_000;

/// How an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OrderState {
    /// It has no run.
    Absent,
    /// Its run has not ended.
    Open,
    /// It completed.
    Completed,
    /// It failed in the course of business.
    Refused(Refusal),
    /// It failed because something did not work.
    Failed,
    /// It was cancelled.
    Cancelled,
    /// It was terminated, or it is dead: nothing was taken back, and an operator has to look.
    Stuck,
}

impl OrderState {
    /// Whether its run has ended.
    pub(crate) fn has_ended(self) -> bool {
        !matches!(self, Self::Absent | Self::Open)
    }

    fn of(view: &RunView) -> Self {
        match view.state {
            RunState::Completed => Self::Completed,
            RunState::Failed => refusal(view).map_or(Self::Failed, Self::Refused),
            RunState::Cancelled => Self::Cancelled,
            RunState::Terminated | RunState::Dead => Self::Stuck,
            _ => Self::Open,
        }
    }
}

/// Why the shop refused the order of a failed run.
fn refusal(view: &RunView) -> Option<Refusal> {
    match wire::decode(view.conclusion.as_ref()?) {
        Ok(Conclusion::Failed { error, .. }) => Codec::decode::<OrderError>(&error).ok()?.refusal(),
        _ => None,
    }
}

/// How the orders' runs stand.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    states: HashMap<String, OrderState>,
}

impl Runs {
    /// Reads all of them.
    pub(crate) async fn read(client: &Client) -> anyhow::Result<Self> {
        let mut states = HashMap::new();
        let mut query = Query { workflow: Some(order_saga::NAME.to_owned()), limit: PAGE, ..Query::default() };
        loop {
            let page = client.list(&query).await.context("cannot list the runs")?;
            states.extend(page.runs.iter().map(|view| (view.id.to_string(), OrderState::of(view))));
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(Self { states }),
            }
        }
    }

    /// How an order stands.
    pub(crate) fn state(&self, order: &str) -> OrderState {
        self.states.get(order).copied().unwrap_or(OrderState::Absent)
    }

    #[cfg(test)]
    pub(crate) fn of(states: &[(&str, OrderState)]) -> Self {
        Self { states: states.iter().map(|(id, state)| ((*id).to_owned(), *state)).collect() }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use saga_runtime::ActivityError;
    use saga_store::wire::Payload;
    use saga_store::{ExecutionId, RunId, Timestamp};

    use super::*;
    use crate::shop::PaymentError;

    fn view(state: RunState, conclusion: Option<Bytes>) -> RunView {
        RunView {
            id: RunId::new("ORD-1").unwrap(),
            execution: ExecutionId::from_bytes([0; 16]),
            workflow: order_saga::NAME.to_owned(),
            version: 1,
            lane: String::new(),
            priority: 0,
            state,
            created_at: Timestamp::from_micros(0),
            updated_at: Timestamp::from_micros(0),
            attributes: Vec::new(),
            memo: None,
            status: None,
            conclusion,
        }
    }

    fn failed(error: &str) -> Bytes {
        let error = Payload::json(error.as_bytes().to_vec());
        wire::encode(&Conclusion::Failed { error, message: String::new() })
    }

    #[test]
    fn a_failed_run_says_why_the_shop_refused() {
        let declined = OrderError::Payment(ActivityError::Failed(PaymentError::Declined));
        let conclusion = Some(failed(&serde_json::to_string(&declined).unwrap()));
        assert_eq!(OrderState::of(&view(RunState::Failed, conclusion)), OrderState::Refused(Refusal::Declined));
    }

    #[test]
    fn a_failure_that_is_no_refusal_or_cannot_be_read_is_a_failure() {
        assert_eq!(OrderState::of(&view(RunState::Failed, Some(failed("{\"Unknown\":1}")))), OrderState::Failed);
        assert_eq!(OrderState::of(&view(RunState::Failed, None)), OrderState::Failed);
    }

    #[test]
    fn a_run_that_waits_for_an_operator_is_at_an_end_but_not_a_good_one() {
        assert_eq!(OrderState::of(&view(RunState::Dead, None)), OrderState::Stuck);
        assert!(OrderState::Stuck.has_ended());
        assert!(!OrderState::of(&view(RunState::Undoing, None)).has_ended());
    }
}
