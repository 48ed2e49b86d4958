//! The conformance suite: one test for each promise of [`Store`].
//!
//! A store's crate calls [`conformance!`](crate::conformance) once, in a test file, with
//! something that makes a fresh store, and passes all tests unchanged:
//!
//! ```ignore
//! saga_store::conformance!(|| async { MemoryStore::new() });
//! ```
//!
//! The tests use the store's own clock and wait for nothing but its answers; moments that must
//! not come during a test are an hour away.

#![allow(clippy::missing_panics_doc, reason = "a panic is how a test says that a promise is broken")]

// What the macro needs to name; the tests' names are their docs.
#[doc(hidden)]
pub mod commit;
#[doc(hidden)]
pub mod fence;
#[doc(hidden)]
pub mod start;

pub mod lab;

use std::future::Future;
use std::time::Duration;

use crate::store::Store;
use lab::Lab;

/// A store that does not answer fails its test instead of holding up all of them.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs one test on a store of its own.
pub fn run<S, F>(factory: impl Fn() -> F, test: impl AsyncFnOnce(&Lab<S>))
where
    S: Store,
    F: Future<Output = S>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
    runtime.block_on(async {
        let lab = Lab::new(factory().await);
        tokio::time::timeout(PATIENCE, test(&lab)).await.expect("the store should answer");
    });
}

/// Makes a test of each promise of [`Store`]. Takes what gives the future of a fresh store:
/// `Fn() -> impl Future<Output = impl Store>`.
#[macro_export]
macro_rules! conformance {
    ($factory:expr) => {
        $crate::__conformance_list! { [$crate::__conformance_tests] $factory }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    ({ $factory:expr } $($group:ident { $($test:ident)* })*) => {
        $(
            mod $group {
                #[allow(unused_imports)]
                use super::*;

                $(
                    #[test]
                    fn $test() {
                        $crate::conformance::run($factory, $crate::conformance::$group::$test);
                    }
                )*
            }
        )*
    };
}

/// The names of all tests, by their group, for whatever shall be made of them.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_list {
    ([$($callback:tt)*] $($argument:tt)*) => {
        $($callback)*! { { $($argument)* }
            start {
                a_new_run_is_pending_and_has_its_first_record
                a_start_that_is_sent_again_finds_its_own_run
                a_second_start_of_an_id_answers_with_the_run_that_is_there
                a_second_start_with_another_input_is_flagged
                an_input_digest_of_any_size_is_recognised
                an_id_that_another_workflow_has_is_a_conflict
                two_starts_of_one_id_in_one_batch_start_one_run
                answers_to_starts_come_in_the_order_of_the_requests
                a_start_that_the_store_cannot_take_fails_no_neighbour
                a_start_brings_its_blobs_and_messages
                a_run_that_may_not_begin_yet_is_not_given_out
                a_run_started_for_a_worker_is_its_own
                a_replacing_start_answers_with_a_run_that_is_live
                a_replacing_start_begins_a_new_execution_of_a_finished_run
                a_replacing_start_that_is_sent_again_replaces_once
            }
            fence {
                a_place_that_is_taken_refuses_the_commit_and_tells_the_head
                a_commit_that_leaves_a_gap_is_refused
                a_commit_of_an_unknown_execution_is_refused
                a_commit_that_is_sent_again_is_applied_once
                a_commit_that_is_sent_again_undoes_nothing_that_came_later
                a_release_that_is_sent_again_takes_the_run_from_nobody
                a_release_that_stayed_says_so_when_it_is_sent_again
                of_two_commits_for_one_place_in_one_batch_one_is_applied
                a_takeover_fences_the_owner_before
                a_takeover_by_claim_fences_a_worker_that_left
                a_refused_commit_writes_nothing_at_all
            }
            commit {
                rows_are_kept_in_order_with_their_marks
                a_record_may_go_on_over_many_rows
                blobs_are_kept_with_the_commit
                a_change_of_state_is_seen_by_clients
                a_commit_without_a_change_leaves_the_state
                a_status_is_kept_until_the_next_one
                an_ended_run_is_owned_by_nobody
                many_runs_commit_at_once_and_answers_come_in_order
                a_step_of_another_kind_of_store_is_rejected_and_fails_no_neighbour
                an_operator_ends_a_run_by_the_same_append
                an_operator_repairs_an_ended_run_by_the_same_append
            }
        }
    };
}

#[cfg(test)]
mod tests {
    macro_rules! names {
        ({} $($group:ident { $($test:ident)* })*) => {
            [$((include_str!(concat!(stringify!($group), ".rs")), vec![$(stringify!($test)),*])),*]
        };
    }

    #[test]
    fn every_test_that_is_written_is_in_the_list() {
        for (source, listed) in crate::__conformance_list! { [names] } {
            let written: Vec<_> =
                source.lines().filter_map(|line| line.strip_prefix("pub async fn ")?.split('<').next()).collect();
            assert_eq!(written, listed);
        }
    }
}
