//! Where the server's programs are, and as whom they run.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the server's programs are.
pub(crate) fn programs() -> PathBuf {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/lib/postgresql", "/usr/pgsql", "/usr/local/opt", "/opt/homebrew/opt"];
    let versions = usual.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    let mut versions: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin")).collect();
    versions.sort();
    let wanted = ["initdb", "pg_ctl", "postgres", "pg_basebackup"];
    std::env::split_paths(&on_path)
        .chain(versions.into_iter().rev())
        .find(|folder| wanted.iter().all(|program| folder.join(program).is_file()))
        .unwrap_or_else(|| {
            panic!(
                "these tests need a PostgreSQL server: install one (apt-get install postgresql, \
                 dnf install postgresql-server, brew install postgresql), or name a running one in \
                 SAGA_TEST_POSTGRES_URL, which those tests cannot use that stop their server"
            )
        })
}

/// How to become a user that may run a server, which root may not. Empty if it is one already.
pub(crate) fn unprivileged_user() -> Vec<String> {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    if !is_root {
        return Vec::new();
    }
    let exists =
        |user: &str| Command::new("id").args(["-u", user]).output().is_ok_and(|output| output.status.success());
    let user = if exists("postgres") { "postgres" } else { "nobody" };
    let group = Command::new("id").args(["-g", user]).output().expect("the user has a group").stdout;
    let group = String::from_utf8(group).expect("a group's number is text");
    let words = ["setpriv", "--reuid", user, "--regid", group.trim(), "--clear-groups"];
    words.map(ToOwned::to_owned).into()
}

/// The same, with the folder made over to that user.
pub(crate) fn unprivileged(folder: &Path) -> Vec<String> {
    let user = unprivileged_user();
    if let [_, _, name, ..] = &user[..] {
        run(Command::new("chown").arg(name).arg(folder));
    }
    user
}

pub(crate) fn as_user(user: &[String], program: &Path) -> Command {
    let mut command = match user {
        [] => Command::new(program),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
    };
    command.current_dir("/");
    command
}

pub(crate) fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    assert!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
}
