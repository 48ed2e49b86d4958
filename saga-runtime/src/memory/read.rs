//! Everything that changes nothing, and the purge.

use bytes::Bytes;
use saga_store::{
    BlobId, ExecutionId, InboxMessage, Incarnation, LoadedRun, Message, Page, Purged, Query, RunState, RunView,
    Timestamp,
};

use super::state::State;

impl State {
    pub(super) fn load(&self, executions: &[ExecutionId]) -> Vec<LoadedRun> {
        executions
            .iter()
            .filter_map(|execution| self.runs.get(execution))
            .map(|run| LoadedRun { view: run.view.clone(), journal: run.journal.clone(), inbox: run.inbox.clone() })
            .collect()
    }

    pub(super) fn inbox(&self, execution: ExecutionId, after: u64) -> Vec<InboxMessage> {
        let inbox = self.runs.get(&execution).map(|run| &run.inbox);
        inbox.into_iter().flatten().filter(|message| message.position > after).cloned().collect()
    }

    /// A message whose sender left without taking care of it is everybody's.
    pub(super) fn outbox(&self, owner: Incarnation, limit: usize) -> Vec<(ExecutionId, Message)> {
        self.outbox
            .values()
            .filter(|sent| sent.sender == owner || !self.members.contains_key(&sent.sender))
            .take(limit)
            .map(|sent| (sent.execution, sent.message.clone()))
            .collect()
    }

    pub(super) fn blobs(&self, execution: ExecutionId, ids: &[BlobId]) -> Vec<(BlobId, Bytes)> {
        let Some(run) = self.runs.get(&execution) else { return Vec::new() };
        ids.iter().filter_map(|id| Some((*id, run.blobs.get(id)?.clone()))).collect()
    }

    /// Execution ids are in the order of the starts, so their order backwards is newest first.
    pub(super) fn list(&self, query: &Query) -> Page {
        let mut found = self
            .runs
            .iter()
            .rev()
            .filter(|(execution, _)| query.after.is_none_or(|after| **execution < after))
            .map(|(_, run)| &run.view)
            .filter(|view| matches(view, query));
        let runs: Vec<_> = found.by_ref().take(query.limit).cloned().collect();
        let next = found.next().and(runs.last()).map(|last| last.execution);
        Page { runs, next }
    }

    pub(super) fn purge(&mut self, before: Timestamp, budget: usize) -> Purged {
        let sends = |execution| self.outbox.values().any(|sent| sent.execution == execution);
        let old =
            |run: &super::state::Run| run.view.state != RunState::Dead && run.ended_at.is_some_and(|at| at < before);
        let mut found = self.runs.iter().filter(|(id, run)| old(run) && !sends(**id)).map(|(execution, _)| *execution);
        let doomed: Vec<_> = found.by_ref().take(budget).collect();
        let more = found.next().is_some();
        for execution in &doomed {
            self.forget(*execution);
        }
        Purged { runs: doomed.len() as u64, more }
    }
}

impl State {
    pub(super) fn purge_these(&mut self, executions: &[ExecutionId]) -> Vec<ExecutionId> {
        let sends = |execution| self.outbox.values().any(|sent| sent.execution == execution);
        let ended = |execution| self.runs.get(&execution).is_some_and(|run| run.ended_at.is_some());
        let gone: Vec<_> = executions.iter().copied().filter(|one| ended(*one) && !sends(*one)).collect();
        for execution in &gone {
            self.forget(*execution);
        }
        gone
    }
}

fn matches(view: &RunView, query: &Query) -> bool {
    query.workflow.as_ref().is_none_or(|workflow| view.workflow == *workflow)
        && (query.states.is_empty() || query.states.contains(&view.state))
        && query.id_prefix.as_ref().is_none_or(|prefix| view.id.as_str().starts_with(prefix))
        && query.started_from.is_none_or(|from| view.created_at >= from)
        && query.started_before.is_none_or(|before| view.created_at < before)
        && query.attributes.iter().all(|attribute| view.attributes.contains(attribute))
}
