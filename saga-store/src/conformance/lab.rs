//! What the tests share: a fresh store, ids that no two of them share, and short ways to say
//! what a test is not about.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Mutex;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use crate::{
    Applied, Blob, BlobId, BuildId, Claim, ClaimedRun, CommitOutcome, Delivery, ExecutionId, Filter, Gathering,
    Incarnation, LoadedRun, Message, MessageId, NewRun, NodeInfo, Nonce, OnExisting, Query, Row, RunCommit, RunId,
    RunState, RunView, Seq, Started, StateChange, Store, Target, Then, Timestamp,
};

/// The workflow of all runs that do not say otherwise.
pub const WORKFLOW: &str = "order";
/// The build of all workers that do not say otherwise.
pub const BUILD: &str = "build-1";
/// Long enough that no test lasts so long.
pub const HOUR: Duration = Duration::from_secs(3600);

/// A store and all that a test needs around it.
#[derive(Debug)]
pub struct Lab<S> {
    /// The store under test.
    pub store: S,
    base: Timestamp,
    count: Cell<u64>,
}

impl<S: Store> Lab<S> {
    /// Around a fresh store.
    pub fn new(store: S) -> Self {
        Self { store, base: Timestamp::from_system_clock(), count: Cell::new(0) }
    }

    /// A number that this lab has not given before.
    pub fn number(&self) -> u64 {
        self.count.set(self.count.get() + 1);
        self.count.get()
    }

    /// What a UUID of version 7 is made of, later than the one before.
    fn uuid_parts(&self) -> (Timestamp, [u8; 10]) {
        let number = self.number();
        let mut random = [7; 10];
        random[2..].copy_from_slice(&number.to_be_bytes());
        (self.base.after(Duration::from_millis(number)), random)
    }

    /// A new execution's id, later than all before.
    pub fn execution(&self) -> ExecutionId {
        let (at, random) = self.uuid_parts();
        ExecutionId::generate(at, &random)
    }

    /// A new message's id.
    pub fn message_id(&self) -> MessageId {
        let (at, random) = self.uuid_parts();
        MessageId::generate(at, &random)
    }

    /// A new blob with these bytes.
    pub fn blob(&self, bytes: impl Into<Bytes>) -> Blob {
        let (at, random) = self.uuid_parts();
        Blob { id: BlobId::generate(at, &random), bytes: bytes.into() }
    }

    /// A worker's new life that has not joined.
    pub fn incarnation(&self) -> Incarnation {
        let (at, random) = self.uuid_parts();
        Incarnation::generate(at, &random)
    }

    /// A worker about to join.
    pub fn node(incarnation: Incarnation) -> NodeInfo {
        let build = BuildId(BUILD.into());
        NodeInfo { name: "worker".to_owned(), incarnation, build, lease: Duration::from_secs(12) }
    }

    /// A worker that has joined.
    pub async fn worker(&self) -> Incarnation {
        let incarnation = self.incarnation();
        let node = Self::node(incarnation);
        self.store.join(&node).await.expect("a worker can join");
        incarnation
    }

    /// The store's time.
    pub async fn now(&self) -> Timestamp {
        let worker = self.worker().await;
        let now = self.store.beat(worker).await.expect("a member can beat").now;
        self.store.leave(worker).await.expect("a member can leave");
        now
    }

    /// A run to start, with an execution of its own.
    pub fn new_run(&self, id: &str) -> NewRun {
        NewRun {
            id: run_id(id),
            execution: self.execution(),
            workflow: WORKFLOW.to_owned(),
            version: 1,
            lane: "main".to_owned(),
            priority: 0,
            not_before: None,
            attributes: Vec::new(),
            memo: None,
            input_digest: 11,
            first: Bytes::from_static(b"record 0"),
            nonce: Nonce(self.number()),
            blobs: Vec::new(),
            messages: Vec::new(),
            claim_for: None,
            on_existing: OnExisting::Return,
        }
    }

    /// Starts one run and gives the answer.
    pub async fn start(&self, new: NewRun) -> Started {
        let mut answers = self.store.start(vec![new]).await.expect("a start is answered");
        assert_eq!(answers.len(), 1, "one start has one answer");
        answers.remove(0)
    }

    /// Starts a run that nobody owns.
    pub async fn pending(&self, id: &str) -> ExecutionId {
        self.started(self.new_run(id)).await
    }

    /// Starts a run that this worker owns.
    pub async fn owned(&self, id: &str, worker: Incarnation) -> ExecutionId {
        self.started(NewRun { claim_for: Some(worker), ..self.new_run(id) }).await
    }

    /// Starts a run that must be new.
    pub async fn started(&self, new: NewRun) -> ExecutionId {
        let execution = new.execution;
        assert_eq!(self.start(new).await, Started::New);
        execution
    }

    /// A commit of one row and nothing else.
    pub fn append(&self, execution: ExecutionId, owner: Incarnation, seq: u64) -> RunCommit {
        RunCommit {
            rows: vec![row(format!("record {seq}"))],
            ..RunCommit::empty(execution, owner, Seq(seq), Nonce(self.number()))
        }
    }

    /// A commit that lets the run go until a moment or a message.
    pub fn release(
        &self,
        execution: ExecutionId,
        owner: Incarnation,
        seq: u64,
        wake_at: Option<Timestamp>,
    ) -> RunCommit {
        let then = Then::Release { wake_at, not_build: None };
        RunCommit { then, ..self.append(execution, owner, seq) }
    }

    /// A commit that ends the run.
    pub fn end(&self, execution: ExecutionId, owner: Incarnation, seq: u64) -> RunCommit {
        let conclusion = Some(Bytes::from_static(b"conclusion"));
        let change = Some(StateChange { state: RunState::Completed, conclusion });
        RunCommit { then: Then::End, change, ..self.append(execution, owner, seq) }
    }

    /// Commits and gives the answer.
    pub async fn commit(&self, commit: RunCommit) -> CommitOutcome {
        let mut answers = self.store.commit(vec![commit]).await.expect("a commit is answered");
        assert_eq!(answers.len(), 1, "one commit has one answer");
        answers.remove(0)
    }

    /// Commits what must be applied.
    pub async fn apply(&self, commit: RunCommit) -> Applied {
        match self.commit(commit).await {
            CommitOutcome::Applied(applied) => applied,
            other => panic!("the commit should have been applied, but the store answered {other:?}"),
        }
    }

    /// Starts a run and ends it.
    pub async fn ended(&self, id: &str, worker: Incarnation) -> ExecutionId {
        let execution = self.owned(id, worker).await;
        self.apply(self.end(execution, worker, 1)).await;
        execution
    }

    /// A request for this lab's workflow.
    pub fn request(worker: Incarnation, slots: usize) -> Claim {
        Claim {
            incarnation: worker,
            filter: Filter { workflows: vec![(WORKFLOW.to_owned(), 1)] },
            build: BuildId(BUILD.into()),
            slots,
        }
    }

    /// Claims with room for many.
    pub async fn claim(&self, worker: Incarnation) -> Vec<ClaimedRun> {
        self.claim_by(&Self::request(worker, 100)).await
    }

    /// Claims.
    pub async fn claim_by(&self, claim: &Claim) -> Vec<ClaimedRun> {
        self.store.claim(claim).await.expect("a claim is answered")
    }

    /// Takes a dead worker's runs, as many as there are.
    pub async fn adopt(&self, dead: Incarnation, by: Incarnation) -> Vec<ClaimedRun> {
        self.store.adopt(dead, by, 100).await.expect("an adoption is answered")
    }

    /// A message to an execution.
    pub fn message(&self, to: ExecutionId) -> Message {
        let id = self.message_id();
        Message { id, to: Target::Execution(to), body: Bytes::from(format!("message {id}")) }
    }

    /// Delivers one message.
    pub async fn deliver(&self, message: Message) -> Delivery {
        let mut answers = self.store.deliver(vec![message]).await.expect("a delivery is answered");
        assert_eq!(answers.len(), 1, "one message has one answer");
        answers.remove(0)
    }

    /// Puts a new message into the inbox of an execution and gives its id.
    pub async fn send(&self, to: ExecutionId) -> MessageId {
        let message = self.message(to);
        let id = message.id;
        assert_eq!(self.deliver(message).await, Delivery::New(to));
        id
    }

    /// The messages of a worker's runs that are on their way.
    pub async fn outbox(&self, worker: Incarnation) -> Vec<MessageId> {
        let rows = self.store.outbox(worker, 100).await.expect("the outbox can be read");
        rows.into_iter().map(|(_, message)| message.id).collect()
    }

    /// An execution with its journal and inbox.
    pub async fn load(&self, execution: ExecutionId) -> LoadedRun {
        let mut runs = self.store.load(&[execution]).await.expect("a run can be loaded");
        assert_eq!(runs.len(), 1, "one run was asked for and is there");
        runs.remove(0)
    }

    /// The bodies of the journal's rows.
    pub async fn journal(&self, execution: ExecutionId) -> Vec<Bytes> {
        self.load(execution).await.journal.into_iter().map(|row| row.body).collect()
    }

    /// The positions and ids of the inbox.
    pub async fn inbox(&self, execution: ExecutionId) -> Vec<(u64, MessageId)> {
        let inbox = self.store.inbox(execution, 0).await.expect("an inbox can be read");
        inbox.into_iter().map(|message| (message.position, message.id)).collect()
    }

    /// What is known of an execution that exists.
    pub async fn view(&self, execution: ExecutionId) -> RunView {
        let view = self.store.get_execution(execution).await.expect("an execution can be read");
        view.expect("the execution exists")
    }

    /// The executions that a query finds on one page.
    pub async fn list(&self, query: &Query) -> Vec<ExecutionId> {
        let page = self.store.list(query).await.expect("runs can be listed");
        page.runs.into_iter().map(|view| view.execution).collect()
    }
}

/// Something that befalls a call on its way to the store, or back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Others have their turn before the call is made.
    Delay,
    /// The call fails before it reaches the store.
    Error,
    /// The connection is cut when the call has gone so many steps: whoever called is gone.
    Disconnect(usize),
    /// The call is made, and its answer is lost.
    AnswerLost,
}

impl Fault {
    /// All of them, with cuts at several places.
    pub const ALL: [Self; 8] = [
        Self::Delay,
        Self::Error,
        Self::Disconnect(1),
        Self::Disconnect(2),
        Self::Disconnect(3),
        Self::Disconnect(5),
        Self::Disconnect(9),
        Self::AnswerLost,
    ];

    /// Makes a call to which this happens. No answer means that nobody knows what came of it.
    pub async fn befalls<T>(self, call: impl Future<Output = T>) -> Option<T> {
        match self {
            Self::Delay => {
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
                Some(call.await)
            }
            Self::Error => None,
            Self::Disconnect(steps) => go(pin!(call).as_mut(), steps).await,
            Self::AnswerLost => {
                drop(call.await);
                None
            }
        }
    }
}

/// Lets a call go so many steps; its answer, if it came meanwhile.
pub(super) async fn go<T>(mut call: Pin<&mut impl Future<Output = T>>, steps: usize) -> Option<T> {
    let mut left = steps;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match call.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// A run's name.
pub fn run_id(id: &str) -> RunId {
    RunId::new(id).expect("the tests' ids are valid")
}

/// A row that is a record.
pub fn row(body: impl Into<Bytes>) -> Row {
    Row { body: body.into(), more: false }
}

/// Commits that come while a call waits for its turn.
#[derive(Debug, Default)]
pub struct Late(pub Mutex<Vec<RunCommit>>);

impl Gathering for Late {
    fn take_into(&self, commits: &mut Vec<RunCommit>) {
        commits.append(&mut self.0.lock().expect("no test panics while it holds it"));
    }
}

/// The same commit once more, as after a lost answer. (It must have no transactional step.)
pub fn again(commit: &RunCommit) -> RunCommit {
    assert!(commit.tx.is_none(), "a step's code cannot be copied");
    RunCommit {
        execution: commit.execution,
        owner: commit.owner,
        seq: commit.seq,
        nonce: commit.nonce,
        rows: commit.rows.clone(),
        blobs: commit.blobs.clone(),
        inbox_seen: commit.inbox_seen,
        outbox: commit.outbox.clone(),
        sent: commit.sent.clone(),
        change: commit.change.clone(),
        status: commit.status.clone(),
        then: commit.then.clone(),
        tx: None,
    }
}

/// The executions of some claimed runs, in their order.
pub fn executions(claimed: &[ClaimedRun]) -> Vec<ExecutionId> {
    claimed.iter().map(|run| run.execution).collect()
}
