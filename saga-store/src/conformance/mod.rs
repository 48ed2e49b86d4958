//! The conformance suite: one test for each promise of [`Store`].
//!
//! A store's crate calls [`conformance!`](macro@crate::conformance) once, in a test file, with
//! something that makes a fresh store, and passes all tests unchanged:
//!
//! ```text
//! saga_store::conformance!(|| async { MemoryStore::new() });
//! ```
//!
//! The tests of the group `faults` make calls that something befalls ([`lab::Fault`]): a delay, an
//! error, a connection that is cut, an answer that is lost; and a lease that has run out.
//!
//! The tests use the store's own clock and wait for nothing but its answers; moments that must
//! not come during a test are an hour away.

#![allow(clippy::missing_panics_doc, reason = "a panic is how a test says that a promise is broken")]

// What the macro needs to name; the tests' names are their docs.
#[doc(hidden)]
pub mod commit;
#[doc(hidden)]
pub mod faults;
#[doc(hidden)]
pub mod fence;
#[doc(hidden)]
pub mod hints;
#[doc(hidden)]
pub mod members;
#[doc(hidden)]
pub mod messages;
#[doc(hidden)]
pub mod order;
#[doc(hidden)]
pub mod ownership;
#[doc(hidden)]
pub mod purge;
#[doc(hidden)]
pub mod reads;
#[doc(hidden)]
pub mod reconcile;
#[doc(hidden)]
pub mod start;
#[doc(hidden)]
pub mod waking;

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
                the_next_execution_of_a_run_that_goes_on_takes_the_place_of_that_one
                nobody_else_takes_the_place_of_a_run_that_goes_on
                nothing_succeeds_a_run_that_does_not_go_on
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
                what_gathers_for_a_call_is_taken_with_it_and_answered_in_its_place
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
            ownership {
                a_claim_takes_a_pending_run_once
                a_claim_gives_no_more_than_there_is_room_for
                a_released_run_comes_back_when_its_time_has_come
                a_released_run_sleeps_until_its_time
                the_next_wake_is_the_earliest
                a_run_that_is_owned_or_has_ended_has_no_next_wake
                a_message_wakes_a_released_run
                a_release_with_an_unseen_message_stays
                messages_seen_before_do_not_keep_a_run_from_its_release
                a_worker_that_leaves_hands_over_its_runs
                a_dead_workers_runs_are_adopted
                an_adoption_takes_no_more_than_there_is_room_for
                deaths_in_a_row_are_counted_and_progress_clears_them
                a_claim_record_alone_is_no_progress
            }
            waking {
                what_a_delivery_gives_is_its_workers_and_the_rest_is_due
                a_delivery_gives_nothing_that_a_claim_would_not
                a_delivery_leaves_to_other_builds_what_is_theirs
                a_delivery_for_nobody_gives_nothing_and_is_made
            }
            reconcile {
                what_a_worker_drives_and_owns_is_no_difference
                what_a_worker_owns_and_does_not_drive_is_named
                no_more_undriven_runs_are_named_than_asked_for
                what_a_worker_drives_and_does_not_own_is_named
                what_a_worker_drives_and_has_not_read_is_named
            }
            order {
                a_claim_gives_only_what_the_worker_has
                a_run_marked_not_this_build_is_left_to_others
                a_run_that_is_marked_with_all_living_builds_is_given_to_whoever_asks
                a_build_that_cannot_drive_a_run_lets_go_of_it_in_spite_of_messages
                claims_are_shared_out_by_lane
                within_a_lane_priority_goes_first_and_then_time
            }
            members {
                members_see_each_others_beats_until_they_leave
                a_stranger_is_no_member
                the_stores_time_does_not_go_back
            }
            messages {
                messages_are_kept_in_order_from_one
                a_message_that_is_sent_again_is_recognised
                a_message_twice_in_one_batch_is_delivered_once
                a_message_to_nobody_finds_no_run
                a_message_to_an_ended_run_is_answered_so
                answers_to_messages_come_in_the_order_of_the_requests
                each_inbox_counts_for_itself
                a_message_to_a_run_goes_to_its_newest_execution
                a_consumed_message_is_not_given_again
                a_position_is_never_given_twice
                a_consumed_message_that_is_sent_again_is_still_recognised
                an_inbox_is_read_beyond_a_position
                what_an_ended_run_has_not_consumed_can_still_be_read
                a_sent_message_is_in_the_outbox_until_it_is_known_to_be_delivered
                the_oldest_messages_leave_the_outbox_first
                the_outbox_of_a_dead_worker_goes_with_its_runs
                a_message_of_a_released_run_is_still_to_be_sent
                a_message_of_an_ended_run_is_still_to_be_sent
                a_forgotten_message_is_no_longer_to_be_sent
            }
            reads {
                what_does_not_exist_is_not_found
                a_run_is_seen_as_it_was_started
                the_newest_execution_of_a_run_is_found_by_its_id
                what_has_ended_or_is_not_there_is_named
                text_of_every_kind_comes_back_as_it_was
                ids_that_differ_in_case_are_two_runs
                runs_are_loaded_in_the_order_asked_and_unknown_ones_left_out
                a_long_journal_is_loaded_whole_and_in_order
                a_list_begins_with_the_newest
                a_list_gives_what_every_part_of_the_query_allows
                a_list_is_bounded_by_the_time_of_the_start
                pages_together_give_each_run_once
                pages_of_each_filter_together_give_each_run_once
                a_page_goes_on_though_the_run_before_it_was_purged
            }
            purge {
                only_runs_that_ended_before_the_moment_are_purged
                a_purge_stays_within_its_budget_and_says_if_there_is_more
                a_dead_run_is_kept_for_the_operator
                a_run_with_messages_to_send_is_kept
                nothing_is_left_of_a_purged_run
                an_old_execution_is_purged_without_the_newer_one
                what_is_named_and_has_ended_is_purged_and_nothing_else
                an_execution_that_is_purged_by_name_makes_the_one_before_the_newest_again
            }
            hints {
                a_start_that_nobody_owns_gives_a_hint
                a_message_gives_a_hint
                a_message_to_a_released_run_hints_that_it_is_due
                a_release_that_is_due_gives_a_hint
                the_end_of_a_run_gives_a_hint
                each_listener_gets_the_hints
            }
            faults {
                a_commit_that_meets_a_fault_is_applied_once
                a_start_that_meets_a_fault_starts_one_run
                a_message_that_meets_a_fault_is_delivered_once
                a_run_whose_claim_meets_a_fault_is_given_to_others_in_the_end
                of_a_worker_with_a_stale_lease_and_its_heir_one_writes
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
