//! A real program in a directory of its own, which a test stops at moments of its choice.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use saga_sqlite::rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use crate::Database;

/// A program in a directory of its own, and how to see how far its work is.
#[derive(Debug)]
pub struct Victim {
    directory: tempfile::TempDir,
    program: PathBuf,
    arguments: &'static [&'static str],
    keeps: Keeps,
    progress: &'static str,
}

/// Where a program keeps what it does.
#[derive(Debug)]
enum Keeps {
    /// In a file of this name in its directory.
    File(&'static str),
    /// On a server, which it is told with `--store`.
    Server(Box<Database>),
}

impl Victim {
    /// A program with its arguments; `progress` is a query of the file `database`, where it works,
    /// that counts its work.
    ///
    /// # Panics
    ///
    /// If there is no room for a directory.
    pub fn new(
        program: &Path,
        arguments: &'static [&'static str],
        database: &'static str,
        progress: &'static str,
    ) -> Self {
        Self::keeping(program, arguments, Keeps::File(database), progress)
    }

    /// A program that works on a database of a server; `progress` is a query of it.
    ///
    /// # Panics
    ///
    /// If there is no room for a directory.
    pub fn on_server(
        program: &Path,
        arguments: &'static [&'static str],
        database: Database,
        progress: &'static str,
    ) -> Self {
        Self::keeping(program, arguments, Keeps::Server(Box::new(database)), progress)
    }

    fn keeping(program: &Path, arguments: &'static [&'static str], keeps: Keeps, progress: &'static str) -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        Self { directory, program: program.to_owned(), arguments, keeps, progress }
    }

    /// Where it works.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The program with other arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(self.directory.path()).env("RUST_LOG", "error").stderr(Stdio::inherit());
        if let Keeps::Server(database) = &self.keeps {
            command.args(["--store", database.url()]);
        }
        command
    }

    /// How far its work is; 0 while it has no table for that.
    pub fn progress(&self) -> i64 {
        let count = || match &self.keeps {
            Keeps::File(name) => {
                let path = self.directory.path().join(name);
                let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
                database.query_row(self.progress, [], |row| row.get(0)).ok()
            }
            Keeps::Server(database) => database.try_value(self.progress),
        };
        count().unwrap_or(0)
    }

    /// Starts it.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn start(&self) -> Child {
        self.command(self.arguments).stdout(Stdio::null()).spawn().expect("the program can be started")
    }

    /// Sends it a signal, by its name; whether it was there to take it.
    ///
    /// # Panics
    ///
    /// If no signal can be sent.
    pub fn signal(&self, child: &Child, name: &str) -> bool {
        let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
        sent.unwrap_or_else(|error| panic!("no {name} can be sent: {error}")).success()
    }

    /// Waits until the work is so much farther, or until it has been looked at so often. Says
    /// whether the program is alive then.
    ///
    /// # Panics
    ///
    /// If the child cannot be waited for.
    pub fn wait_for(&self, child: &mut Child, more: i64, looks: u64) -> bool {
        let until = self.progress() + more;
        for _ in 0..looks {
            if child.try_wait().expect("a child can be waited for").is_some() {
                return false;
            }
            if self.progress() >= until {
                break;
            }
            std::thread::yield_now();
        }
        true
    }

    /// Runs it to its end; what it said on its last line.
    ///
    /// # Panics
    ///
    /// If that is no JSON.
    pub fn finish(&self) -> Value {
        self.run(self.arguments).0
    }

    /// Runs it with other arguments; what it said on its last line, and whether it succeeded.
    ///
    /// # Panics
    ///
    /// If that is no JSON.
    pub fn run(&self, arguments: &[&str]) -> (Value, bool) {
        let output = self.command(arguments).output().expect("the program can be started");
        (last_line(&output), output.status.success())
    }
}

fn last_line(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_else(|| panic!("no output: {output:?}"));
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}
