//! Polls of a workflow's code that take long: meanwhile the worker's other runs wait.

use std::time::Duration;

use saga_store::RunId;

use crate::clock::Clock;
use crate::line::{Line, shown};

/// A poll that takes this long is reported.
const SLOW: Duration = Duration::from_secs(1);

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
