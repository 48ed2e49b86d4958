//! Starting child runs: what the delivery of a start does.

use std::sync::Arc;

use saga_store::wire::{ChildScheduled, ChildStart, Entry, Record, RunStarted, RunTerms, StartTerms, encode};
use saga_store::{ExecutionId, NewRun, OnExisting, RunId, Started, StoreError, Timestamp};

use super::intake;
use super::membership::Tenure;
use super::pace::Backoff;
use super::shared::Shared;
use crate::client::{LocalWorker as _, newborn};
use crate::externalize::externalize;

/// Who may take the children.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Birth {
    /// This worker at once, if it can: nobody else sends these starts. An outage is waited out.
    Here,
    /// Whoever claims them. What cannot be started now stays in the outbox.
    Anywhere,
}

/// Whether the child's id was chosen by the user, and is not made from its parent's.
pub(crate) fn has_chosen_id(start: &ChildStart) -> bool {
    !start.child.id.starts_with(&format!("{}/", start.parent.execution))
}

/// Starts children. Each answer says that the child is there, why it will never be, or nothing:
/// then it stays in the outbox.
pub(crate) async fn start(
    shared: &Arc<Shared>,
    orders: &[&ChildStart],
    birth: Birth,
) -> Vec<Option<Result<(), String>>> {
    let mut answers: Vec<Option<Result<(), String>>> = orders.iter().map(|_| None).collect();
    let mut new = Vec::with_capacity(orders.len());
    for (at, order) in orders.iter().enumerate() {
        match new_run(shared, order, birth) {
            Ok(run) => new.push((at, run)),
            Err(why) => answers[at] = Some(Err(why)),
        }
    }
    let mut groups = vec![new];
    let mut backoff = Backoff::new();
    let mut unknown = false;
    while let Some(mut group) = groups.pop() {
        if group.is_empty() {
            continue;
        }
        match shared.store.start(group.iter().map(|(_, (run, _))| run.clone()).collect()).await {
            Ok(started) => {
                for ((at, (run, whole)), started) in group.into_iter().zip(started) {
                    answers[at] = settle(shared, run, whole, started, unknown).await;
                }
            }
            Err(error) if error.is_retryable() && birth == Birth::Anywhere => {
                tracing::warn!(%error, children = group.len(), "children cannot be started now; they stay in the outbox");
            }
            Err(error) if error.is_retryable() => {
                unknown = true;
                tracing::warn!(%error, children = group.len(), retry_in = ?backoff.next(), "children cannot be started now");
                backoff.wait(&*shared.clock).await;
                groups.push(group);
            }
            Err(error) if group.len() > 1 => {
                tracing::debug!(%error, "a group of children is refused; it is halved");
                let rest = group.split_off(group.len() / 2);
                groups.push(rest);
                groups.push(group);
            }
            Err(error) => tracing::error!(%error, child = %group[0].1.0.id, "the store refuses a child; it is left"),
        }
    }
    for order in orders.iter().filter(|order| may_have_a_seat(order, birth)) {
        shared.let_go(order.child.execution);
    }
    answers
}

/// Whether this worker may have kept room for the child while its start was under way.
fn may_have_a_seat(start: &ChildStart, birth: Birth) -> bool {
    birth == Birth::Here || start.child.terms.as_ref().is_some_and(|terms| terms.session.is_some())
}

/// The child as the store takes it, and its first record with large payloads in their places.
fn new_run(shared: &Arc<Shared>, order: &ChildStart, birth: Birth) -> Result<(NewRun, Record), String> {
    let ChildStart { child, parent, seed, replaces } = order;
    let ChildScheduled { workflow, version, id, execution, input, lane, priority, terms, .. } = child;
    let said = terms.clone().unwrap_or_default();
    let terms = run_terms(&said, None);
    let not_before = said.begin.map(Timestamp::from_micros);
    let claim_for = match &said.session {
        Some(session) => shared.claims_within(session.execution, child),
        None if birth == Birth::Here && not_before.is_none() => shared.claims_for(workflow, *version, *execution),
        None => None,
    };
    let started = RunStarted {
        workflow: workflow.clone(),
        version: *version,
        id: id.clone(),
        input: input.clone(),
        seed: *seed,
        terms,
        parent: Some(parent.clone()),
    };
    let now = shared.clock.now();
    let mut entries = vec![Entry::Started(Box::new(started))];
    let whole = Record::new(now, entries.clone());
    let blobs = externalize(&mut entries, &shared.entropy, now);
    let new = NewRun {
        id: RunId::new(id).map_err(|error| error.to_string())?,
        execution: *execution,
        workflow: workflow.clone(),
        version: *version,
        lane: lane.clone(),
        priority: *priority,
        not_before,
        attributes: said.attributes.unwrap_or_default(),
        memo: said.memo.as_ref().map(encode),
        input_digest: 0,
        first: Record::new(now, entries).to_bytes(),
        nonce: shared.entropy.nonce(),
        blobs,
        messages: Vec::new(),
        claim_for,
        on_existing: if *replaces == Some(true) { OnExisting::ReplaceFinished } else { OnExisting::Return },
    };
    Ok((new, whole))
}

/// What the first record of a run says of what a workflow said of its start. Without a word the run
/// has this deadline.
pub(super) fn run_terms(said: &StartTerms, deadline: Option<i64>) -> Option<RunTerms> {
    let deadline = said.deadline.or(deadline);
    let StartTerms { begin, undo_continues, session, .. } = said;
    let (begin, undo_continues, session) = (*begin, *undo_continues, session.clone());
    let terms = RunTerms { begin, deadline, undo_continues, session, ..RunTerms::default() };
    (terms != RunTerms::default()).then_some(terms)
}

/// What the answer to a start means for its parent. `unknown` if the start was sent before, and
/// got no answer.
pub(super) async fn settle(
    shared: &Arc<Shared>,
    run: NewRun,
    whole: Record,
    started: Started,
    unknown: bool,
) -> Option<Result<(), String>> {
    match started {
        Started::New => {
            let membership = shared.membership();
            // What a life that is over has claimed is free in the store.
            if run.claim_for == Some(membership.incarnation()) {
                let born = newborn(run, whole.at(), whole.to_bytes());
                intake::launch(shared, born, Some(whole), None, Tenure::own(membership));
            }
            Some(Ok(()))
        }
        Started::Existing { execution, .. } if execution == run.execution => {
            let membership = shared.membership();
            if unknown && run.claim_for == Some(membership.incarnation()) {
                shared.spawner.spawn(intake::reload_own(Arc::clone(shared), execution, membership));
            }
            Some(Ok(()))
        }
        Started::Existing { .. } => match exists(shared, run.execution).await {
            // It has gone on under the same id.
            Ok(true) => Some(Ok(())),
            Ok(false) => Some(Err(format!("a run of the id {} exists already; choose another id", run.id))),
            Err(error) => {
                tracing::warn!(%error, child = %run.id, "whether a child was started cannot be read now");
                None
            }
        },
        Started::Conflict { workflow } => {
            Some(Err(format!("the id {} belongs to a run of workflow `{workflow}`; choose another id", run.id)))
        }
        Started::Rejected(why) => Some(Err(format!("the store cannot take it: {why}"))),
    }
}

async fn exists(shared: &Shared, execution: ExecutionId) -> Result<bool, StoreError> {
    Ok(shared.store.get_execution(execution).await?.is_some())
}
