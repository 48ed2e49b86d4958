//! What the macros refuse, and how; and what they accept that is the root of a crate: the rest is in
//! `accepted.rs`.
//!
//! The wording of the compiler changes from release to release: the recorded errors are those of
//! one release. Under another one the cases must still fail, whatever the words.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// The release whose wording `ui/fail/*.stderr` records.
const RECORDED_UNDER: &str = "rustc 1.95.";

/// Names the directory of unrecorded cases to a process of this test's own.
const UNRECORDED: &str = "SAGA_UI_UNRECORDED";

#[test]
fn what_the_macros_accept_at_the_root_of_a_crate_compiles_and_runs() {
    trybuild::TestCases::new().pass("ui/pass_as_crates/*.rs");
}

#[test]
fn each_mistake_is_refused_with_its_recorded_error() {
    if let Some(cases) = env::var_os(UNRECORDED) {
        trybuild::TestCases::new().compile_fail(PathBuf::from(cases).join("*.rs"));
        return;
    }
    let compiler = compiler();
    if compiler.starts_with(RECORDED_UNDER) {
        trybuild::TestCases::new().compile_fail("ui/fail/*.rs");
        return;
    }
    // Not by a macro, whose words only a test that fails would show.
    let said = writeln!(
        io::stderr(),
        "the recorded errors are those of {RECORDED_UNDER}x, this is {compiler}: only that each case fails is checked"
    );
    said.expect("there is a standard error");
    let cases = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ui-unrecorded");
    copy_without_errors(Path::new("ui/fail"), &cases).expect("the cases can be copied");
    // With `overwrite`, a case without a recorded error passes if it fails to compile.
    let status = Command::new(env::current_exe().expect("this test has a path"))
        .args(["--exact", "each_mistake_is_refused_with_its_recorded_error", "--nocapture"])
        .env(UNRECORDED, &cases)
        .env("TRYBUILD", "overwrite")
        .status()
        .expect("this test can be run again");
    assert!(status.success(), "a case compiles that must not");
}

fn compiler() -> String {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().expect("rustc says its version");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn copy_without_errors(from: &Path, to: &Path) -> io::Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        if let (true, Some(name)) = (path.extension().is_some_and(|ext| ext == "rs"), path.file_name()) {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}
