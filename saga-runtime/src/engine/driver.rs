//! The driver of one run: feeds its machine, commits each turn, starts attempts when the commit
//! is acknowledged. A run has one commit under way.

use std::sync::Arc;
use std::time::Duration;

use saga_store::wire::{Care, Claimed, Conclusion, Entry, Record, split_rows};
use saga_store::{Applied, CommitOutcome, ExecutionId, RunCommit, Seq, Timestamp};

use super::attempt::AttemptRun;
use super::attempts::Attempts;
use super::mailbox::{Mail, Mailbox};
use super::membership::Membership;
use super::pace::LEASE_CHECK;
use super::shared::Shared;
use super::slow;
use super::ward::Trial;
use crate::activity::{AttemptEnd, RunScope};
use crate::erased::BoxFuture;
use crate::machine::{AttemptStart, Machine, TaskKey};

/// A run whose next timer is at least this far away leaves memory.
const RELEASE_AFTER: Duration = Duration::from_secs(60);

/// At most so many arrivals go into one record.
const ARRIVALS_A_TURN: usize = 256;

/// A history of so many records is logged as a warning.
const LONG_HISTORY: u64 = 10_000;

pub(crate) struct Driver {
    pub(crate) shared: Arc<Shared>,
    /// The life of this worker that has the run: what its commits carry.
    pub(crate) membership: Arc<Membership>,
    pub(crate) execution: ExecutionId,
    pub(crate) machine: Machine,
    pub(crate) mailbox: Arc<Mailbox>,
    /// What attempts see of the run.
    pub(crate) scope: Arc<RunScope>,
    /// What those share that wait, or have transactions of their own, once there was one.
    pub(crate) run: Option<Arc<AttemptRun>>,
    pub(crate) next: Seq,
    pub(crate) inbox_seen: u64,
    /// The position up to which messages are consumed in the store.
    pub(crate) inbox_consumed: u64,
    pub(crate) waiting: bool,
    pub(crate) attempts: Attempts,
    pub(crate) arrived: Vec<(TaskKey, AttemptEnd)>,
    /// How often in a row a transaction of this run gave way to others.
    pub(crate) conflicts: u32,
    /// Nothing in the journal is of this worker, and a crash of the store may give the run to another one.
    pub(crate) unrecorded: bool,
    /// The run is suspected of killing its workers.
    pub(crate) probation: Option<Probation>,
}

/// A suspected run, until it goes on or is seen to do no harm.
pub(crate) struct Probation {
    pub(crate) trial: Trial,
    /// Whoever lives until then is trusted.
    pub(crate) until: Timestamp,
}

/// How a driver's work on a run ends.
#[derive(Debug)]
pub(crate) enum Parting {
    /// The run has ended.
    Ended(Arc<Conclusion>),
    /// The run waits, out of memory.
    Released,
    /// The engine stops; the store hands the run over.
    Stopped,
    /// Another worker has it.
    Lost,
    /// Only the journal knows where it stands.
    Reload,
}

impl Driver {
    /// Drives the run until it ends or goes elsewhere. Attempts that are under way when it ends and
    /// have asked to be told to stop are told, and have their time.
    pub(crate) async fn drive(mut self: Box<Self>) -> Parting {
        let parting = self.drive_on().await;
        if matches!(parting, Parting::Ended(_)) {
            self.wind_down();
        }
        parting
    }

    /// Whatever is not awaited in each turn of each run is in a box of its own: the size of this
    /// future is that of a run that waits.
    async fn drive_on(&mut self) -> Parting {
        loop {
            let mail = self.mailbox.take_all();
            if mail.lost || self.membership.is_over() {
                return Parting::Lost;
            }
            if mail.ended && Box::pin(self.was_ended()).await {
                return Parting::Lost;
            }
            if mail.inbox {
                Box::pin(self.read_inbox()).await;
            }
            if mail.stop && self.machine.is_session() {
                self.machine.lose_session(self.shared.clock.now());
            }
            self.take_progress();
            self.stop_attempts();
            if self.machine.needs_commit()
                && let Some(parting) = self.commit(mail.stop).await
            {
                return parting;
            }
            self.stop_attempts();
            if mail.stop {
                self.attempts.drop_waiting();
                self.attempts.tell_all();
                if self.attempts.is_empty() && self.arrived.is_empty() && !self.machine.needs_commit() {
                    if self.machine.is_bound() {
                        self.machine.unbind(self.shared.clock.now());
                    }
                    if !self.machine.needs_commit() {
                        return Parting::Stopped;
                    }
                }
            } else if !self.machine.needs_commit() && self.arrived.is_empty() {
                if self.unrecorded && self.machine.should_note_owner() {
                    // A retry that was due needs no record of its own. That of the owner is flushed, and fails if
                    // another has the run meanwhile: so no two make the attempt.
                    self.machine.take_note_of_owner(self.membership.incarnation().to_string());
                    continue;
                }
                if let Some(started) = self.dispatch()
                    && let Some(parting) = started.await
                {
                    return parting;
                }
            }
            // A transaction that changed nothing else may have made the next attempt ready.
            let idle = mail.stop || !self.machine.has_ready() || !self.arrived.is_empty();
            if !self.machine.needs_commit() && idle {
                if self.stands_still() && !mail.stop {
                    self.machine.take_note_of_owner(self.membership.incarnation().to_string());
                    continue;
                }
                if self.probation.is_some()
                    && let Some(parting) = Box::pin(self.trust()).await
                {
                    return parting;
                }
                let rested = self.wait().await;
                let settled = if self.has_open() { Box::pin(self.settle()).await } else { None };
                match settled {
                    Some(Some(parting)) => return parting,
                    Some(None) => {}
                    None => self.feed(),
                }
                if rested
                    && !self.machine.needs_commit()
                    && let Some(parting) = Box::pin(self.leave()).await
                {
                    return parting;
                }
            }
        }
    }

    /// Starts what is ready, once the lease is sure; gives what is still to be waited for.
    fn dispatch(&mut self) -> Option<BoxFuture<'_, Option<Parting>>> {
        if self.membership.holds_lease(self.shared.clock.elapsed()) {
            return self.start_ready();
        }
        Some(Box::pin(async {
            if let Some(instead) = self.lease().await {
                return instead;
            }
            self.start_ready()?.await
        }))
    }

    fn start_ready(&mut self) -> Option<BoxFuture<'_, Option<Parting>>> {
        if let Some(first) = self.machine.dispatch() {
            let second = self.machine.dispatch();
            self.begin_attempt(first, second.is_none());
            let mut next = second;
            while let Some(start) = next {
                self.begin_attempt(start, false);
                next = self.machine.dispatch();
            }
        }
        let start = self.machine.next_transaction()?;
        Some(Box::pin(self.commit_transaction(None, start)))
    }

    /// `alone` if no other is started with it.
    fn begin_attempt(&mut self, start: AttemptStart, alone: bool) {
        let key = start.key.clone();
        let at_once = alone && self.attempts.is_empty();
        let (lifeline, attempt) = self.begin(start, at_once);
        self.attempts.start(key, alone, lifeline, attempt);
    }

    /// Feeds the machine, which polls the workflow, and reports it if that took long.
    pub(super) fn fed<R>(&mut self, feed: impl FnOnce(&mut Machine, Timestamp) -> R) -> R {
        let (begun, from) = (self.shared.clock.read(), self.machine.line());
        let answer = feed(&mut self.machine, begun.now);
        slow::report(
            &*self.shared.clock,
            begun.elapsed,
            &self.scope.id,
            &self.scope.workflow,
            (from, self.machine.line()),
        );
        answer
    }

    /// Waits until this worker has its lease again, or says what is to be done instead.
    async fn lease(&mut self) -> Option<Option<Parting>> {
        let clock = Arc::clone(&self.shared.clock);
        while !self.membership.holds_lease(clock.elapsed()) {
            if self.membership.is_over() {
                return Some(Some(Parting::Lost));
            }
            clock.sleep_until(clock.now().after(LEASE_CHECK)).await;
            let mail = self.mailbox.take();
            self.mailbox_again(mail);
            if mail.lost || mail.stop {
                return Some(None);
            }
        }
        None
    }

    /// Ends the probation of a run that runs no code of its user's, or has done so for long: says
    /// so in its journal, so that a later death is not laid at its door.
    async fn trust(&mut self) -> Option<Parting> {
        let probation = self.probation.as_ref()?;
        let now = self.shared.clock.now();
        if !self.attempts.is_empty() && now < probation.until {
            return None;
        }
        let claimed = Claimed { care: Some(Care::Survived), ..Claimed::by(self.membership.incarnation().to_string()) };
        let rows = split_rows(Record::new(now, vec![Entry::Claimed(claimed)]).to_bytes());
        let count = rows.len() as u64;
        let outcome = self.submit(RunCommit { rows, ..self.empty_commit() }).await;
        self.acknowledged(outcome, count, None, false)
    }

    fn mailbox_again(&self, mail: Mail) {
        if mail.inbox {
            self.mailbox.inbox();
        }
        if mail.ended {
            self.mailbox.ended();
        }
    }

    /// Lets a run that waits for a child go out of memory: whoever drives it next is woken by the
    /// child's end.
    async fn leave(&mut self) -> Option<Parting> {
        let clock = &self.shared.clock;
        let turn = self.machine.take_turn(|| clock.now());
        let (commit, ended) = self.prepare(turn, true);
        let rows = commit.rows.len() as u64;
        let outcome = self.submit(commit).await;
        self.acknowledged(outcome, rows, ended, true)
    }

    /// Waits for anything to happen; says if nothing did for so long that the run shall leave
    /// memory.
    async fn wait(&mut self) -> bool {
        if !self.arrived.is_empty() {
            return false;
        }
        if self.attempts.is_empty() {
            self.machine.rest();
            self.arrived = Vec::new();
        }
        let rests = self.machine.awaits_children() && self.attempts.is_empty() && self.machine.is_dormant();
        let clock = &self.shared.clock;
        let trusted = self.probation.as_ref().map(|probation| probation.until);
        let progress = self.scope.board.next_due();
        let others = trusted.into_iter().chain(progress).chain(self.attempts.stops_by());
        let due = self.machine.next_due().into_iter().chain(others).min();
        let timer = async {
            match due {
                Some(due) => clock.sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let rest = async {
            if rests {
                clock.sleep_until(clock.now().after(RELEASE_AFTER)).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            done = self.attempts.next() => self.arrived.push(done),
            () = self.mailbox.raised() => {}
            () = timer => {}
            () = rest => return true,
        }
        false
    }

    /// Feeds what has arrived into the machine, one at a time.
    fn feed(&mut self) {
        while self.arrived.len() < ARRIVALS_A_TURN
            && let Some(done) = self.attempts.try_next()
        {
            self.arrived.push(done);
        }
        let mut arrived = std::mem::take(&mut self.arrived);
        for (key, end) in arrived.drain(..) {
            if self.is_open(&key) {
                // What waits for its record within a transaction has its turn in `settle`.
                self.arrived.push((key, end));
            } else {
                self.attempt_ended(&key, end);
            }
        }
        if self.arrived.is_empty() {
            // Its room serves for the next.
            self.arrived = arrived;
        }
        if !self.machine.has_ended() && self.machine.has_timers() {
            self.fed(Machine::fire);
        }
    }

    pub(super) fn acknowledged(
        &mut self,
        outcome: Option<CommitOutcome>,
        rows: u64,
        ended: Option<Arc<Conclusion>>,
        leaving: bool,
    ) -> Option<Parting> {
        match outcome {
            None if self.membership.is_over() => Some(Parting::Lost),
            None => Some(Parting::Stopped),
            Some(CommitOutcome::Applied(Applied { stay })) => {
                if let Some(probation) = self.probation.take() {
                    probation.trial.survived();
                }
                self.unrecorded = false;
                let before = self.next;
                self.next = self.next.plus(rows);
                self.check_history(before);
                // The inbox is read between commits only, never while one is under way.
                self.inbox_consumed = self.inbox_seen;
                if let Some(ended) = ended {
                    return Some(Parting::Ended(ended));
                }
                if leaving && !stay {
                    return Some(Parting::Released);
                }
                if stay {
                    self.mailbox.inbox();
                }
                None
            }
            Some(CommitOutcome::Refused { head }) if head.is_some_and(|head| head.plus(1) < self.next) => {
                tracing::warn!(run = %self.scope.id, at = %self.next, ?head, "the store has lost records that it had acknowledged, as a failover without synchronous replication does; the run is read anew");
                Some(Parting::Reload)
            }
            Some(CommitOutcome::Refused { head }) => {
                tracing::warn!(run = %self.scope.id, at = %self.next, ?head, "another worker has taken the run; it is dropped here");
                self.shared.doubt.notify_one();
                Some(Parting::Lost)
            }
            Some(CommitOutcome::Rejected(why)) => {
                tracing::error!(run = %self.scope.id, %why, "the store cannot take the run's record");
                if self.machine.has_ended() {
                    return Some(Parting::Lost);
                }
                self.machine.park(self.shared.clock.now(), format!("the store cannot take its record: {why}"));
                None
            }
        }
    }

    /// A history without end fills the store and takes ever longer to take over.
    fn check_history(&mut self, before: Seq) {
        let (records, limit) = (self.next.0, self.shared.history_limit);
        if before.0 < LONG_HISTORY && records >= LONG_HISTORY {
            tracing::warn!(run = %self.scope.id, records, limit, "the history is long; `continue_as_new` goes on with a fresh one, child runs share the work out");
        }
        if records >= limit && !self.machine.has_ended() && !self.machine.is_undoing() {
            let reason = format!(
                "its history has {records} records, and the limit is {limit}; go on with a fresh one by `continue_as_new`, share the work out to child runs, or raise `max_history`"
            );
            self.machine.park(self.shared.clock.now(), reason);
        }
    }

    /// Whether the run is suspended, and what was under way has ended.
    fn stands_still(&self) -> bool {
        self.machine.is_suspended() && !self.machine.is_bound() && self.attempts.is_empty() && self.arrived.is_empty()
    }

    /// Whether the run waits so long that it shall leave memory with this commit.
    pub(super) fn may_leave(&self, now: Timestamp) -> bool {
        if self.machine.is_suspended() {
            return self.stands_still();
        }
        if !self.attempts.is_empty() || !self.arrived.is_empty() || self.machine.is_bound() {
            return false;
        }
        // Cheap questions first: most runs have neither a timer nor an awaited event.
        let long = match self.machine.next_due() {
            Some(due) if due.since(now) < RELEASE_AFTER => false,
            // A child may be quick, and may need the place.
            _ if self.machine.awaits_children() => self.shared.live.is_full(),
            Some(_) => true,
            None => self.machine.awaits_events() || self.machine.awaits_token(),
        };
        long && self.machine.is_dormant()
    }
}
