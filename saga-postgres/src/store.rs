//! The store: each call of the contract.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use saga_store::{
    Beat, BlobId, Claim, ClaimedRun, CommitError, CommitOutcome, Delivery, Differences, ErrorKind, ExecutionId, Hint,
    HintStream, InboxMessage, Incarnation, Joined, LoadedRun, Message, MessageId, NewRun, NodeInfo, Page, Purged,
    Query, RunCommit, RunId, RunView, Started, Store, StoreError, Timestamp, Transacted, TxLimits, TxStep,
};

use crate::address::Address;
use crate::db::{Db, For};
use crate::error::Abort;
use crate::heads::Heads;
use crate::hints::Hints;
use crate::ledger::Ledger;
use crate::options::{Options, PostgresBuilder};
use crate::tx::{self, PostgresTx};
use crate::verbs::plain::{put_together, take_apart};
use crate::verbs::{commit, deliver, list, own, purge, read, start};
use crate::{KIND, migrate, sql};

/// The server works on two groups at a time, each in a session of its own.
const LANES: usize = 2;

/// How often a worker looks for runs that strangers own.
const SWEEP_EVERY: Duration = Duration::from_secs(15);

/// A store in a `PostgreSQL` database. A clone is another handle to the same store.
#[derive(Clone)]
pub struct PostgresStore {
    shared: Arc<Shared>,
}

struct Shared {
    db: Arc<Db>,
    hints: Arc<Hints>,
    heads: Arc<Heads>,
    turn: Mutex<Turn>,
    /// Held while a claim is under way: one at a time, so that its number says which it is.
    ledger: tokio::sync::Mutex<Ledger>,
}

/// What the claims of this store remember.
#[derive(Default)]
struct Turn {
    last_lane: Option<String>,
    swept: Option<Instant>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.db.close();
    }
}

impl PostgresBuilder {
    /// Opens the store.
    pub async fn connect(self) -> Result<PostgresStore, StoreError> {
        PostgresStore::open(&self.url, self.options).await
    }

    /// The statements that a DBA has to run before a store with these options can work; none if
    /// its tables are up to date. It changes nothing.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), saga_store::StoreError> {
    /// let store = saga_postgres::PostgresStore::builder("postgres://dba@db.example/shop");
    /// print!("{}", store.pending_migration().await?.unwrap_or_default());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn pending_migration(self) -> Result<Option<String>, StoreError> {
        let address = Address::parse(&self.url, |name| std::env::var(name).ok())?;
        migrate::pending(&*Db::new(address, &self.options)?).await
    }
}

impl PostgresStore {
    /// Opens a store with the default options: creates its tables, in the schema `saga`, or
    /// brings them up to date.
    ///
    /// The address is a URL as `libpq` takes it, completed from `PG*` variables:
    /// `postgres://user@host:port/database`, several hosts for a cluster
    /// (`postgres://a,b/shop`: the one that takes writes is chosen), or a socket's folder
    /// (`postgres:///shop?host=/var/run/postgresql`).
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::builder(url).connect().await
    }

    /// Options for a store that is about to be opened.
    pub fn builder(url: &str) -> PostgresBuilder {
        PostgresBuilder::new(url)
    }

    /// How this address is reached, completed from `PG*` variables as [`PostgresStore::connect`]
    /// does it: for a program's own sessions with the database.
    pub fn config(url: &str) -> Result<tokio_postgres::Config, StoreError> {
        let address = Address::parse(url, |name| std::env::var(name).ok())?;
        address.tls()?;
        Ok(address.config)
    }

    pub(crate) async fn open(url: &str, options: Options) -> Result<Self, StoreError> {
        let address = Address::parse(url, |name| std::env::var(name).ok())?;
        let db = Db::new(address, &options)?;
        migrate::prepare(&db, options.migrate).await?;
        let origin = db.query(For::Clients, sql::ORIGIN, &[]).await.map_err(|abort| db.call_error(abort))?;
        let (hints, session) = Hints::new(&db, origin.first().map(|row| row.get(0)).unwrap_or_default());
        tokio::spawn(session);
        let (hints, ledger) = (Arc::new(hints), tokio::sync::Mutex::default());
        Ok(Self { shared: Arc::new(Shared { db, hints, heads: Arc::default(), turn: Mutex::default(), ledger }) })
    }

    /// Begins a transaction of the program's own, in which runs can be started: they are there if,
    /// and only if, it commits.
    ///
    /// It is one of the store's sessions for transactions
    /// ([`PostgresBuilder::transaction_sessions`]). A statement in it, and a pause between two,
    /// may take 30 s each; `SET LOCAL` changes that. Dropped, it is rolled back.
    ///
    /// ```no_run
    /// # async fn example(store: saga_postgres::PostgresStore) -> Result<(), Box<dyn std::error::Error>> {
    /// let tx = store.begin().await?;
    /// tx.execute("INSERT INTO orders (id) VALUES ($1)", &[&"ORD-1"]).await?;
    /// tx.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn begin(&self) -> Result<PostgresTx<'static>, StoreError> {
        let shared = &self.shared;
        let beginning = PostgresTx::begin(&shared.db, &shared.hints, tx::OWN_LIMITS);
        match tokio::time::timeout(shared.db.wait, beginning).await {
            Ok(tx) => tx.map_err(|abort| self.failed(abort)),
            Err(_) => Err(StoreError::new(
                ErrorKind::Unavailable,
                "all sessions for transactions are busy; their number is an option of the store",
            )),
        }
    }

    fn db(&self) -> &Db {
        &self.shared.db
    }

    #[cfg(test)]
    pub(crate) fn database(&self) -> &Db {
        self.db()
    }

    fn failed(&self, abort: Abort) -> StoreError {
        self.db().call_error(abort)
    }

    fn turn<T>(&self, with: impl FnOnce(&mut Turn) -> T) -> T {
        with(&mut self.shared.turn.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn tell_all(&self, hints: Vec<Hint>) {
        self.shared.hints.send(hints);
    }

    async fn put(
        &self,
        messages: &[Message],
        claim: Option<&Claim>,
    ) -> Result<(Vec<Delivery>, Vec<ClaimedRun>), StoreError> {
        let delivered = deliver::deliver(self.db(), messages, claim).await.map_err(|abort| self.failed(abort))?;
        self.tell_all(delivered.hints);
        Ok((delivered.answers, delivered.claimed))
    }

    async fn sweep_in_turn(&self) -> Result<(), StoreError> {
        let now = Instant::now();
        let due = self.turn(|turn| {
            let due = turn.swept.is_none_or(|swept| now.duration_since(swept) >= SWEEP_EVERY);
            turn.swept = if due { Some(now) } else { turn.swept };
            due
        });
        if due && own::sweep(self.db()).await.map_err(|abort| self.failed(abort))? {
            self.tell_all(vec![Hint::Ready]);
        }
        Ok(())
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let db = self.db();
        f.debug_struct("PostgresStore").field("at", &db.address).field("schema", &db.schema).finish_non_exhaustive()
    }
}

impl Store for PostgresStore {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn commit_lanes(&self) -> usize {
        LANES
    }

    async fn join(&self, node: &NodeInfo) -> Result<Joined, StoreError> {
        self.db().leased(node.lease);
        own::join(self.db(), node).await.map_err(|abort| self.failed(abort))
    }

    async fn beat(&self, incarnation: Incarnation) -> Result<Beat, StoreError> {
        own::beat(self.db(), incarnation).await.map_err(|abort| self.failed(abort))
    }

    async fn leave(&self, incarnation: Incarnation) -> Result<(), StoreError> {
        self.shared.ledger.lock().await.forget(incarnation);
        self.shared.heads.forget_all_of(incarnation);
        if own::leave(self.db(), incarnation).await.map_err(|abort| self.failed(abort))? {
            self.tell_all(vec![Hint::Ready]);
        }
        Ok(())
    }

    async fn start(&self, runs: Vec<NewRun>) -> Result<Vec<Started>, StoreError> {
        let (answers, hints) =
            start::start(self.db(), &self.shared.heads, &runs).await.map_err(|abort| self.failed(abort))?;
        self.tell_all(hints);
        Ok(answers)
    }

    async fn commit(&self, commits: Vec<RunCommit>) -> Result<Vec<CommitOutcome>, CommitError> {
        let (plain, steps) = take_apart(commits);
        match commit::commit(self.db(), &self.shared.heads, &plain).await {
            Ok((outcomes, hints)) => {
                self.tell_all(hints);
                Ok(outcomes)
            }
            Err((abort, hints)) => {
                self.tell_all(hints);
                Err(CommitError { error: self.failed(abort), commits: put_together(plain, steps) })
            }
        }
    }

    async fn transact(&self, step: TxStep, limits: TxLimits) -> Result<Transacted, StoreError> {
        tx::transact(&self.shared.db, &self.shared.hints, &self.shared.heads, step, limits)
            .await
            .map_err(|abort| self.failed(abort))
    }

    fn start_within(&self, _: &mut NewRun) -> Option<&str> {
        Some(&self.db().schema)
    }

    fn tell(&self, hint: Hint) {
        self.shared.hints.send(vec![hint]);
    }

    async fn deliver(&self, messages: Vec<Message>) -> Result<Vec<Delivery>, StoreError> {
        Ok(self.put(&messages, None).await?.0)
    }

    async fn deliver_and_claim(
        &self,
        messages: Vec<Message>,
        claim: &Claim,
    ) -> Result<(Vec<Delivery>, Vec<ClaimedRun>), StoreError> {
        self.put(&messages, Some(claim)).await
    }

    async fn claim(&self, claim: &Claim) -> Result<Vec<ClaimedRun>, StoreError> {
        self.sweep_in_turn().await?;
        let last = self.turn(|turn| turn.last_lane.clone());
        let mut ledger = self.shared.ledger.lock().await;
        let ticket = ledger.begin(claim.incarnation);
        let answer = own::claim(self.db(), claim, last.as_deref(), ticket).await;
        let (claimed, lane, hints) = answer.map_err(|abort| self.failed(abort))?;
        ledger.settle(claim.incarnation);
        if lane.is_some() {
            self.turn(|turn| turn.last_lane = lane);
        }
        self.tell_all(hints);
        Ok(claimed)
    }

    async fn adopt(&self, dead: Incarnation, by: Incarnation, max: usize) -> Result<Vec<ClaimedRun>, StoreError> {
        let adopted = {
            let mut ledger = self.shared.ledger.lock().await;
            let ticket = ledger.begin(by);
            let answer = own::adopt(self.db(), dead, by, max, ticket).await;
            let adopted = answer.map_err(|abort| self.failed(abort))?;
            ledger.settle(by);
            adopted
        };
        if adopted.len() < max {
            // What is given is given: a worker that is not forgotten now is forgotten later.
            if let Err(abort) = own::bury(self.db(), dead).await {
                tracing::debug!(error = %self.failed(abort), worker = %dead, "a dead worker is not forgotten yet");
            }
        }
        Ok(adopted)
    }

    async fn reconcile(
        &self,
        owner: Incarnation,
        driven: &[ExecutionId],
        max: usize,
    ) -> Result<Differences, StoreError> {
        own::reconcile(self.db(), owner, driven, max).await.map_err(|abort| self.failed(abort))
    }

    async fn next_wake(&self) -> Result<Option<Timestamp>, StoreError> {
        read::next_wake(self.db()).await.map_err(|abort| self.failed(abort))
    }

    async fn load(&self, executions: &[ExecutionId]) -> Result<Vec<LoadedRun>, StoreError> {
        read::load(self.db(), executions).await.map_err(|abort| self.failed(abort))
    }

    async fn inbox(&self, execution: ExecutionId, after: u64) -> Result<Vec<InboxMessage>, StoreError> {
        read::inbox(self.db(), execution, after).await.map_err(|abort| self.failed(abort))
    }

    async fn outbox(&self, owner: Incarnation, limit: usize) -> Result<Vec<(ExecutionId, Message)>, StoreError> {
        read::outbox(self.db(), owner, limit).await.map_err(|abort| self.failed(abort))
    }

    async fn forget(&self, messages: Vec<MessageId>) -> Result<(), StoreError> {
        deliver::forget(self.db(), &messages).await.map_err(|abort| self.failed(abort))
    }

    async fn blobs(&self, execution: ExecutionId, ids: &[BlobId]) -> Result<Vec<(BlobId, Bytes)>, StoreError> {
        read::blobs(self.db(), execution, ids).await.map_err(|abort| self.failed(abort))
    }

    fn hints(&self) -> Box<dyn HintStream> {
        Box::new(self.shared.hints.listen())
    }

    async fn get(&self, id: &RunId) -> Result<Option<RunView>, StoreError> {
        read::get(self.db(), id).await.map_err(|abort| self.failed(abort))
    }

    async fn get_execution(&self, execution: ExecutionId) -> Result<Option<RunView>, StoreError> {
        read::get_execution(self.db(), execution).await.map_err(|abort| self.failed(abort))
    }

    async fn ended(&self, executions: &[ExecutionId]) -> Result<Vec<ExecutionId>, StoreError> {
        read::ended(self.db(), executions).await.map_err(|abort| self.failed(abort))
    }

    async fn list(&self, query: &Query) -> Result<Page, StoreError> {
        list::list(self.db(), query).await.map_err(|abort| self.failed(abort))
    }

    async fn purge(&self, before: Timestamp, budget: usize) -> Result<Purged, StoreError> {
        purge::purge(self.db(), before, budget).await.map_err(|abort| self.failed(abort))
    }

    async fn purge_these(&self, executions: &[ExecutionId]) -> Result<Vec<ExecutionId>, StoreError> {
        purge::purge_these(self.db(), executions).await.map_err(|abort| self.failed(abort))
    }
}
