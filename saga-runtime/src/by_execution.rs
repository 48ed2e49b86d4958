//! Maps of runs.

use std::collections::HashMap;

use saga_store::ExecutionId;

/// What is known of some runs, by execution: each start and each end looks several times, and ids are the
/// engine's own, so that a fast hash does.
pub(crate) type ByExecution<V> = HashMap<ExecutionId, V, foldhash::fast::RandomState>;
