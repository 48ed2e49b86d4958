//! A store with one planted fault, around a store that has none.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use saga_store::conformance::lab::again;
use saga_store::{
    Applied, Beat, BlobId, BuildId, Claim, ClaimedRun, CommitError, CommitOutcome, Delivery, Differences, ErrorKind,
    ExecutionId, Hint, HintStream, InboxMessage, Incarnation, LoadedRun, Message, MessageId, NewRun, Nonce, OnExisting,
    Page, Purged, Query, RunCommit, Started, Store, StoreError, Then, Timestamp,
};

/// What is wrong with the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    // Starts.
    StartReplacesWhatIsThere,
    StartForgetsTheInput,
    StartFailsWithItsNeighbour,
    StartForgetsMessages,
    StartIgnoresItsMoment,
    StartIgnoresItsWorker,
    // The fence.
    CommitAppendsWhereverThereIsRoom,
    CommitForgetsItsNonce,
    RefusedCommitWritesBlobs,
    RefusedCommitConsumesMessages,
    RefusedCommitSends,
    // What a commit brings.
    CommitForgetsContinuation,
    CommitForgetsStatus,
    CommitForgetsTheChange,
    EndKeepsTheOwner,
    AnswersComeInAnyOrder,
    // Owners.
    ReleaseLosesUnseenMessages,
    ReleaseForgetsItsTime,
    ReleaseIsDueAtOnce,
    ClaimIgnoresItsRoom,
    LeaveKeepsTheRuns,
    AdoptionLooksLikeARelease,
    AdoptionTakesAll,
    DeathsAreNotCounted,
    UndrivenIsForgotten,
    LostIsForgotten,
    UnreadIsForgotten,
    // Order.
    ClaimIgnoresTheFilter,
    NotBuildIsForgotten,
    LanesAreOne,
    PriorityIsIgnored,
    // Waking.
    DeliveryGivesWhatItDoesNotTake,
    DeliveryIgnoresItsRoom,
    DeliveryIgnoresTheFilter,
    DeliveryForgetsNotBuild,
    // Members.
    EveryoneIsAMember,
    PeersAreForgotten,
    // Messages.
    DuplicateIsDelivered,
    PositionsBeginAgain,
    ConsumedIsGivenAgain,
    SentIsForgotten,
    OutboxIsLost,
    DeliveredStays,
    // Reads.
    NothingEnds,
    LoadSortsItsAnswers,
    ListIgnoresAttributes,
    ListEndsAfterOnePage,
    PrefixIsIgnored,
    TimesAreIgnored,
    // Purge.
    PurgeTakesTheYoung,
    PurgeIgnoresItsBudget,
    PurgeLeavesBlobs,
    PurgeByNameIsNotTold,
    // Hints.
    HintsEnd,
}

/// `inner` but for the fault.
pub(crate) struct Faulty<S> {
    inner: S,
    fault: Fault,
    count: AtomicU64,
    kept: Mutex<Kept>,
}

/// What a faulty store has that a right one has not.
#[derive(Default)]
struct Kept {
    blobs: BTreeMap<(ExecutionId, BlobId), Bytes>,
    consumed: BTreeMap<ExecutionId, u64>,
    sent: Vec<(ExecutionId, Message)>,
}

impl<S: Store> Faulty<S> {
    pub(crate) fn new(inner: S, fault: Fault) -> Self {
        Self { inner, fault, count: AtomicU64::new(1 << 32), kept: Mutex::default() }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn number(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    fn kept<T>(&self, with: impl FnOnce(&mut Kept) -> T) -> T {
        with(&mut self.kept.lock().unwrap())
    }

    fn keep_blobs(&self, commit: &RunCommit) {
        let blobs = commit.blobs.iter().map(|blob| ((commit.execution, blob.id), blob.bytes.clone()));
        self.kept(|kept| kept.blobs.extend(blobs));
    }

    fn spoil_start(&self, mut run: NewRun) -> NewRun {
        match self.fault {
            Fault::StartReplacesWhatIsThere => run.on_existing = OnExisting::ReplaceFinished,
            Fault::StartForgetsTheInput => run.input_digest = 0,
            Fault::StartForgetsMessages => run.messages.clear(),
            Fault::StartIgnoresItsMoment => run.not_before = None,
            Fault::StartIgnoresItsWorker => run.claim_for = None,
            Fault::LanesAreOne => "one".clone_into(&mut run.lane),
            Fault::PriorityIsIgnored => run.priority = 0,
            _ => {}
        }
        run
    }

    fn spoil_commit(&self, mut commit: RunCommit) -> RunCommit {
        match (self.fault, &mut commit.then) {
            (Fault::CommitForgetsItsNonce, _) => commit.nonce = Nonce(self.number()),
            (Fault::CommitForgetsContinuation, _) => commit.rows.iter_mut().for_each(|row| row.more = false),
            (Fault::CommitForgetsStatus, _) => commit.status = None,
            (Fault::CommitForgetsTheChange, _) => commit.change = None,
            (Fault::EndKeepsTheOwner, then @ Then::End) => *then = Then::Keep,
            (Fault::ReleaseLosesUnseenMessages, Then::Release { .. }) => commit.inbox_seen = Some(u64::from(u32::MAX)),
            (Fault::ReleaseIsDueAtOnce, Then::Release { wake_at, .. }) => *wake_at = Some(Timestamp::from_micros(0)),
            (Fault::ReleaseForgetsItsTime, Then::Release { wake_at, .. }) => *wake_at = None,
            (Fault::NotBuildIsForgotten, Then::Release { not_build, .. }) => *not_build = None,
            (Fault::ConsumedIsGivenAgain, _) => commit.inbox_seen = None,
            (Fault::SentIsForgotten, _) => commit.sent.clear(),
            (Fault::OutboxIsLost, _) => commit.outbox.clear(),
            (Fault::PurgeLeavesBlobs, _) => self.keep_blobs(&commit),
            _ => {}
        }
        commit
    }

    /// Keeps of a refused commit what the fault does not refuse.
    async fn after_refusal(&self, refused: RunCommit, outcome: CommitOutcome) -> CommitOutcome {
        let CommitOutcome::Refused { head: Some(head) } = outcome else { return outcome };
        let execution = refused.execution;
        match self.fault {
            Fault::CommitAppendsWhereverThereIsRoom => {
                let moved = RunCommit { seq: head.plus(1), ..refused };
                return self.inner.commit(vec![moved]).await.unwrap().remove(0);
            }
            Fault::RefusedCommitWritesBlobs => self.keep_blobs(&refused),
            Fault::RefusedCommitConsumesMessages => self.kept(|kept| {
                kept.consumed.extend(refused.inbox_seen.map(|seen| (execution, seen)));
            }),
            Fault::RefusedCommitSends => self.kept(|kept| {
                kept.sent.extend(refused.outbox.into_iter().map(|message| (execution, message)));
            }),
            _ => {}
        }
        outcome
    }

    fn spoil_inbox(&self, execution: ExecutionId, inbox: Vec<InboxMessage>) -> Vec<InboxMessage> {
        let renumber = |(position, message)| InboxMessage { position, ..message };
        match self.fault {
            Fault::PositionsBeginAgain => (1..).zip(inbox).map(renumber).collect(),
            Fault::RefusedCommitConsumesMessages => {
                let consumed = self.kept(|kept| kept.consumed.get(&execution).copied().unwrap_or_default());
                inbox.into_iter().filter(|message| message.position > consumed).collect()
            }
            _ => inbox,
        }
    }

    fn spoil_claimed(&self, mut claimed: Vec<ClaimedRun>) -> Vec<ClaimedRun> {
        for run in &mut claimed {
            run.taken_over &= !self.has(Fault::AdoptionLooksLikeARelease);
            if self.has(Fault::DeathsAreNotCounted) {
                run.deaths = 0;
            }
        }
        claimed
    }
}

impl<S: Store> Store for Faulty<S> {
    saga_store::forward! {
        kind join next_wake get get_execution
    }

    async fn beat(&self, incarnation: Incarnation) -> Result<Beat, StoreError> {
        let mut beat = self.inner.beat(incarnation).await?;
        beat.member |= self.has(Fault::EveryoneIsAMember);
        if self.has(Fault::PeersAreForgotten) {
            beat.peers.clear();
        }
        Ok(beat)
    }

    async fn leave(&self, incarnation: Incarnation) -> Result<(), StoreError> {
        if self.has(Fault::LeaveKeepsTheRuns) {
            return Ok(());
        }
        self.inner.leave(incarnation).await
    }

    async fn start(&self, runs: Vec<NewRun>) -> Result<Vec<Started>, StoreError> {
        let runs = runs.into_iter().map(|run| self.spoil_start(run)).collect();
        let mut answers = self.inner.start(runs).await?;
        let rejected = answers.iter().any(|answer| matches!(answer, Started::Rejected(_)));
        if rejected && self.has(Fault::StartFailsWithItsNeighbour) {
            return Err(StoreError::new(ErrorKind::Bug, "one row failed the batch"));
        }
        if self.has(Fault::AnswersComeInAnyOrder) {
            answers.reverse();
        }
        Ok(answers)
    }

    async fn commit(&self, commits: Vec<RunCommit>) -> Result<Vec<CommitOutcome>, CommitError> {
        let mut answers = Vec::new();
        for commit in commits {
            let commit = self.spoil_commit(commit);
            if commit.tx.is_some() {
                answers.extend(self.inner.commit(vec![commit]).await?);
                continue;
            }
            let outcome = self.inner.commit(vec![again(&commit)]).await?.remove(0);
            answers.push(match self.after_refusal(commit, outcome).await {
                CommitOutcome::Applied(_) if self.has(Fault::ReleaseLosesUnseenMessages) => {
                    CommitOutcome::Applied(Applied::default())
                }
                outcome => outcome,
            });
        }
        if self.has(Fault::AnswersComeInAnyOrder) {
            answers.reverse();
        }
        Ok(answers)
    }

    async fn deliver(&self, mut messages: Vec<Message>) -> Result<Vec<Delivery>, StoreError> {
        if self.has(Fault::DuplicateIsDelivered) {
            for message in &mut messages {
                message.id = MessageId::from_bytes(u128::from(self.number()).to_be_bytes());
            }
        }
        let mut answers = self.inner.deliver(messages).await?;
        if self.has(Fault::AnswersComeInAnyOrder) {
            answers.reverse();
        }
        Ok(answers)
    }

    async fn deliver_and_claim(
        &self,
        messages: Vec<Message>,
        claim: &Claim,
    ) -> Result<(Vec<Delivery>, Vec<ClaimedRun>), StoreError> {
        let mut claim = claim.clone();
        if self.has(Fault::DeliveryGivesWhatItDoesNotTake) {
            let answers = self.inner.deliver(messages).await?;
            let mut given = Vec::new();
            for answer in &answers {
                if let Delivery::New(execution) = answer
                    && let Some(view) = self.inner.get_execution(*execution).await?
                {
                    let (id, workflow, version) = (view.id, view.workflow, view.version);
                    let execution = *execution;
                    given.push(ClaimedRun { id, execution, workflow, version, taken_over: false, deaths: 0 });
                }
            }
            given.truncate(claim.slots);
            return Ok((answers, given));
        }
        if self.has(Fault::DeliveryIgnoresItsRoom) {
            claim.slots = 100;
        }
        if self.has(Fault::DeliveryIgnoresTheFilter) {
            claim.filter.workflows = vec![("order".to_owned(), 1)];
        }
        if self.has(Fault::DeliveryForgetsNotBuild) {
            claim.build = BuildId("another".into());
        }
        self.inner.deliver_and_claim(messages, &claim).await
    }

    async fn claim(&self, claim: &Claim) -> Result<Vec<ClaimedRun>, StoreError> {
        let mut claim = claim.clone();
        if self.has(Fault::ClaimIgnoresTheFilter) {
            let all = ["order", "refund"].into_iter().flat_map(|name| (1..3).map(move |version| (name, version)));
            claim.filter.workflows = all.map(|(name, version)| (name.to_owned(), version)).collect();
        }
        if self.has(Fault::NotBuildIsForgotten) {
            claim.build = BuildId("another".into());
        }
        if self.has(Fault::ClaimIgnoresItsRoom) {
            claim.slots = 100;
        }
        Ok(self.spoil_claimed(self.inner.claim(&claim).await?))
    }

    async fn adopt(&self, dead: Incarnation, by: Incarnation, max: usize) -> Result<Vec<ClaimedRun>, StoreError> {
        let max = if self.has(Fault::AdoptionTakesAll) { usize::MAX } else { max };
        Ok(self.spoil_claimed(self.inner.adopt(dead, by, max).await?))
    }

    async fn reconcile(
        &self,
        owner: Incarnation,
        driven: &[ExecutionId],
        max: usize,
    ) -> Result<Differences, StoreError> {
        let mut found = self.inner.reconcile(owner, driven, max).await?;
        if self.has(Fault::UndrivenIsForgotten) {
            found.undriven.clear();
        }
        if self.has(Fault::UnreadIsForgotten) {
            found.unread.clear();
        }
        if self.has(Fault::LostIsForgotten) {
            found.lost.clear();
        }
        Ok(found)
    }

    async fn load(&self, executions: &[ExecutionId]) -> Result<Vec<LoadedRun>, StoreError> {
        let mut executions = executions.to_vec();
        if self.has(Fault::LoadSortsItsAnswers) {
            executions.sort();
        }
        let mut runs = self.inner.load(&executions).await?;
        for run in &mut runs {
            run.inbox = self.spoil_inbox(run.view.execution, std::mem::take(&mut run.inbox));
        }
        Ok(runs)
    }

    async fn inbox(&self, execution: ExecutionId, after: u64) -> Result<Vec<InboxMessage>, StoreError> {
        Ok(self.spoil_inbox(execution, self.inner.inbox(execution, after).await?))
    }

    async fn outbox(&self, owner: Incarnation, limit: usize) -> Result<Vec<(ExecutionId, Message)>, StoreError> {
        let mut messages = self.inner.outbox(owner, limit).await?;
        messages.extend(self.kept(|kept| kept.sent.clone()));
        Ok(messages)
    }

    async fn forget(&self, messages: Vec<MessageId>) -> Result<(), StoreError> {
        if self.has(Fault::DeliveredStays) { Ok(()) } else { self.inner.forget(messages).await }
    }

    async fn blobs(&self, execution: ExecutionId, ids: &[BlobId]) -> Result<Vec<(BlobId, Bytes)>, StoreError> {
        let mut blobs = self.inner.blobs(execution, ids).await?;
        self.kept(|kept| {
            let left = ids.iter().filter_map(|id| Some((*id, kept.blobs.get(&(execution, *id))?.clone())));
            blobs.extend(left);
            blobs.sort();
            blobs.dedup();
        });
        Ok(blobs)
    }

    fn hints(&self) -> Box<dyn HintStream> {
        if self.has(Fault::HintsEnd) { Box::new(Ended) } else { self.inner.hints() }
    }

    async fn ended(&self, executions: &[ExecutionId]) -> Result<Vec<ExecutionId>, StoreError> {
        let ended = self.inner.ended(executions).await?;
        Ok(if self.has(Fault::NothingEnds) { Vec::new() } else { ended })
    }

    async fn list(&self, query: &Query) -> Result<Page, StoreError> {
        let mut query = query.clone();
        if self.has(Fault::ListIgnoresAttributes) {
            query.attributes.clear();
        }
        if self.has(Fault::PrefixIsIgnored) {
            query.id_prefix = None;
        }
        if self.has(Fault::TimesAreIgnored) {
            (query.started_from, query.started_before) = (None, None);
        }
        let mut page = self.inner.list(&query).await?;
        if self.has(Fault::ListEndsAfterOnePage) {
            page.next = None;
        }
        Ok(page)
    }

    async fn purge(&self, before: Timestamp, budget: usize) -> Result<Purged, StoreError> {
        let before = if self.has(Fault::PurgeTakesTheYoung) { Timestamp::from_micros(i64::MAX) } else { before };
        let budget = if self.has(Fault::PurgeIgnoresItsBudget) { usize::MAX } else { budget };
        self.inner.purge(before, budget).await
    }

    async fn purge_these(&self, executions: &[ExecutionId]) -> Result<Vec<ExecutionId>, StoreError> {
        let gone = self.inner.purge_these(executions).await?;
        Ok(if self.has(Fault::PurgeByNameIsNotTold) { Vec::new() } else { gone })
    }
}

struct Ended;

impl HintStream for Ended {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Option<Hint>> + Send + '_>> {
        Box::pin(async { None })
    }
}
