//! What the macros accept compiles, without a warning, and runs: each case is a module. Those that have to be
//! the root of a crate are in `ui.rs`.

// What the cases say of lints is about the code that macros make, not about how they are written themselves.
#![allow(unreachable_pub, dead_code, clippy::all, clippy::pedantic, reason = "cases stand for crates of users")]

use std::collections::BTreeSet;
use std::fs;

#[path = "../ui/pass/a_transaction.rs"]
mod a_transaction;
#[path = "../ui/pass/allowed_clock.rs"]
mod allowed_clock;
#[path = "../ui/pass/allowed_env.rs"]
mod allowed_env;
#[path = "../ui/pass/allowed_io.rs"]
mod allowed_io;
#[path = "../ui/pass/allowed_print.rs"]
mod allowed_print;
#[path = "../ui/pass/allowed_random.rs"]
mod allowed_random;
#[path = "../ui/pass/allowed_threads.rs"]
mod allowed_threads;
#[path = "../ui/pass/an_alias_of_result.rs"]
mod an_alias_of_result;
#[path = "../ui/pass/an_awaited_transaction.rs"]
mod an_awaited_transaction;
#[path = "../ui/pass/attributes_go_where_they_belong.rs"]
mod attributes_go_where_they_belong;
#[path = "../ui/pass/awaits_in_arguments_and_fields.rs"]
mod awaits_in_arguments_and_fields;
#[path = "../ui/pass/awaits_in_assert.rs"]
mod awaits_in_assert;
#[path = "../ui/pass/awaits_in_blocks.rs"]
mod awaits_in_blocks;
#[path = "../ui/pass/awaits_in_conditions.rs"]
mod awaits_in_conditions;
#[path = "../ui/pass/awaits_in_format.rs"]
mod awaits_in_format;
#[path = "../ui/pass/awaits_in_macros_of_the_body.rs"]
mod awaits_in_macros_of_the_body;
#[path = "../ui/pass/awaits_in_matches.rs"]
mod awaits_in_matches;
#[path = "../ui/pass/awaits_in_nested_closures.rs"]
mod awaits_in_nested_closures;
#[path = "../ui/pass/awaits_in_panics.rs"]
mod awaits_in_panics;
#[path = "../ui/pass/awaits_in_vec.rs"]
mod awaits_in_vec;
#[path = "../ui/pass/awaits_in_write.rs"]
mod awaits_in_write;
#[path = "../ui/pass/awaits_inside_macros.rs"]
mod awaits_inside_macros;
#[path = "../ui/pass/classes_of_errors.rs"]
mod classes_of_errors;
#[path = "../ui/pass/durable_helpers_borrow_and_recurse.rs"]
mod durable_helpers_borrow_and_recurse;
#[path = "../ui/pass/events_awaited_and_sent.rs"]
mod events_awaited_and_sent;
#[path = "../ui/pass/hash_maps_that_are_not_iterated_over.rs"]
mod hash_maps_that_are_not_iterated_over;
#[path = "../ui/pass/inputs_are_recorded_by_name.rs"]
mod inputs_are_recorded_by_name;
#[path = "../ui/pass/joins_and_selects_by_any_path.rs"]
mod joins_and_selects_by_any_path;
#[path = "../ui/pass/local_items_in_function_bodies.rs"]
mod local_items_in_function_bodies;
#[path = "../ui/pass/loops_that_go_in_order.rs"]
mod loops_that_go_in_order;
#[path = "../ui/pass/macros_that_make_activities.rs"]
mod macros_that_make_activities;
#[path = "../ui/pass/messages_and_errors_by_macros.rs"]
mod messages_and_errors_by_macros;
#[path = "../ui/pass/nested_functions_do_what_they_like.rs"]
mod nested_functions_do_what_they_like;
#[path = "../ui/pass/no_input.rs"]
mod no_input;
#[path = "../ui/pass/results_that_are_left_unused_when_the_function_says_so.rs"]
mod results_that_are_left_unused_when_the_function_says_so;
#[path = "../ui/pass/side_effects_and_allowances.rs"]
mod side_effects_and_allowances;
#[path = "../ui/pass/states_and_context_in_any_order.rs"]
mod states_and_context_in_any_order;
#[path = "../ui/pass/strict_attempts.rs"]
mod strict_attempts;
#[path = "../ui/pass/strict_awaits_in_macros.rs"]
mod strict_awaits_in_macros;
#[path = "../ui/pass/strict_branches.rs"]
mod strict_branches;
#[path = "../ui/pass/strict_children_events_and_the_rest.rs"]
mod strict_children_events_and_the_rest;
#[path = "../ui/pass/strict_helpers.rs"]
mod strict_helpers;
#[path = "../ui/pass/strict_joins.rs"]
mod strict_joins;
#[path = "../ui/pass/strict_loops.rs"]
mod strict_loops;
#[path = "../ui/pass/strict_returns_early.rs"]
mod strict_returns_early;
#[path = "../ui/pass/strict_sagas.rs"]
mod strict_sagas;
#[path = "../ui/pass/strict_selects.rs"]
mod strict_selects;
#[path = "../ui/pass/strict_sessions.rs"]
mod strict_sessions;
#[path = "../ui/pass/the_order_saga.rs"]
mod the_order_saga;
#[path = "../ui/pass/undo_by_input_and_by_output.rs"]
mod undo_by_input_and_by_output;
#[path = "../ui/pass/undo_steps_at_the_call_and_by_hand.rs"]
mod undo_steps_at_the_call_and_by_hand;

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        const CASES: &[&str] = &[$(stringify!($name)),*];

        mod runs {
            $(
                #[test]
                fn $name() {
                    super::$name::main();
                }
            )*
        }
    };
}

cases!(
    a_transaction,
    allowed_clock,
    allowed_env,
    allowed_io,
    allowed_print,
    allowed_random,
    allowed_threads,
    an_alias_of_result,
    an_awaited_transaction,
    attributes_go_where_they_belong,
    awaits_in_arguments_and_fields,
    awaits_in_assert,
    awaits_in_blocks,
    awaits_in_conditions,
    awaits_in_format,
    awaits_in_macros_of_the_body,
    awaits_in_matches,
    awaits_in_nested_closures,
    awaits_in_panics,
    awaits_in_vec,
    awaits_in_write,
    awaits_inside_macros,
    classes_of_errors,
    durable_helpers_borrow_and_recurse,
    events_awaited_and_sent,
    hash_maps_that_are_not_iterated_over,
    inputs_are_recorded_by_name,
    joins_and_selects_by_any_path,
    local_items_in_function_bodies,
    loops_that_go_in_order,
    macros_that_make_activities,
    messages_and_errors_by_macros,
    nested_functions_do_what_they_like,
    no_input,
    results_that_are_left_unused_when_the_function_says_so,
    side_effects_and_allowances,
    states_and_context_in_any_order,
    strict_attempts,
    strict_awaits_in_macros,
    strict_branches,
    strict_children_events_and_the_rest,
    strict_helpers,
    strict_joins,
    strict_loops,
    strict_returns_early,
    strict_sagas,
    strict_selects,
    strict_sessions,
    the_order_saga,
    undo_by_input_and_by_output,
    undo_steps_at_the_call_and_by_hand,
);

#[test]
fn no_case_is_forgotten() {
    let files = fs::read_dir("ui/pass").expect("the cases are there");
    let names: BTreeSet<String> = files
        .map(|file| {
            file.expect("a case can be listed").file_name().to_string_lossy().trim_end_matches(".rs").to_owned()
        })
        .collect();
    assert_eq!(names, CASES.iter().map(|name| (*name).to_owned()).collect());
}
