//! The small examples print what their `output.txt` says, and nothing else: in a file, and on a
//! server.

use std::path::Path;
use std::process::{Command, Stdio};

use saga_test_server::shared;
use saga_tests::{Database, program};

/// In a file of its own, and in one that it is told.
fn in_a_file(example: &str) {
    prints_its_output(example, &[]);
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = format!("sqlite://{}", folder.path().join("runs.db").display());
    prints_its_output(example, &["--store", &file]);
}

/// In an empty database.
fn on_a_server(example: &str) {
    let database = Database::create(shared());
    prints_its_output(example, &["--store", database.url()]);
}

fn prints_its_output(example: &str, arguments: &[&str]) {
    let mut command = Command::new(program(example));
    let output = command.args(arguments).stderr(Stdio::inherit()).output().expect("the example can be run");
    assert!(output.status.success(), "{example}: {}", output.status);
    let expected = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(example).join("output.txt");
    let expected = std::fs::read_to_string(expected).expect("the example's output is recorded");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed == expected, "{example} printed\n{printed}\nand should print\n{expected}");
}

macro_rules! on_each_kind_of_store {
    ($($name:ident: $example:literal,)+) => {
        mod in_files {
            $(#[test]
            fn $name() {
                super::in_a_file($example);
            })+
        }

        mod on_servers {
            $(#[test]
            fn $name() {
                super::on_a_server($example);
            })+
        }
    };
}

on_each_kind_of_store! {
    retry_demo_repeats_the_third_step_only: "retry_demo",
    approval_waits_without_a_process: "approval",
    trip_undoes_what_a_nested_saga_did: "trip",
    fan_out_ships_each_parcel_in_a_child_and_recalls_those_of_a_failed_order: "fan_out",
    gpu_queue_renders_where_the_graphics_cards_are: "gpu_queue",
    subscription_goes_on_month_by_month: "subscription",
    encrypted_hides_what_runs_say: "encrypted",
    layers_give_tokens_and_inject_faults: "layers",
}
