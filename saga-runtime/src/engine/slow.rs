//! Polls of a workflow's code that take long: meanwhile the worker's other runs wait.

use std::time::Duration;

use saga_store::RunId;

use super::driver::Driver;
use crate::clock::Clock;
use crate::line::{Line, shown};
use crate::machine::Machine;

/// A poll that takes this long is reported.
const SLOW: Duration = Duration::from_secs(1);

impl Driver {
    /// Feeds the machine, which polls the workflow, and reports it if that took long.
    pub(super) fn fed<R>(&mut self, feed: impl FnOnce(&mut Machine) -> R) -> R {
        let (begun, from) = (self.shared.clock.elapsed(), self.machine.line());
        let answer = feed(&mut self.machine);
        report(&*self.shared.clock, begun, &self.run.id, &self.run.workflow, (from, self.machine.line()));
        answer
    }
}

/// Reports a poll that began at `begun`, if it took long: from which line it went to which.
pub(super) fn report(
    clock: &dyn Clock,
    begun: Duration,
    run: &RunId,
    workflow: &str,
    (from, to): (Option<Line>, Option<Line>),
) {
    let took = clock.elapsed().saturating_sub(begun);
    if took < SLOW {
        return;
    }
    let place = match (from.map(shown), to.map(shown)) {
        (None, None) => "before its first await".to_owned(),
        (None, Some(to)) => format!("up to {to}"),
        (Some(from), Some(to)) if from == to => format!("after {from}"),
        (Some(from), Some(to)) => format!("between {from} and {to}"),
        (Some(from), None) => format!("after {from}"),
    };
    tracing::warn!(
        %run,
        workflow,
        took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        place,
        "the workflow's code held up its worker; what takes long goes into an activity"
    );
}
