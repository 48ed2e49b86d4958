//! A private server goes with the process that started it, however that ends.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use saga_tests::until;

#[test]
fn a_server_whose_process_is_killed_is_stopped_and_removed() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_private_server"));
    let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let folder = Path::new(line.trim());
    let postmaster = std::fs::read_to_string(folder.join("data/postmaster.pid")).unwrap();
    let postmaster = postmaster.lines().next().unwrap().to_owned();
    let lives = || Command::new("kill").args(["-0", &postmaster]).stderr(Stdio::null()).status().unwrap().success();
    assert!(lives());
    process.kill().unwrap();
    process.wait().unwrap();
    until("the server is stopped", || !lives());
    until("its folder is gone", || !folder.exists());
}
