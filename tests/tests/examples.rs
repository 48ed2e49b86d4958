//! The small examples print what their `output.txt` says, and nothing else.

use std::path::Path;
use std::process::{Command, Stdio};

use saga_tests::program;

fn prints_its_output(example: &str) {
    let output = Command::new(program(example)).stderr(Stdio::inherit()).output().expect("the example can be run");
    assert!(output.status.success(), "{example}: {}", output.status);
    let expected = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(example).join("output.txt");
    let expected = std::fs::read_to_string(expected).expect("the example's output is recorded");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed == expected, "{example} printed\n{printed}\nand should print\n{expected}");
}

#[test]
fn retry_demo_repeats_the_third_step_only() {
    prints_its_output("retry_demo");
}

#[test]
fn approval_waits_without_a_process() {
    prints_its_output("approval");
}

#[test]
fn trip_undoes_what_a_nested_saga_did() {
    prints_its_output("trip");
}

#[test]
fn fan_out_ships_each_parcel_in_a_child_and_recalls_those_of_a_failed_order() {
    prints_its_output("fan_out");
}

#[test]
fn gpu_queue_renders_where_the_graphics_cards_are() {
    prints_its_output("gpu_queue");
}

#[test]
fn subscription_goes_on_month_by_month() {
    prints_its_output("subscription");
}

#[test]
fn encrypted_hides_what_runs_say() {
    prints_its_output("encrypted");
}

#[test]
fn layers_give_tokens_and_inject_faults() {
    prints_its_output("layers");
}
