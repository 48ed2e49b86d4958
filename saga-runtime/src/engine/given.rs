//! A run that was given to this worker, until it has its driver. A waiting run is the size of its task, so
//! what is needed until then has a box of its own.

use std::sync::Arc;

use bytes::Bytes;
use saga_store::wire::{Entry, Record, decode, join_rows};
use saga_store::{LoadedRun, RunState, Seq};

use super::aside;
use super::attempts::Attempts;
use super::catch_up::catch_up;
use super::driver::{Driver, Parting, Probation};
use super::mailbox::Mailbox;
use super::membership::Tenure;
use super::pace::OUTAGE_POLL;
use super::shared::Shared;
use super::slow;
use crate::activity::{Board, RunScope};
use crate::built_in;
use crate::externalize::internalize;
use crate::machine::{Identity, Machine};
use crate::workflow::WorkflowDefinition;

/// See the module's docs.
pub(super) struct Given {
    shared: Arc<Shared>,
    run: LoadedRun,
    workflow: Arc<str>,
    memo: Option<Arc<Bytes>>,
    mailbox: Arc<Mailbox>,
    definition: Option<&'static WorkflowDefinition>,
    tenure: Tenure,
}

impl Given {
    /// Its code is `definition`, else what is registered under its name.
    pub(super) fn new(
        shared: &Arc<Shared>,
        mut run: LoadedRun,
        workflow: &Arc<str>,
        mailbox: &Arc<Mailbox>,
        definition: Option<&'static WorkflowDefinition>,
        tenure: Tenure,
    ) -> Box<Self> {
        let memo = run.view.memo.take().map(Arc::new);
        let (shared, workflow, mailbox) = (Arc::clone(shared), Arc::clone(workflow), Arc::clone(mailbox));
        Box::new(Self { shared, run, workflow, memo, mailbox, definition, tenure })
    }

    /// The driver of the run, where its journal leaves off. That is `first`, if the run was just started.
    pub(super) async fn prepare(self: Box<Self>, first: Option<Record>) -> Result<Box<Driver>, Parting> {
        let Self { shared, run, tenure, mailbox, .. } = &*self;
        let membership = &tenure.membership;
        let (mut next, mut probation) = (Seq(run.journal.len() as u64), None);
        if tenure.taken_over {
            if !shared.may_drive(&run.view.workflow, run.view.version) {
                return Err(Box::pin(aside::leave_to_others(shared, run, membership)).await);
            }
            (next, probation) = Box::pin(aside::take_over(shared, run, tenure, mailbox)).await?;
        }
        let records = match first {
            Some(first) => Ok(vec![first]),
            None => Box::pin(self.read()).await,
        };
        let mut driver = match records.and_then(|records| self.driver(&records, next, probation)) {
            Ok(driver) => driver,
            Err(reason) => return Err(Box::pin(aside::give_up(shared, run, membership, next, reason)).await),
        };
        let missed = driver.machine.asks_after();
        if !missed.is_empty() {
            Box::pin(catch_up(shared, &run.view.id, &mut driver.machine, missed)).await;
        }
        let status = run.view.status.as_ref().and_then(|status| decode(status).ok());
        driver.machine.status_is(status.as_ref());
        for message in &run.inbox {
            driver.receive(message.position, &message.body);
        }
        Ok(driver)
    }

    /// Its records, with their payloads.
    async fn read(&self) -> Result<Vec<Record>, String> {
        let Self { shared, run, .. } = self;
        let mut records: Vec<Record> = join_rows(&run.journal).map_err(|error| error.to_string())?;
        loop {
            match internalize(&*shared.store, run.view.execution, &mut records).await {
                Ok(()) => return Ok(records),
                Err(error) if error.is_retryable() => {
                    shared.clock.sleep_until(shared.clock.now().after(OUTAGE_POLL)).await;
                }
                Err(error) => return Err(format!("its large payloads cannot be read: {error}")),
            }
        }
    }

    fn driver(&self, records: &[Record], next: Seq, probation: Option<Probation>) -> Result<Box<Driver>, String> {
        let Self { shared, run, tenure, .. } = self;
        let (view, membership) = (&run.view, &tenure.membership);
        let mut machine = self.machine(records)?;
        let mut entries = records.iter().flat_map(|record| &record.entries);
        let tried = entries.any(|entry| matches!(entry, Entry::StepScheduled(_)));
        let session = shared.sessions.bind(view.execution, &mut machine, membership, tried, shared.clock.now());
        let board = Arc::new(Board::new(Arc::clone(&shared.clock), Arc::<Mailbox>::clone(&self.mailbox)));
        let scope = RunScope {
            common: Arc::clone(&shared.environment.common),
            id: view.id.clone(),
            execution: view.execution,
            workflow: Arc::clone(&self.workflow),
            memo: self.memo.clone(),
            board,
            session,
        };
        Ok(Box::new(Driver {
            membership: Arc::clone(membership),
            execution: view.execution,
            machine,
            mailbox: Arc::clone(&self.mailbox),
            scope: Arc::new(scope),
            run: None,
            next,
            inbox_seen: 0,
            inbox_consumed: 0,
            waiting: view.state == RunState::Waiting,
            attempts: Attempts::new(shared.spawner.clone()),
            arrived: Vec::new(),
            probation,
            unrecorded: tenure.may_be_undone,
            conflicts: 0,
            shared: Arc::clone(shared),
        }))
    }

    /// The machine of the run, from its records.
    fn machine(&self, records: &[Record]) -> Result<Machine, String> {
        let (shared, view) = (&self.shared, &self.run.view);
        let definition = self
            .definition
            .or_else(|| shared.environment.stage.as_ref()?.workflow(&view.workflow, view.version))
            .or_else(|| shared.registry.workflow(&view.workflow, view.version))
            .or_else(|| built_in::definition(&view.workflow))
            .ok_or_else(|| format!("this worker has no workflow `{}` of version {}", view.workflow, view.version))?;
        let identity = Arc::new(Identity {
            encoder: shared.environment.common.encoder,
            memo: self.memo.clone(),
            id: view.id.clone(),
            execution: view.execution,
            workflow: Arc::clone(&self.workflow),
            resolve: Arc::clone(&shared.resolve),
            workflows: Arc::clone(&shared.workflows),
        });
        let begun = shared.clock.elapsed();
        let machine = Machine::replay(identity, definition, records).map_err(|error| error.to_string())?;
        slow::report(&*shared.clock, begun, &view.id, &view.workflow, (None, machine.line()));
        Ok(machine)
    }
}
