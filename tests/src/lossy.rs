//! A store that loses what may be lost: hints always, and answers to claims and starts when told to. It
//! holds up starts of ids too, as an open transaction does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use saga_store::{
    Claim, ClaimedRun, Delivery, ErrorKind, Hint, HintStream, Incarnation, Message, NewRun, Started, Store, StoreError,
};

/// A store around a store, without hints. A clone is the same one.
#[derive(Debug, Clone)]
pub struct Lossy<S> {
    inner: S,
    claims: Arc<AtomicUsize>,
    lost: Arc<tokio::sync::Notify>,
    starts: Arc<Mutex<Starts>>,
    refused: Arc<tokio::sync::Notify>,
}

#[derive(Debug, Default)]
struct Starts {
    held: BTreeSet<String>,
    stalled: BTreeSet<String>,
    /// How many answers to starts are lost.
    lost: usize,
    /// In the order in which they were sent.
    sent: BTreeMap<String, Vec<NewRun>>,
}

impl<S: Store> Lossy<S> {
    /// Around this store.
    pub fn new(inner: S) -> Self {
        Self { inner, claims: Arc::default(), lost: Arc::default(), starts: Arc::default(), refused: Arc::default() }
    }

    /// Loses the next answer that gives runs, to a claim, a takeover or a delivery.
    pub fn lose_a_claim(&self) {
        self.claims.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until such an answer is lost.
    pub async fn lost(&self) {
        self.lost.notified().await;
    }

    /// Starts of this id get no answer from now on, nor do those that are sent with them.
    pub fn hold(&self, id: &str) {
        self.starts().held.insert(id.to_owned());
    }

    /// Starts of this id do not end from now on.
    pub fn stall(&self, id: &str) {
        self.starts().stalled.insert(id.to_owned());
    }

    /// Loses the answers to the next so many calls that start runs.
    pub fn lose_starts(&self, calls: usize) {
        self.starts().lost = calls;
    }

    /// They do again.
    pub fn release(&self, id: &str) {
        self.starts().held.remove(id);
    }

    /// Waits until a start is held up.
    pub async fn refused(&self) {
        self.refused.notified().await;
    }

    /// Whether the starts of this id were for a worker, in the order in which they were sent.
    pub fn claims_of(&self, id: &str) -> Vec<bool> {
        self.starts_of(id).iter().map(|run| run.claim_for.is_some()).collect()
    }

    /// The starts of this id, in the order in which they were sent.
    pub fn starts_of(&self, id: &str) -> Vec<NewRun> {
        self.starts().sent.get(id).cloned().unwrap_or_default()
    }

    fn starts(&self) -> MutexGuard<'_, Starts> {
        self.starts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the caller hears of runs that it was given.
    fn told(&self, given: Vec<ClaimedRun>) -> Vec<ClaimedRun> {
        let one_less = |count: usize| count.checked_sub(1);
        let lost =
            !given.is_empty() && self.claims.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok();
        if lost {
            self.lost.notify_one();
        }
        if lost { Vec::new() } else { given }
    }
}

struct Nothing;

impl HintStream for Nothing {
    fn next(&mut self) -> std::pin::Pin<Box<dyn Future<Output = Option<Hint>> + Send + '_>> {
        Box::pin(std::future::pending())
    }
}

impl<S: Store> Store for Lossy<S> {
    saga_store::forward! {
        kind join beat leave commit reconcile next_wake load inbox outbox forget blobs get
        get_execution ended list purge purge_these
    }

    async fn start(&self, runs: Vec<NewRun>) -> Result<Vec<Started>, StoreError> {
        let held = {
            let mut starts = self.starts();
            for run in &runs {
                starts.sent.entry(run.id.to_string()).or_default().push(run.clone());
            }
            runs.iter().find(|run| starts.held.contains(run.id.as_str())).map(|run| run.id.clone())
        };
        if let Some(id) = held {
            self.refused.notify_one();
            return Err(StoreError::new(ErrorKind::Unavailable, format!("somebody holds the id {id}")));
        }
        if runs.iter().any(|run| self.starts().stalled.contains(run.id.as_str())) {
            self.refused.notify_one();
            std::future::pending::<()>().await;
        }
        let answers = self.inner.start(runs).await?;
        let lost = {
            let mut starts = self.starts();
            let lost = starts.lost > 0;
            starts.lost = starts.lost.saturating_sub(1);
            lost
        };
        if lost {
            return Err(StoreError::new(ErrorKind::Unavailable, "the answer was lost"));
        }
        Ok(answers)
    }

    async fn deliver(&self, messages: Vec<Message>) -> Result<Vec<Delivery>, StoreError> {
        self.inner.deliver(messages).await
    }

    async fn deliver_and_claim(
        &self,
        messages: Vec<Message>,
        claim: &Claim,
    ) -> Result<(Vec<Delivery>, Vec<ClaimedRun>), StoreError> {
        let (answers, given) = self.inner.deliver_and_claim(messages, claim).await?;
        let some = !given.is_empty();
        let told = self.told(given);
        if some && told.is_empty() {
            return Err(StoreError::new(ErrorKind::Unavailable, "the answer was lost"));
        }
        Ok((answers, told))
    }

    async fn claim(&self, claim: &Claim) -> Result<Vec<ClaimedRun>, StoreError> {
        Ok(self.told(self.inner.claim(claim).await?))
    }

    async fn adopt(&self, dead: Incarnation, by: Incarnation, max: usize) -> Result<Vec<ClaimedRun>, StoreError> {
        Ok(self.told(self.inner.adopt(dead, by, max).await?))
    }

    fn hints(&self) -> Box<dyn HintStream> {
        Box::new(Nothing)
    }
}
