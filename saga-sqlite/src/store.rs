//! The store: each call becomes a job of the writer or a read.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use saga_store::{
    Beat, BlobId, BuildId, Claim, ClaimedRun, CommitError, CommitOutcome, Delivery, Differences, ExecutionId,
    Gathering, HintStream, InboxMessage, Incarnation, Joined, LoadedRun, Message, MessageId, NewRun, NodeInfo, Page,
    Peer, Purged, Query, RunCommit, RunId, RunView, Started, Store, StoreError, Timestamp,
};
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::core::{Core, Member};
use crate::db::SqliteDb;
use crate::error::{Abort, closed};
use crate::hints::Hints;
use crate::lock::EngineLock;
use crate::options::{Options, SqliteBuilder};
use crate::write::{self, Call, Cx, Flush};
use crate::writer::Watcher;
use crate::{KIND, migrate, read, reconcile, url};

/// While the writer makes one group durable the next one is made.
const LANES: usize = 2;

/// What a call that may take many runs counts for in its group.
const MAX_WEIGHT: usize = 1_024;

/// The embedded store: one `SQLite` file. A clone is another handle to the same store.
///
/// Opening takes no lock: clients, audits and other tools may have the file open beside the
/// engine, in this process or another. The first worker that joins locks the file against
/// engines elsewhere, until the last one leaves or the store is dropped.
#[derive(Clone)]
pub struct SqliteStore {
    db: SqliteDb,
    core: Arc<Core>,
}

impl SqliteBuilder {
    /// Opens the file as a store; creates it and brings its schema up to date.
    pub async fn open(self) -> Result<SqliteStore, StoreError> {
        SqliteStore::open_with(self.path, self.options).await
    }
}

impl SqliteStore {
    /// Opens a file with the default options; creates it if there is none, and brings its schema
    /// up to date.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::builder(path).open().await
    }

    /// Opens the file that an address names: `sqlite://orders.db`, `sqlite:///var/lib/orders.db`.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::open(url::path_of(url)?).await
    }

    /// Options for a file that is about to be opened.
    pub fn builder(path: impl AsRef<Path>) -> SqliteBuilder {
        SqliteBuilder::new(path)
    }

    /// The file itself, for tables of your own beside the store's: see [`SqliteDb::setup`],
    /// [`SqliteDb::write`], [`SqliteDb::read`], [`SqliteDb::backup`], [`SqliteDb::stats`].
    pub fn db(&self) -> &SqliteDb {
        &self.db
    }

    pub(crate) async fn open_with(path: PathBuf, options: Options) -> Result<Self, StoreError> {
        let hints = Hints::new();
        let watcher = Arc::clone(&hints) as Arc<dyn Watcher>;
        let limit = options.transaction_limit;
        let db = SqliteDb::open_with(path, options, Some(&migrate::STORE), Some(watcher)).await?;
        let last = db.read(read::last_start).await?;
        let core = Core::new(Clock::not_before(last), hints, db.counters(), limit);
        Ok(Self { db, core: Arc::new(core) })
    }

    async fn call<T: Send + 'static>(
        &self,
        weight: usize,
        verb: impl FnMut(&mut Cx<'_, '_>) -> Result<T, Abort> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.call_flushed(weight, Flush::Now, verb).await
    }

    async fn call_flushed<T: Send + 'static>(
        &self,
        weight: usize,
        flush: Flush,
        verb: impl FnMut(&mut Cx<'_, '_>) -> Result<T, Abort> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (job, answered) = Call::job(&self.core, weight, flush, verb);
        self.db.submit(job);
        answered.await.map_err(|_| closed())?
    }

    async fn commit_group(
        &self,
        commits: Vec<RunCommit>,
        gathering: Option<Arc<dyn Gathering>>,
    ) -> Result<Vec<CommitOutcome>, CommitError> {
        let (reply, answered) = oneshot::channel();
        self.db.submit(Box::new(write::commit::CommitJob::new(&self.core, commits, gathering, reply)));
        match answered.await {
            Ok(answer) => answer.map(|(outcomes, _)| outcomes),
            // Only a writer that has panicked outside of any job drops one unanswered.
            Err(_) => Err(CommitError { error: closed(), commits: Vec::new() }),
        }
    }

    fn lock_for_engines(&self) -> Result<(), StoreError> {
        let mut members = self.core.members();
        if members.lock.is_none() {
            members.lock = Some(EngineLock::take(self.db.path())?);
        }
        Ok(())
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.db.path()).finish_non_exhaustive()
    }
}

impl Store for SqliteStore {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn commit_lanes(&self) -> usize {
        LANES
    }

    async fn join(&self, node: &NodeInfo) -> Result<Joined, StoreError> {
        self.lock_for_engines()?;
        // Whoever owns runs and is no member of this handle died before the lock was taken.
        let owners = self.db.read(read::owners).await?;
        let mut members = self.core.members();
        let dead = || Member { beats: 0, build: BuildId("".into()), lease: node.lease, dead: true };
        if !std::mem::replace(&mut members.surveyed, true) {
            for owner in owners {
                members.known.entry(owner).or_insert_with(dead);
            }
        }
        let proven_dead = members.known.iter().filter(|(_, member)| member.dead).map(|(id, _)| *id).collect();
        members.known.entry(node.incarnation).or_insert(Member { build: node.build.clone(), dead: false, ..dead() });
        Ok(Joined { now: self.core.clock.now(), proven_dead })
    }

    async fn beat(&self, incarnation: Incarnation) -> Result<Beat, StoreError> {
        let mut members = self.core.members();
        let alive = members.known.get_mut(&incarnation).filter(|member| !member.dead);
        let member = alive.map(|alive| alive.beats += 1).is_some();
        let peers = members
            .known
            .iter()
            .filter(|(other, _)| **other != incarnation)
            .map(|(other, peer)| Peer {
                incarnation: *other,
                build: peer.build.clone(),
                dead: peer.dead,
                beats: peer.beats,
                lease: peer.lease,
            })
            .collect();
        Ok(Beat { now: self.core.clock.now(), member, peers })
    }

    async fn leave(&self, incarnation: Incarnation) -> Result<(), StoreError> {
        self.call(1, move |cx| write::leave::leave(cx, incarnation)).await?;
        let mut members = self.core.members();
        members.known.remove(&incarnation);
        if !members.any_alive() {
            // Another engine may own runs before the next one joins here.
            *members = crate::core::Members::default();
        }
        Ok(())
    }

    async fn start(&self, runs: Vec<NewRun>) -> Result<Vec<Started>, StoreError> {
        self.call(runs.len(), move |cx| write::start::start(cx, &runs)).await
    }

    async fn commit(&self, commits: Vec<RunCommit>) -> Result<Vec<CommitOutcome>, CommitError> {
        self.commit_group(commits, None).await
    }

    async fn commit_gathering(
        &self,
        commits: Vec<RunCommit>,
        gathering: Arc<dyn Gathering>,
    ) -> Result<Vec<CommitOutcome>, CommitError> {
        self.commit_group(commits, Some(gathering)).await
    }

    async fn deliver(&self, messages: Vec<Message>) -> Result<Vec<Delivery>, StoreError> {
        self.call(messages.len(), move |cx| write::deliver::deliver(cx, &messages)).await
    }

    async fn deliver_and_claim(
        &self,
        messages: Vec<Message>,
        claim: &Claim,
    ) -> Result<(Vec<Delivery>, Vec<ClaimedRun>), StoreError> {
        let claim = claim.clone();
        self.call(messages.len(), move |cx| write::deliver::deliver_and_claim(cx, &messages, &claim)).await
    }

    async fn claim(&self, claim: &Claim) -> Result<Vec<ClaimedRun>, StoreError> {
        // Inside of a group a refusal would cost the others their transaction.
        self.core.require_member(claim.incarnation)?;
        let (claim, slots) = (claim.clone(), claim.slots.min(MAX_WEIGHT));
        // What the worker commits for the run is flushed, and the claim with it.
        let claim_it = move |cx: &mut Cx<'_, '_>| write::claim::claim(cx, &claim);
        self.call_flushed(slots, Flush::WithTheNext, claim_it).await
    }

    async fn adopt(&self, dead: Incarnation, by: Incarnation, max: usize) -> Result<Vec<ClaimedRun>, StoreError> {
        self.core.require_member(by)?;
        let adopt = move |cx: &mut Cx<'_, '_>| {
            let adopted = write::adopt::adopt(cx, dead, by, max)?;
            Ok((adopted, write::adopt::is_empty(cx, dead)?))
        };
        let (adopted, nothing_left) = self.call(max.min(MAX_WEIGHT), adopt).await?;
        if nothing_left {
            self.core.members().known.remove(&dead);
        }
        Ok(adopted)
    }

    async fn reconcile(
        &self,
        owner: Incarnation,
        driven: &[ExecutionId],
        max: usize,
    ) -> Result<Differences, StoreError> {
        let driven = driven.iter().copied().collect();
        self.db.read(move |conn| reconcile::reconcile(conn, owner, &driven, max)).await
    }

    async fn next_wake(&self) -> Result<Option<Timestamp>, StoreError> {
        self.db.read(read::next_wake).await
    }

    async fn load(&self, executions: &[ExecutionId]) -> Result<Vec<LoadedRun>, StoreError> {
        let executions = executions.to_vec();
        self.db.read(move |conn| read::load(conn, &executions)).await
    }

    async fn inbox(&self, execution: ExecutionId, after: u64) -> Result<Vec<InboxMessage>, StoreError> {
        self.db.read(move |conn| read::inbox(conn, execution, after)).await
    }

    async fn outbox(&self, owner: Incarnation, limit: usize) -> Result<Vec<(ExecutionId, Message)>, StoreError> {
        let core = Arc::clone(&self.core);
        // A message whose sender left without taking care of it is everybody's.
        let mine = move |sender| sender == owner || !core.members().known.contains_key(&sender);
        self.db.read(move |conn| read::outbox(conn, limit, mine)).await
    }

    async fn forget(&self, messages: Vec<MessageId>) -> Result<(), StoreError> {
        self.call(messages.len().min(MAX_WEIGHT), move |cx| write::deliver::forget(cx, &messages)).await
    }

    async fn blobs(&self, execution: ExecutionId, ids: &[BlobId]) -> Result<Vec<(BlobId, Bytes)>, StoreError> {
        let ids = ids.to_vec();
        self.db.read(move |conn| read::blobs(conn, execution, &ids)).await
    }

    fn hints(&self) -> Box<dyn HintStream> {
        let listener = self.core.hints.listen();
        self.db.wake_writer();
        Box::new(listener)
    }

    async fn get(&self, id: &RunId) -> Result<Option<RunView>, StoreError> {
        let id = id.clone();
        self.db.read(move |conn| read::get(conn, &id)).await
    }

    async fn get_execution(&self, execution: ExecutionId) -> Result<Option<RunView>, StoreError> {
        self.db.read(move |conn| read::get_execution(conn, execution)).await
    }

    async fn ended(&self, executions: &[ExecutionId]) -> Result<Vec<ExecutionId>, StoreError> {
        let executions = executions.to_vec();
        self.db.read(move |conn| reconcile::ended(conn, executions)).await
    }

    async fn list(&self, query: &Query) -> Result<Page, StoreError> {
        let query = query.clone();
        self.db.read(move |conn| read::list(conn, &query)).await
    }

    async fn purge(&self, before: Timestamp, budget: usize) -> Result<Purged, StoreError> {
        let mut purged = Purged { runs: 0, more: true };
        let mut left = budget;
        while left > 0 && purged.more {
            let batch = left.min(write::purge::BATCH);
            let done = self.call(batch, move |cx| write::purge::purge(cx, before, batch)).await?;
            purged = Purged { runs: purged.runs + done.runs, more: done.more };
            left -= batch;
        }
        if purged.runs > 0 {
            self.call(1, write::purge::vacuum).await?;
        }
        Ok(purged)
    }

    async fn purge_these(&self, executions: &[ExecutionId]) -> Result<Vec<ExecutionId>, StoreError> {
        let mut gone = Vec::with_capacity(executions.len());
        for batch in executions.chunks(write::purge::BATCH) {
            let batch = batch.to_vec();
            gone.extend(self.call(batch.len(), move |cx| write::purge::purge_these(cx, &batch)).await?);
        }
        if !gone.is_empty() {
            self.call(1, write::purge::vacuum).await?;
        }
        Ok(gone)
    }
}
