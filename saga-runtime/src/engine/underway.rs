//! What a driver has to do with attempts that are under way: hears how far they are, stops those
//! that nobody waits for any more, and takes their ends.

use std::sync::Arc;

use super::attempt::AttemptRun;
use super::driver::Driver;
use super::open::OpenSteps;
use super::shared::Shared;
use crate::activity::{AttemptEnd, Lifeline, Said};
use crate::erased::BoxFuture;
use crate::machine::{AttemptStart, TaskKey};

impl Driver {
    /// An attempt, and what connects it with its driver. It begins when it is first polled; with `at_once` it
    /// may begin here, since it is polled before anything else happens.
    pub(super) fn begin(
        &mut self,
        start: AttemptStart,
        at_once: bool,
    ) -> (Arc<Lifeline>, BoxFuture<'static, AttemptEnd>) {
        let environment = &self.shared.environment;
        let lifeline = environment.lifeline(&self.scope, start.definition.name, self.attempts.take_spare());
        let own = Arc::clone(&lifeline);
        let at_once = at_once && !lifeline.waits() && environment.stage.is_none();
        let attempt = if at_once && environment.transaction(&start).is_none() {
            // Most are made so: their way through the layers is all that there is of them.
            environment.through_layers(&self.scope, own, start)
        } else {
            let (shared, run) = (Arc::clone(&self.shared), Arc::clone(self.run()));
            Box::pin(async move { shared.environment.attempt(&run, own, start).await })
        };
        (lifeline, attempt)
    }

    /// What attempts that wait or transact share with their driver.
    fn run(&mut self) -> &Arc<AttemptRun> {
        self.run.get_or_insert_with(|| {
            Arc::new(AttemptRun {
                scope: Arc::clone(&self.scope),
                membership: Arc::clone(&self.membership),
                open: OpenSteps::default(),
            })
        })
    }

    /// Whether the transaction of this attempt waits for its record.
    pub(super) fn is_open(&self, key: &TaskKey) -> bool {
        self.run.as_ref().is_some_and(|run| run.open.has(key))
    }

    /// Records what attempts say of how far they are, where that is due.
    pub(super) fn take_progress(&mut self) {
        for Said { op, undo, attempt, progress } in self.scope.board.take_due() {
            self.machine.progressed(&TaskKey { op, undo }, attempt, progress, true);
        }
    }

    /// Stops attempts that are no longer wanted. What depends on their having stopped goes on when
    /// they have: at once for those that are just dropped, so that it is part of the same record.
    pub(super) fn stop_attempts(&mut self) {
        for key in self.machine.take_warned() {
            self.attempts.tell(&key);
        }
        let aborts = self.machine.take_aborts();
        if aborts.is_empty() && !self.attempts.some_stop() {
            return;
        }
        let now = self.shared.clock.now();
        let until = now.after(self.shared.grace);
        for key in aborts {
            if let Some(run) = &self.run {
                run.open.abort(&key);
            }
            if self.attempts.stop(&key, until) {
                self.has_stopped(&key);
            }
        }
        for key in self.attempts.drop_overdue(now) {
            let grace = self.shared.grace;
            tracing::warn!(run = %self.scope.id, step = %key.op, ?grace, "an attempt did not stop in its time and is dropped");
            self.has_stopped(&key);
        }
    }

    fn has_stopped(&mut self, key: &TaskKey) {
        self.scope.board.ended(&key.op, key.undo);
        self.machine.stopped(key);
    }

    /// Feeds the end of an attempt. One that was completed from outside meanwhile has no say any more.
    /// When the worker stops an error is no end: it may be how the attempt heeded the word, and the
    /// next worker makes it again.
    pub(super) fn attempt_ended(&mut self, key: &TaskKey, end: AttemptEnd) {
        if self.attempts.has_stopped(key) || !self.machine.awaits(key) {
            return self.has_stopped(key);
        }
        let stopping = self.mailbox.peek().stop;
        if let (Some((attempt, progress)), Err(_)) = (self.scope.board.ended(&key.op, key.undo), &end) {
            self.machine.progressed(key, attempt, progress, stopping);
        }
        if !(stopping && end.is_err()) {
            let luck = self.shared.entropy.unit();
            self.fed(|machine, now| machine.attempt_ended(key, end, now, luck));
        }
    }

    /// The run has ended: attempts that have asked to be told to stop have their time to do so. Nobody
    /// waits for them but an engine that is shut down. They keep the run's place.
    pub(super) fn wind_down(mut self: Box<Self>) {
        let clock = Arc::clone(&self.shared.clock);
        let until = clock.now().after(self.shared.grace);
        self.attempts.stop_all(until);
        if self.attempts.is_empty() {
            return;
        }
        // Before the run leaves: no stop of the engine comes between.
        let number = self.shared.live.winds_down(Arc::clone(&self.mailbox));
        let counted = WindingDown { shared: Arc::clone(&self.shared), number };
        self.shared.spawner.clone().spawn(async move {
            let _counted = counted;
            let over = clock.sleep_until(until);
            tokio::pin!(over);
            while !self.attempts.is_empty() {
                tokio::select! {
                    biased;
                    () = self.mailbox.raised() => {
                        if self.mailbox.peek().lost {
                            return;
                        }
                    }
                    _ = self.attempts.next() => {}
                    () = &mut over => return,
                }
            }
        });
    }
}

/// An ended run's place, for as long as its attempts stop.
struct WindingDown {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for WindingDown {
    fn drop(&mut self) {
        self.shared.live.wound_down(self.number);
    }
}
