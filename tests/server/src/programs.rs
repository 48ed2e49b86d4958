//! Where the server's programs are, and as whom they run.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest version that the store works with.
const OLDEST: u32 = 13;

/// Says where to look first: for tests against a certain version.
const VARIABLE: &str = "SAGA_TEST_POSTGRES_BIN";

/// Folders of versions, and what their names begin with.
const USUAL: [(&str, &str); 5] = [
    ("/usr/lib/postgresql", ""),
    ("/usr", "pgsql-"),
    ("/usr/local", "pgsql"),
    ("/usr/local/opt", "postgresql"),
    ("/opt/homebrew/opt", "postgresql"),
];

/// Where the server's programs are.
pub(crate) fn programs() -> PathBuf {
    if let Some(folder) = std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty()) {
        let folder = PathBuf::from(folder);
        assert!(has_all(&folder), "{VARIABLE} names {}, where there are no server programs", folder.display());
        return folder;
    }
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&on_path).chain(usual()).filter(|folder| has_all(folder));
    choose(folders.map(|folder| (version(&folder), folder)).collect()).unwrap_or_else(|why| {
        panic!(
            "these tests start a PostgreSQL server of their own, {OLDEST} or later, and {why}: install one (apt-get \
             install postgresql, dnf install postgresql-server, brew install postgresql), or name the folder of its \
             programs in {VARIABLE}; with SAGA_TEST_POSTGRES_URL tests use a running server, but for those that stop \
             theirs or change its settings"
        )
    })
}

fn usual() -> impl Iterator<Item = PathBuf> {
    USUAL.into_iter().flat_map(|(folder, prefix)| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let named = entries.filter(move |entry| entry.file_name().to_string_lossy().starts_with(prefix));
        named.map(|entry| entry.path().join("bin"))
    })
}

fn has_all(folder: &Path) -> bool {
    ["initdb", "pg_ctl", "postgres", "pg_basebackup"].iter().all(|program| folder.join(program).is_file())
}

/// The first of the newest that is new enough: what is on the path comes first.
fn choose(found: Vec<(Option<u32>, PathBuf)>) -> Result<PathBuf, String> {
    let newest = found.iter().map(|(version, _)| *version).max().flatten();
    if newest.is_some_and(|newest| newest >= OLDEST) {
        let first = found.into_iter().find(|(version, _)| *version == newest);
        return first.map(|(_, folder)| folder).ok_or_else(String::new);
    }
    let what = |(version, folder): &(Option<u32>, PathBuf)| {
        let version = version.map_or("unknown".to_owned(), |version| version.to_string());
        format!("{version} in {}", folder.display())
    };
    let found: Vec<String> = found.iter().map(what).collect();
    Err(if found.is_empty() {
        "none is found".to_owned()
    } else {
        format!("only older ones are found ({})", found.join(", "))
    })
}

fn version(folder: &Path) -> Option<u32> {
    let output = Command::new(folder.join("postgres")).arg("--version").output().ok()?;
    major(&String::from_utf8_lossy(&output.stdout))
}

/// The major version in what a program says of itself: `postgres (PostgreSQL) 15.8 (Debian …)`.
fn major(text: &str) -> Option<u32> {
    let number = text.split_once("(PostgreSQL)")?.1.trim_start();
    number.split(|char: char| !char.is_ascii_digit()).next()?.parse().ok()
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
    make_over(folder, &user);
    user
}

/// Makes a file or folder over to that user.
pub(crate) fn make_over(path: &Path, user: &[String]) {
    if let [_, _, name, ..] = user {
        run(Command::new("chown").arg(name).arg(path));
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(versions: &[Option<u32>]) -> Vec<(Option<u32>, PathBuf)> {
        versions.iter().enumerate().map(|(at, version)| (*version, PathBuf::from(format!("/{at}")))).collect()
    }

    #[test]
    fn the_newest_version_is_taken_and_not_the_last_by_name() {
        assert_eq!(choose(folders(&[Some(9), Some(15), None, Some(13), Some(15)])), Ok(PathBuf::from("/1")));
    }

    #[test]
    fn versions_that_are_too_old_are_named() {
        let why = choose(folders(&[Some(9), Some(12)])).unwrap_err();
        assert_eq!(why, "only older ones are found (9 in /0, 12 in /1)");
        assert_eq!(choose(Vec::new()), Err("none is found".to_owned()));
    }

    #[test]
    fn a_program_says_its_version() {
        assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 9.6.24"), Some(9));
        assert_eq!(major("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major("something else"), None);
    }
}
