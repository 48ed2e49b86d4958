//! Takes runs up: new ones from this process's clients, due ones from the store, those of dead
//! workers.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use saga_store::wire::{Conclusion, Record};
use saga_store::{
    Claim, ClaimedRun, ErrorKind, ExecutionId, Filter, Hint, Incarnation, LoadedRun, StoreError, Timestamp,
};

use super::driver::Parting;
use super::given::Given;
use super::live::Reserved;
use super::membership::{Membership, Tenure};
use super::pace::OUTAGE_POLL;
use super::shared::Shared;
use crate::session;
use crate::workflow::WorkflowDefinition;

/// Runs whose journals are read in one call.
const LOAD_GROUP: usize = 64;

/// The most runs that are asked for in one call.
const MOST_AT_ONCE: usize = 1024;

/// How long nothing is looked for without a hint.
pub(super) const SLOW_POLL: Duration = Duration::from_secs(10);

/// Claims due runs for as long as the engine lives.
pub(crate) async fn claim_loop(shared: Arc<Shared>) {
    let mut hints = shared.store.hints();
    while !shared.is_stopping() {
        let Outlook { due, short_of_room } = match claim(&shared).await {
            Ok(outlook) => outlook,
            Err(error) => {
                tracing::warn!(%error, "runs that are due cannot be claimed now");
                if error.kind() == ErrorKind::Locked {
                    shared.doubt.notify_one();
                }
                Outlook { due: Some(shared.clock.now().after(OUTAGE_POLL)), short_of_room: true }
            }
        };
        let latest = shared.clock.now().after(shared.slow_poll);
        let wake = due.map_or(latest, |due| due.min(latest));
        let mut timer = shared.clock.sleep_until(wake);
        loop {
            let hint = tokio::select! {
                biased;
                () = &mut timer => break,
                () = shared.live.to_look(short_of_room) => break,
                hint = hints.next() => hint,
            };
            let Some(hint) = hint else {
                shared.clock.sleep_until(wake).await;
                break;
            };
            let mut due = heed(&shared, hint);
            // All that are here already are worth one claim together.
            while let Some(Some(more)) = hints.next().now_or_never() {
                due |= heed(&shared, more);
            }
            if due {
                break;
            }
        }
    }
}

/// Does what a hint asks for; whether a run may be due.
fn heed(shared: &Shared, hint: Hint) -> bool {
    match hint {
        Hint::Inbox(execution) => !shared.live.nudge(execution),
        Hint::Anything => {
            // One question for all that are live, instead of a look into each inbox.
            shared.look_at_all.notify_one();
            true
        }
        Hint::Ready => true,
        Hint::Changed(_) => false,
        // An operator may have ended it. A driver that has ended its run does not look.
        Hint::Ended(execution) => {
            if let Some(mailbox) = shared.live.get(execution) {
                mailbox.ended();
            }
            false
        }
    }
}

/// What is to be claimed next.
struct Outlook {
    /// When the next run is due.
    due: Option<Timestamp>,
    /// Whether more may be due now than there was room for. If not, what becomes due is heard of, and room
    /// alone is no reason to ask: a worker that is full of what is started on it would ask after each end,
    /// and its starts would meet the places that are kept for the answer.
    short_of_room: bool,
}

/// Claims what is due.
async fn claim(shared: &Arc<Shared>) -> Result<Outlook, StoreError> {
    let (mut more, mut asked, mut short_of_room) = (true, false, false);
    while std::mem::take(&mut more) {
        short_of_room = false;
        for portion in shared.queues.portions() {
            // Both are kept until all have drivers.
            let Some(reserved) = shared.live.reserve(MOST_AT_ONCE) else {
                short_of_room = true;
                continue;
            };
            let kept = portion.keep(reserved.places());
            let slots = kept.places();
            if slots == 0 {
                short_of_room = true;
                continue;
            }
            if shared.is_stopping() {
                return Ok(Outlook { due: None, short_of_room });
            }
            let membership = shared.membership();
            let claimed = shared.store.claim(&request(shared, &membership, portion.served, slots)).await?;
            asked = true;
            more |= claimed.len() == slots;
            take_up(shared, &membership, claimed).await?;
        }
    }
    // Without room what is due waits for room, and not for a time.
    let due = if asked { shared.store.next_wake().await? } else { None };
    Ok(Outlook { due, short_of_room })
}

/// What this worker asks for, of these workflows.
pub(super) fn request(shared: &Shared, membership: &Membership, served: &[(String, u32)], slots: usize) -> Claim {
    Claim {
        incarnation: membership.incarnation(),
        filter: Filter { workflows: served.to_vec() },
        build: shared.build.clone(),
        slots,
    }
}

/// Takes over the runs of a dead worker.
pub(crate) async fn adopt(shared: &Arc<Shared>, dead: Incarnation) -> Result<(), StoreError> {
    let membership = shared.membership();
    loop {
        if shared.is_stopping() || membership.is_over() {
            return Ok(());
        }
        let Some(reserved) = shared.live.reserve(MOST_AT_ONCE).map(Reserved::told) else {
            // The claim loop waits for room as well; whoever comes second looks again soon.
            shared.clock.sleep_until(shared.clock.now().after(OUTAGE_POLL)).await;
            continue;
        };
        let slots = reserved.places();
        let adopted = shared.store.adopt(dead, membership.incarnation(), slots).await?;
        let last = adopted.len() < slots;
        shared.counts.takeovers.add(adopted.len());
        if !adopted.is_empty() {
            tracing::info!(runs = adopted.len(), of = %dead, "took over runs of a worker that is gone");
        }
        shared.post.sweep();
        take_up(shared, &membership, adopted).await?;
        if last {
            return Ok(());
        }
    }
}

/// Reads the journals of runs that this worker was given and begins to drive them.
pub(super) async fn take_up(
    shared: &Arc<Shared>,
    membership: &Arc<Membership>,
    claimed: Vec<ClaimedRun>,
) -> Result<(), StoreError> {
    let executions: Vec<ExecutionId> = claimed.iter().map(|run| run.execution).collect();
    let _coming = shared.live.expect(&executions);
    // Also of those that a worker handed over when it stopped: no takeover, but their letters wait.
    if claimed.iter().any(|run| run.taken_over) {
        shared.post.sweep();
    }
    for group in claimed.chunks(LOAD_GROUP) {
        for run in load_group(shared, group).await? {
            // Its owner before may have ended it after it was given to this worker.
            if run.view.state.is_final() {
                continue;
            }
            let claim = group.iter().find(|claim| claim.execution == run.view.execution);
            let (taken_over, deaths) = claim.map_or((false, 0), |claim| (claim.taken_over, claim.deaths));
            // The record of a takeover is flushed.
            let may_be_undone = !taken_over;
            launch(
                shared,
                run,
                None,
                None,
                Tenure { membership: Arc::clone(membership), taken_over, deaths, may_be_undone },
            );
        }
    }
    Ok(())
}

/// Reads some journals. One that cannot be read keeps nobody else's from being read: it is left,
/// and asked for again when it is found to have no driver.
async fn load_group(shared: &Shared, group: &[ClaimedRun]) -> Result<Vec<LoadedRun>, StoreError> {
    let executions: Vec<ExecutionId> = group.iter().map(|run| run.execution).collect();
    match load(shared, &executions).await {
        Err(error) if !error.is_retryable() && group.len() > 1 => {
            let mut loaded = Vec::with_capacity(group.len());
            for run in group {
                match load(shared, &[run.execution]).await {
                    Ok(one) => loaded.extend(one),
                    Err(error) => tracing::error!(%error, run = %run.id, "a journal cannot be read; the run is left"),
                }
            }
            Ok(loaded)
        }
        answer => answer,
    }
}

/// Begins to drive a run that is this worker's. `first` is the record that its journal is, of a run that
/// was just started.
pub(crate) fn launch(
    shared: &Arc<Shared>,
    run: LoadedRun,
    first: Option<Record>,
    definition: Option<&'static WorkflowDefinition>,
    tenure: Tenure,
) {
    let execution = run.view.execution;
    if tenure.membership.is_over() {
        return;
    }
    let Some((mailbox, kept)) = shared.live.insert(execution, &tenure) else { return };
    if shared.is_stopping() {
        mailbox.stop();
    }
    let place = kept.or_else(|| shared.queues.enter(&run.view.workflow));
    let (id, workflow) = (run.view.id.clone(), Arc::<str>::from(&*run.view.workflow));
    let given = Given::new(shared, run, &workflow, &mailbox, definition, tenure.clone());
    let shared = Arc::clone(shared);
    let spawner = shared.spawner.clone();
    spawner.spawn(async move {
        // Users' code is caught where it is called. A defect of the engine costs the run its driver, not
        // its place among the live ones: it is found to be undriven, and tried again.
        let driven = AssertUnwindSafe(drive(given, first)).catch_unwind().await;
        let parting = driven.unwrap_or_else(|_| {
            tracing::error!(run = %id, workflow = &*workflow, "the driver of a run has panicked; please report this");
            Parting::Lost
        });
        if session::is_session(&workflow) && !matches!(parting, Parting::Reload) {
            shared.sessions.close(execution);
        }
        let again = shared.live.remove(execution);
        if let Some(place) = place {
            drop(place);
            shared.live.made_room();
        }
        // What came between the last commit and the removal went to a driver that had left.
        let mail = mailbox.take();
        match (&parting, again) {
            (Parting::Ended(conclusion), again) => {
                log_end(&id, &workflow, conclusion);
                shared.endings.publish(execution, conclusion);
                // An operator has repaired it already.
                if let Some(tenure) = again {
                    reload(&shared, execution, tenure).await;
                }
            }
            (_, Some(tenure)) => reload(&shared, execution, tenure).await,
            // What the store has lost may include whose the run is.
            (Parting::Reload, None) => {
                let tenure = Tenure { may_be_undone: true, ..Tenure::own(tenure.membership) };
                reload(&shared, execution, tenure).await;
            }
            (Parting::Released, None) if mail.inbox => shared.live.look_again(),
            (Parting::Released | Parting::Stopped | Parting::Lost, None) => {}
        }
    });
}

/// Drives a run that this life of the worker started and got no answer for.
pub(super) async fn reload_own(shared: Arc<Shared>, execution: ExecutionId, membership: Arc<Membership>) {
    reload(&shared, execution, Tenure::own(membership)).await;
}

/// Reads a run's journal anew and drives it on from there.
async fn reload(shared: &Arc<Shared>, execution: ExecutionId, tenure: Tenure) {
    let _coming = shared.live.expect(&[execution]);
    let loaded = load(shared, &[execution]).await.unwrap_or_else(|error| {
        tracing::error!(%error, %execution, "a journal cannot be read; the run is left");
        Vec::new()
    });
    for run in loaded {
        if !run.view.state.is_final() {
            launch(shared, run, None, None, tenure.clone());
        }
    }
}

/// Reads journals; an outage is waited out, since nobody else will drive these runs.
async fn load(shared: &Shared, executions: &[ExecutionId]) -> Result<Vec<LoadedRun>, StoreError> {
    loop {
        match shared.store.load(executions).await {
            Err(error) if error.is_retryable() && !shared.is_stopping() => {
                tracing::warn!(%error, "journals cannot be read now");
                shared.clock.sleep_until(shared.clock.now().after(OUTAGE_POLL)).await;
            }
            answer => return answer,
        }
    }
}

fn log_end(id: &saga_store::RunId, workflow: &str, conclusion: &Conclusion) {
    match conclusion {
        Conclusion::Completed(_) => tracing::debug!(run = %id, workflow, outcome = "completed", "run ended"),
        Conclusion::Failed { message, .. } => {
            tracing::info!(run = %id, workflow, outcome = "failed", error = %message, "run ended");
        }
        Conclusion::Dead { reason } => {
            tracing::error!(run = %id, workflow, outcome = "dead", %reason, "run ended; an operator is needed");
        }
        other => tracing::info!(run = %id, workflow, outcome = ?other, "run ended"),
    }
}

/// Drives a run until it parts from this worker.
async fn drive(given: Box<Given>, first: Option<Record>) -> Parting {
    match given.prepare(first).await {
        Ok(driver) => driver.drive().await,
        Err(parting) => parting,
    }
}
