//! A private throwaway server.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;

/// Waits until its standard input ends, which it does however this process ends, then stops the
/// server and removes its folder.
const GUARD: &str = r#"
    trap '' INT TERM HUP
    cat > /dev/null
    $3 "$1/pg_ctl" -D "$2/data" -m immediate -w stop > /dev/null 2>&1
    rm -rf "$2"
"#;

/// A server, for as long as the process lives.
#[derive(Debug)]
pub(crate) struct TestServer {
    url: String,
    folder: Option<PathBuf>,
    guard: Mutex<Option<(Child, ChildStdin)>>,
}

impl TestServer {
    /// The server that `SAGA_TEST_POSTGRES_URL` names, or a new one of its own.
    pub(crate) fn start() -> Self {
        match std::env::var("SAGA_TEST_POSTGRES_URL") {
            Ok(url) if !url.is_empty() => Self { url, folder: None, guard: Mutex::new(None) },
            _ => Self::start_private(""),
        }
    }

    /// A new server with more lines in its configuration.
    pub(crate) fn start_private(configuration: &str) -> Self {
        let programs = programs();
        let folder = tempfile::Builder::new()
            .prefix("saga-pg-")
            .disable_cleanup(true)
            .permissions(std::fs::Permissions::from_mode(0o755))
            .tempdir()
            .expect("a folder can be made")
            .keep();
        let user = unprivileged(&folder);
        let data = folder.join("data");
        let guard = Self::guard(&programs, &folder, &user);
        run(as_user(&user, &programs.join("initdb"))
            .args(["--username=saga", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions"])
            .arg("--pgdata")
            .arg(&data));
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(data.join("postgresql.conf"))
            .expect("the new server has a configuration");
        write!(
            file,
            "\nlisten_addresses = ''\nunix_socket_directories = '{}'\nmax_connections = 500\nshared_buffers = 128MB\n\
             max_wal_size = 2GB\nfsync = on\nsynchronous_commit = on\n{configuration}\n",
            folder.display()
        )
        .expect("the configuration can be written");
        drop(file);
        let server = Self {
            url: format!("postgres://saga@/postgres?host={}", folder.display()),
            folder: Some(folder),
            guard: Mutex::new(Some(guard)),
        };
        server.control(&["-w", "start"]);
        server
    }

    fn guard(programs: &Path, folder: &Path, user: &[String]) -> (Child, ChildStdin) {
        let mut child = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .arg(programs)
            .arg(folder)
            .arg(user.join(" "))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell can be started");
        let stdin = child.stdin.take().expect("its input is a pipe");
        (child, stdin)
    }

    /// Calls `pg_ctl` for a private server.
    pub(crate) fn control(&self, arguments: &[&str]) {
        let folder = self.folder.as_ref().expect("only a private server is controlled");
        let log = folder.join("data/server.log");
        let mut command = as_user(&unprivileged_user(), &programs().join("pg_ctl"));
        command.arg("--pgdata").arg(folder.join("data"));
        if arguments.contains(&"start") || arguments.contains(&"restart") {
            command.arg("--log").arg(&log);
        }
        let status = command.args(arguments).stdout(Stdio::null()).status().expect("pg_ctl can be started");
        let said = std::fs::read_to_string(log).unwrap_or_default();
        assert!(status.success(), "pg_ctl {arguments:?} failed: {said}");
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// The folder of a private server.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }
}

/// Where the server's programs are.
fn programs() -> PathBuf {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/lib/postgresql", "/usr/pgsql", "/usr/local/opt", "/opt/homebrew/opt"];
    let versions = usual.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    let mut versions: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin")).collect();
    versions.sort();
    std::env::split_paths(&on_path)
        .chain(versions.into_iter().rev())
        .find(|folder| ["initdb", "pg_ctl", "postgres"].iter().all(|program| folder.join(program).is_file()))
        .unwrap_or_else(|| {
            panic!(
                "these tests need a PostgreSQL server: install one (apt-get install postgresql, \
                 dnf install postgresql-server, brew install postgresql), or name a running one in \
                 SAGA_TEST_POSTGRES_URL"
            )
        })
}

/// How to become a user that may run a server, which root may not. Empty if it is one already.
fn unprivileged_user() -> Vec<String> {
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
fn unprivileged(folder: &Path) -> Vec<String> {
    let user = unprivileged_user();
    if let [_, _, name, ..] = &user[..] {
        run(Command::new("chown").arg(name).arg(folder));
    }
    user
}

fn as_user(user: &[String], program: &Path) -> Command {
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

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    assert!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
}
