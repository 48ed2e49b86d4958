//! Any store behind one type: a box for each call, which carries a whole batch.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use saga_store::{
    Beat, BlobId, Claim, ClaimedRun, CommitError, CommitOutcome, Delivery, Differences, ExecutionId, Gathering, Hint,
    HintStream, InboxMessage, Incarnation, Joined, LoadedRun, Message, MessageId, NewRun, NodeInfo, Page, Purged,
    Query, RunCommit, RunId, RunView, Started, Store, StoreError, Timestamp, Transacted, TxLimits, TxStep,
};

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// The verbs of [`Store`] that the engine and clients use.
pub(crate) trait AnyStore: Send + Sync + 'static {
    fn kind(&self) -> &'static str;
    fn commit_lanes(&self) -> usize;
    fn join<'a>(&'a self, node: &'a NodeInfo) -> Answer<'a, Joined>;
    fn beat(&self, incarnation: Incarnation) -> Answer<'_, Beat>;
    fn leave(&self, incarnation: Incarnation) -> Answer<'_, ()>;
    fn start(&self, runs: Vec<NewRun>) -> Answer<'_, Vec<Started>>;
    fn commit(&self, commits: Vec<RunCommit>) -> BoxFuture<'_, Result<Vec<CommitOutcome>, CommitError>>;
    fn commit_gathering(
        &self,
        commits: Vec<RunCommit>,
        gathering: Arc<dyn Gathering>,
    ) -> BoxFuture<'_, Result<Vec<CommitOutcome>, CommitError>>;
    fn transact(&self, step: TxStep, limits: TxLimits) -> Answer<'_, Transacted>;
    fn start_within(&self, run: &mut NewRun) -> Option<&str>;
    fn tell(&self, hint: Hint);
    fn deliver(&self, messages: Vec<Message>) -> Answer<'_, Vec<Delivery>>;
    fn deliver_and_claim<'a>(
        &'a self,
        messages: Vec<Message>,
        claim: &'a Claim,
    ) -> Answer<'a, (Vec<Delivery>, Vec<ClaimedRun>)>;
    fn claim<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Vec<ClaimedRun>>;
    fn adopt(&self, dead: Incarnation, by: Incarnation, max: usize) -> Answer<'_, Vec<ClaimedRun>>;
    fn reconcile<'a>(&'a self, owner: Incarnation, driven: &'a [ExecutionId], max: usize) -> Answer<'a, Differences>;
    fn next_wake(&self) -> Answer<'_, Option<Timestamp>>;
    fn load<'a>(&'a self, executions: &'a [ExecutionId]) -> Answer<'a, Vec<LoadedRun>>;
    fn inbox(&self, execution: ExecutionId, after: u64) -> Answer<'_, Vec<InboxMessage>>;
    fn outbox(&self, owner: Incarnation, limit: usize) -> Answer<'_, Vec<(ExecutionId, Message)>>;
    fn forget(&self, messages: Vec<MessageId>) -> Answer<'_, ()>;
    fn blobs<'a>(&'a self, execution: ExecutionId, ids: &'a [BlobId]) -> Answer<'a, Vec<(BlobId, Bytes)>>;
    fn hints(&self) -> Box<dyn HintStream>;
    fn get<'a>(&'a self, id: &'a RunId) -> Answer<'a, Option<RunView>>;
    fn get_execution(&self, execution: ExecutionId) -> Answer<'_, Option<RunView>>;
    fn ended<'a>(&'a self, executions: &'a [ExecutionId]) -> Answer<'a, Vec<ExecutionId>>;
    fn list<'a>(&'a self, query: &'a Query) -> Answer<'a, Page>;
    fn purge(&self, before: Timestamp, budget: usize) -> Answer<'_, Purged>;
    fn purge_these<'a>(&'a self, executions: &'a [ExecutionId]) -> Answer<'a, Vec<ExecutionId>>;
}

impl<S: Store> AnyStore for S {
    fn kind(&self) -> &'static str {
        Store::kind(self)
    }

    fn commit_lanes(&self) -> usize {
        Store::commit_lanes(self)
    }

    fn join<'a>(&'a self, node: &'a NodeInfo) -> Answer<'a, Joined> {
        Box::pin(Store::join(self, node))
    }

    fn beat(&self, incarnation: Incarnation) -> Answer<'_, Beat> {
        Box::pin(Store::beat(self, incarnation))
    }

    fn leave(&self, incarnation: Incarnation) -> Answer<'_, ()> {
        Box::pin(Store::leave(self, incarnation))
    }

    fn start(&self, runs: Vec<NewRun>) -> Answer<'_, Vec<Started>> {
        Box::pin(Store::start(self, runs))
    }

    fn commit(&self, commits: Vec<RunCommit>) -> BoxFuture<'_, Result<Vec<CommitOutcome>, CommitError>> {
        Box::pin(Store::commit(self, commits))
    }

    fn commit_gathering(
        &self,
        commits: Vec<RunCommit>,
        gathering: Arc<dyn Gathering>,
    ) -> BoxFuture<'_, Result<Vec<CommitOutcome>, CommitError>> {
        Box::pin(Store::commit_gathering(self, commits, gathering))
    }

    fn transact(&self, step: TxStep, limits: TxLimits) -> Answer<'_, Transacted> {
        Box::pin(Store::transact(self, step, limits))
    }

    fn start_within(&self, run: &mut NewRun) -> Option<&str> {
        Store::start_within(self, run)
    }

    fn tell(&self, hint: Hint) {
        Store::tell(self, hint);
    }

    fn deliver(&self, messages: Vec<Message>) -> Answer<'_, Vec<Delivery>> {
        Box::pin(Store::deliver(self, messages))
    }

    fn deliver_and_claim<'a>(
        &'a self,
        messages: Vec<Message>,
        claim: &'a Claim,
    ) -> Answer<'a, (Vec<Delivery>, Vec<ClaimedRun>)> {
        Box::pin(Store::deliver_and_claim(self, messages, claim))
    }

    fn claim<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Vec<ClaimedRun>> {
        Box::pin(Store::claim(self, claim))
    }

    fn adopt(&self, dead: Incarnation, by: Incarnation, max: usize) -> Answer<'_, Vec<ClaimedRun>> {
        Box::pin(Store::adopt(self, dead, by, max))
    }

    fn reconcile<'a>(&'a self, owner: Incarnation, driven: &'a [ExecutionId], max: usize) -> Answer<'a, Differences> {
        Box::pin(Store::reconcile(self, owner, driven, max))
    }

    fn next_wake(&self) -> Answer<'_, Option<Timestamp>> {
        Box::pin(Store::next_wake(self))
    }

    fn load<'a>(&'a self, executions: &'a [ExecutionId]) -> Answer<'a, Vec<LoadedRun>> {
        Box::pin(Store::load(self, executions))
    }

    fn inbox(&self, execution: ExecutionId, after: u64) -> Answer<'_, Vec<InboxMessage>> {
        Box::pin(Store::inbox(self, execution, after))
    }

    fn outbox(&self, owner: Incarnation, limit: usize) -> Answer<'_, Vec<(ExecutionId, Message)>> {
        Box::pin(Store::outbox(self, owner, limit))
    }

    fn forget(&self, messages: Vec<MessageId>) -> Answer<'_, ()> {
        Box::pin(Store::forget(self, messages))
    }

    fn blobs<'a>(&'a self, execution: ExecutionId, ids: &'a [BlobId]) -> Answer<'a, Vec<(BlobId, Bytes)>> {
        Box::pin(Store::blobs(self, execution, ids))
    }

    fn hints(&self) -> Box<dyn HintStream> {
        Store::hints(self)
    }

    fn get<'a>(&'a self, id: &'a RunId) -> Answer<'a, Option<RunView>> {
        Box::pin(Store::get(self, id))
    }

    fn get_execution(&self, execution: ExecutionId) -> Answer<'_, Option<RunView>> {
        Box::pin(Store::get_execution(self, execution))
    }

    fn ended<'a>(&'a self, executions: &'a [ExecutionId]) -> Answer<'a, Vec<ExecutionId>> {
        Box::pin(Store::ended(self, executions))
    }

    fn list<'a>(&'a self, query: &'a Query) -> Answer<'a, Page> {
        Box::pin(Store::list(self, query))
    }

    fn purge(&self, before: Timestamp, budget: usize) -> Answer<'_, Purged> {
        Box::pin(Store::purge(self, before, budget))
    }

    fn purge_these<'a>(&'a self, executions: &'a [ExecutionId]) -> Answer<'a, Vec<ExecutionId>> {
        Box::pin(Store::purge_these(self, executions))
    }
}
