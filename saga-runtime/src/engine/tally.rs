//! What befalls a worker, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// What has befallen a worker since it was started: all zero while all goes well. See
/// [`Engine::tally`](crate::Engine::tally).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Tally {
    /// Commits that the store refused, because another had appended to the run: a worker that had
    /// taken it over, or an operator. The run was dropped here, or had been before.
    pub refused_commits: u64,
    /// Runs that were dropped because the worker was taken for dead, and had to join anew.
    pub dropped_runs: u64,
    /// How often it joined anew.
    pub rejoins: u64,
    /// Runs that were taken over from workers that were gone and had not handed them over.
    pub takeovers: u64,
}

/// The same, as it is counted.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) refused_commits: Count,
    pub(crate) dropped_runs: Count,
    pub(crate) rejoins: Count,
    pub(crate) takeovers: Count,
}

/// A number that rises.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: usize) {
        self.0.fetch_add(more as u64, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counts {
    pub(crate) fn tally(&self) -> Tally {
        Tally {
            refused_commits: self.refused_commits.get(),
            dropped_runs: self.dropped_runs.get(),
            rejoins: self.rejoins.get(),
            takeovers: self.takeovers.get(),
        }
    }
}
