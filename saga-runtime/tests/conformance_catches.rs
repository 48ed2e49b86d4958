//! The conformance suite notices: each planted fault fails the tests that are about it.

mod faulty;

use std::panic::{AssertUnwindSafe, catch_unwind};

use faulty::{Fault, Faulty};
use saga_runtime::MemoryStore;

/// Runs one test of the suite, by its name, on a store with this fault.
fn run(fault: Fault, name: &str) {
    macro_rules! run_the_one {
        ({} $($group:ident { $($test:ident)* })*) => {
            match name {
                $($(
                    concat!(stringify!($group), "::", stringify!($test)) => saga_store::conformance::run(
                        || async { Faulty::new(MemoryStore::new(), fault) },
                        saga_store::conformance::$group::$test,
                    ),
                )*)*
                _ => unreachable!("the suite has no test {name}"),
            }
        };
    }
    saga_store::__conformance_list! { [run_the_one] }
}

/// Each fault with a test that has to fail on it.
const CAUGHT_BY: &[(Fault, &str)] = &[
    (Fault::StartReplacesWhatIsThere, "start::a_second_start_of_an_id_answers_with_the_run_that_is_there"),
    (Fault::StartForgetsTheInput, "start::a_second_start_with_another_input_is_flagged"),
    (Fault::StartFailsWithItsNeighbour, "start::a_start_that_the_store_cannot_take_fails_no_neighbour"),
    (Fault::StartForgetsMessages, "start::a_start_brings_its_blobs_and_messages"),
    (Fault::StartIgnoresItsMoment, "start::a_run_that_may_not_begin_yet_is_not_given_out"),
    (Fault::StartIgnoresItsWorker, "start::a_run_started_for_a_worker_is_its_own"),
    (Fault::CommitAppendsWhereverThereIsRoom, "fence::a_takeover_fences_the_owner_before"),
    (Fault::CommitForgetsItsNonce, "fence::a_commit_that_is_sent_again_is_applied_once"),
    (Fault::RefusedCommitWritesBlobs, "fence::a_refused_commit_writes_nothing_at_all"),
    (Fault::RefusedCommitConsumesMessages, "fence::a_refused_commit_writes_nothing_at_all"),
    (Fault::RefusedCommitSends, "fence::a_refused_commit_writes_nothing_at_all"),
    (Fault::CommitForgetsContinuation, "commit::a_record_may_go_on_over_many_rows"),
    (Fault::CommitForgetsStatus, "commit::a_status_is_kept_until_the_next_one"),
    (Fault::CommitForgetsTheChange, "commit::a_change_of_state_is_seen_by_clients"),
    (Fault::EndKeepsTheOwner, "commit::an_ended_run_is_owned_by_nobody"),
    (Fault::AnswersComeInAnyOrder, "commit::many_runs_commit_at_once_and_answers_come_in_order"),
    (Fault::ReleaseLosesUnseenMessages, "ownership::a_release_with_an_unseen_message_stays"),
    (Fault::ReleaseForgetsItsTime, "ownership::a_released_run_comes_back_when_its_time_has_come"),
    (Fault::ReleaseIsDueAtOnce, "ownership::a_released_run_sleeps_until_its_time"),
    (Fault::ClaimIgnoresItsRoom, "ownership::a_claim_gives_no_more_than_there_is_room_for"),
    (Fault::LeaveKeepsTheRuns, "ownership::a_worker_that_leaves_hands_over_its_runs"),
    (Fault::AdoptionLooksLikeARelease, "ownership::a_dead_workers_runs_are_adopted"),
    (Fault::AdoptionTakesAll, "ownership::an_adoption_takes_no_more_than_there_is_room_for"),
    (Fault::DeathsAreNotCounted, "ownership::deaths_in_a_row_are_counted_and_progress_clears_them"),
    (Fault::UndrivenIsForgotten, "reconcile::what_a_worker_owns_and_does_not_drive_is_named"),
    (Fault::LostIsForgotten, "reconcile::what_a_worker_drives_and_does_not_own_is_named"),
    (Fault::UnreadIsForgotten, "reconcile::what_a_worker_drives_and_has_not_read_is_named"),
    (Fault::NothingEnds, "reads::what_has_ended_or_is_not_there_is_named"),
    (Fault::ClaimIgnoresTheFilter, "order::a_claim_gives_only_what_the_worker_has"),
    (Fault::NotBuildIsForgotten, "order::a_run_marked_not_this_build_is_left_to_others"),
    (Fault::LanesAreOne, "order::claims_are_shared_out_by_lane"),
    (Fault::PriorityIsIgnored, "order::within_a_lane_priority_goes_first_and_then_time"),
    (Fault::DeliveryGivesWhatItDoesNotTake, "waking::what_a_delivery_gives_is_its_workers_and_the_rest_is_due"),
    (Fault::DeliveryIgnoresItsRoom, "waking::what_a_delivery_gives_is_its_workers_and_the_rest_is_due"),
    (Fault::DeliveryIgnoresTheFilter, "waking::a_delivery_gives_nothing_that_a_claim_would_not"),
    (Fault::DeliveryForgetsNotBuild, "waking::a_delivery_leaves_to_other_builds_what_is_theirs"),
    (Fault::EveryoneIsAMember, "members::a_stranger_is_no_member"),
    (Fault::PeersAreForgotten, "members::members_see_each_others_beats_until_they_leave"),
    (Fault::DuplicateIsDelivered, "messages::a_message_that_is_sent_again_is_recognised"),
    (Fault::PositionsBeginAgain, "messages::a_position_is_never_given_twice"),
    (Fault::ConsumedIsGivenAgain, "messages::a_consumed_message_is_not_given_again"),
    (Fault::SentIsForgotten, "messages::a_sent_message_is_in_the_outbox_until_it_is_known_to_be_delivered"),
    (Fault::OutboxIsLost, "messages::a_message_of_an_ended_run_is_still_to_be_sent"),
    (Fault::DeliveredStays, "messages::a_forgotten_message_is_no_longer_to_be_sent"),
    (Fault::LoadSortsItsAnswers, "reads::runs_are_loaded_in_the_order_asked_and_unknown_ones_left_out"),
    (Fault::ListIgnoresAttributes, "reads::a_list_gives_what_every_part_of_the_query_allows"),
    (Fault::ListEndsAfterOnePage, "reads::pages_together_give_each_run_once"),
    (Fault::PrefixIsIgnored, "reads::ids_that_differ_in_case_are_two_runs"),
    (Fault::TimesAreIgnored, "reads::a_list_is_bounded_by_the_time_of_the_start"),
    (Fault::PurgeTakesTheYoung, "purge::only_runs_that_ended_before_the_moment_are_purged"),
    (Fault::PurgeIgnoresItsBudget, "purge::a_purge_stays_within_its_budget_and_says_if_there_is_more"),
    (Fault::PurgeLeavesBlobs, "purge::nothing_is_left_of_a_purged_run"),
    (Fault::PurgeByNameIsNotTold, "purge::what_is_named_and_has_ended_is_purged_and_nothing_else"),
    (Fault::HintsEnd, "hints::a_message_gives_a_hint"),
    (Fault::CommitForgetsItsNonce, "faults::a_commit_that_meets_a_fault_is_applied_once"),
    (Fault::StartForgetsMessages, "faults::a_start_that_meets_a_fault_starts_one_run"),
    (Fault::DuplicateIsDelivered, "faults::a_message_that_meets_a_fault_is_delivered_once"),
    (Fault::LeaveKeepsTheRuns, "faults::a_run_whose_claim_meets_a_fault_is_given_to_others_in_the_end"),
    (Fault::CommitAppendsWhereverThereIsRoom, "faults::of_a_worker_with_a_stale_lease_and_its_heir_one_writes"),
];

#[test]
fn each_planted_fault_fails_the_test_that_is_about_it() {
    for (fault, test) in CAUGHT_BY {
        let caught = catch_unwind(AssertUnwindSafe(|| run(*fault, test))).is_err();
        assert!(caught, "{fault:?} is not noticed by {test}");
    }
}

#[test]
fn each_group_of_the_suite_catches_a_fault() {
    macro_rules! groups {
        ({} $($group:ident { $($test:ident)* })*) => { [$(stringify!($group)),*] };
    }
    for group in saga_store::__conformance_list! { [groups] } {
        let caught = CAUGHT_BY.iter().any(|(_, test)| test.split("::").next() == Some(group));
        assert!(caught, "no planted fault is caught by the group {group}");
    }
}
