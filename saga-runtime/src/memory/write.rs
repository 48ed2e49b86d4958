//! Starts, commits, messages.

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;

use saga_store::{
    Applied, Claim, ClaimedRun, CommitOutcome, Delivery, ExecutionId, Hint, JournalRow, Message, NewRun, RunCommit,
    RunState, RunView, Seq, Started, Target, Then, Timestamp,
};

use super::state::{Hold, Run, Sent, State};

impl State {
    pub(super) fn start(&mut self, new: NewRun, now: Timestamp, hints: &mut Vec<Hint>) -> Started {
        if let Some(answer) = self.existing(&new) {
            return answer;
        }
        if self.runs.contains_key(&new.execution) {
            return Started::Rejected(format!("the execution {} belongs to another run", new.execution));
        }
        let execution = new.execution;
        let owner = new.claim_for.filter(|owner| self.members.get(owner).is_some_and(|member| !member.dead));
        self.chains.entry(new.id.clone()).or_default().push(execution);
        let mut run = Run {
            view: RunView {
                id: new.id,
                execution,
                workflow: new.workflow,
                version: new.version,
                lane: new.lane,
                priority: new.priority,
                state: if owner.is_some() { RunState::Running } else { RunState::Pending },
                created_at: now,
                updated_at: now,
                attributes: new.attributes,
                memo: new.memo,
                status: None,
                conclusion: None,
            },
            input_digest: new.input_digest,
            journal: vec![JournalRow { seq: Seq::FIRST, nonce: new.nonce, more: false, body: new.first }],
            blobs: new.blobs.into_iter().map(|blob| (blob.id, blob.bytes)).collect(),
            inbox: Vec::new(),
            last_position: 0,
            hold: Hold::Ended,
            taken_over: false,
            claim_record_due: false,
            deaths: 0,
            refused_by: BTreeSet::new(),
            ended_at: None,
        };
        for (id, body) in new.messages {
            if let Entry::Vacant(unknown) = self.delivered.entry(id) {
                unknown.insert(execution);
                run.receive(id, body, now);
            }
        }
        self.runs.insert(execution, run);
        if let Some(owner) = owner {
            self.place(execution, Hold::Owned(owner));
        } else {
            self.place(execution, Hold::Free(Some(new.not_before.map_or(now, |at| at.max(now)))));
            hints.push(Hint::Ready);
        }
        Started::New
    }

    /// The answer to a start that starts nothing, because a run is there.
    fn existing(&self, new: &NewRun) -> Option<Started> {
        let run = self.newest(&new.id)?;
        if run.view.workflow != new.workflow {
            return Some(Started::Conflict { workflow: run.view.workflow.clone() });
        }
        // A start that is sent again must not start once more after its own run has ended.
        let applied = self.chains.get(&new.id).is_some_and(|chain| chain.contains(&new.execution));
        let replace = new.on_existing.replaces(run.view.execution, run.view.state) && !applied;
        (!replace).then_some(Started::Existing {
            execution: run.view.execution,
            state: run.view.state,
            same_input: run.input_digest == new.input_digest,
        })
    }

    pub(super) fn commit(&mut self, commit: RunCommit, now: Timestamp, hints: &mut Vec<Hint>) -> CommitOutcome {
        if commit.tx.is_some() {
            return CommitOutcome::Rejected("the memory store has no transactions to run a step in".to_owned());
        }
        if commit.rows.is_empty() {
            return CommitOutcome::Rejected("a commit appends at least one row".to_owned());
        }
        let Some(run) = self.runs.get_mut(&commit.execution) else {
            return CommitOutcome::Refused { head: None };
        };
        let at = usize::try_from(commit.seq.0).unwrap_or(usize::MAX);
        if run.journal.get(at).is_some_and(|row| row.nonce == commit.nonce) {
            let stay = matches!(commit.then, Then::Release { .. }) && run.hold == Hold::Owned(commit.owner);
            return CommitOutcome::Applied(Applied { stay });
        }
        if at != run.journal.len() {
            return CommitOutcome::Refused { head: run.journal.last().map(|row| row.seq) };
        }
        CommitOutcome::Applied(Applied { stay: self.apply(commit, now, hints) })
    }

    /// Writes a commit whose place is free; tells whether a run to release has to stay.
    fn apply(&mut self, commit: RunCommit, now: Timestamp, hints: &mut Vec<Hint>) -> bool {
        let RunCommit { execution, owner, seq, nonce, .. } = commit;
        let Some(run) = self.runs.get_mut(&execution) else { return false };
        let places = (0..).map(|i| seq.plus(i));
        run.journal.extend(places.zip(commit.rows).map(|(seq, row)| JournalRow {
            seq,
            nonce,
            more: row.more,
            body: row.body,
        }));
        run.blobs.extend(commit.blobs.into_iter().map(|blob| (blob.id, blob.bytes)));
        if let Some(seen) = commit.inbox_seen {
            run.inbox.retain(|message| message.position > seen);
        }
        let changed = commit.change.is_some() || commit.status.is_some();
        if let Some(change) = commit.change {
            if run.view.state != change.state {
                run.view.updated_at = now;
            }
            run.view.state = change.state;
            run.view.conclusion = change.conclusion;
        }
        if commit.status.is_some() {
            run.view.status = commit.status;
        }
        if !std::mem::take(&mut run.claim_record_due) {
            run.deaths = 0;
        }
        run.taken_over = false;
        run.ended_at = None;
        if changed && commit.then != Then::End {
            hints.push(Hint::Changed(execution));
        }
        let mut stay = false;
        let hold = match commit.then {
            Then::Keep => Hold::Owned(owner),
            Then::Release { wake_at, not_build } => {
                // A build that cannot drive the run cannot read its messages either.
                stay = not_build.is_none() && !run.inbox.is_empty();
                run.refused_by.extend(not_build);
                if stay { Hold::Owned(owner) } else { Hold::Free(wake_at) }
            }
            Then::End => {
                run.ended_at = Some(now);
                hints.push(Hint::Ended(execution));
                Hold::Ended
            }
        };
        self.place(execution, hold);
        // Also one that is due later: who waits for the next one may have to wake up sooner.
        if matches!(hold, Hold::Free(Some(_)))
            || self.runs.get(&execution).is_some_and(|run| run.due_since(now).is_some())
        {
            hints.push(Hint::Ready);
        }
        self.outbox.retain(|_, sent| !commit.sent.contains(&sent.message.id));
        for message in commit.outbox {
            self.outbox.insert(self.next_sent, Sent { execution, sender: owner, message });
            self.next_sent += 1;
        }
        stay
    }

    /// Puts messages into inboxes; gives what `claim` can have of what they wake.
    pub(super) fn deliver_all(
        &mut self,
        messages: Vec<Message>,
        claim: Option<&Claim>,
        now: Timestamp,
        hints: &mut Vec<Hint>,
    ) -> (Vec<Delivery>, Vec<ClaimedRun>) {
        let answers: Vec<Delivery> = messages.into_iter().map(|message| self.deliver(message, now)).collect();
        let new = || answers.iter().filter_map(|answer| if let Delivery::New(to) = answer { Some(*to) } else { None });
        let claimed = claim.map(|claim| self.claim_of(claim, new(), now)).unwrap_or_default();
        for to in new().filter(|to| claimed.iter().all(|run| run.execution != *to)) {
            hints.push(Hint::Inbox(to));
            if self.free.contains(&to) {
                hints.push(Hint::Ready);
            }
        }
        (answers, claimed)
    }

    fn deliver(&mut self, message: Message, now: Timestamp) -> Delivery {
        if let Some(execution) = self.delivered.get(&message.id) {
            return Delivery::Duplicate(*execution);
        }
        let Some(execution) = self.resolve(&message.to) else { return Delivery::NoRun };
        let Some(run) = self.runs.get_mut(&execution) else { return Delivery::NoRun };
        if run.hold == Hold::Ended {
            return Delivery::Ended(execution);
        }
        run.receive(message.id, message.body, now);
        self.delivered.insert(message.id, execution);
        Delivery::New(execution)
    }

    fn resolve(&self, target: &Target) -> Option<ExecutionId> {
        match target {
            Target::Run(id) => self.newest(id).map(|run| run.view.execution),
            Target::Execution(execution) => Some(*execution),
        }
    }
}
