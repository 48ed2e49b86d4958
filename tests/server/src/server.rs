//! A server, what can befall it, and a standby of it.

use std::fs::{OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;

use crate::programs::{as_user, make_over, programs, run, unprivileged, unprivileged_user};

/// Waits until its standard input ends, which it does however this process ends, then stops the
/// server and removes its folder.
const GUARD: &str = r#"
    trap '' INT TERM HUP
    cat > /dev/null
    $3 "$1/pg_ctl" -D "$2/data" -m immediate -w stop > /dev/null 2>&1
    rm -rf "$2"
"#;

/// What each private server is set to. Its journal is flushed as in earnest.
const SETTINGS: &str = "
listen_addresses = ''
max_connections = 500
shared_buffers = 128MB
max_wal_size = 2GB
fsync = on
synchronous_commit = on
";

/// A server, for as long as the process lives or until it is dropped.
#[derive(Debug)]
pub struct TestServer {
    url: String,
    folder: Option<PathBuf>,
    guard: Mutex<Option<(Child, ChildStdin)>>,
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let guard = self.guard.get_mut().ok().and_then(Option::take);
        if let Some((mut shell, input)) = guard {
            drop(input);
            // Its folder is gone when the shell has ended.
            let _ = shell.wait();
        }
    }
}

impl TestServer {
    /// The server that `SAGA_TEST_POSTGRES_URL` names, or a new one of its own.
    ///
    /// The variable is a URL of any database and any user, who has to be a superuser: tests make
    /// schemas, databases and roles with passwords, end sessions, and let them wait for each other.
    ///
    /// # Panics
    ///
    /// If there are no server programs, or the server does not start.
    pub fn start() -> Self {
        match std::env::var("SAGA_TEST_POSTGRES_URL") {
            Ok(url) if !url.is_empty() => Self { url, folder: None, guard: Mutex::new(None) },
            _ => Self::start_private(""),
        }
    }

    /// A new server with more lines in its configuration, which a test may stop and start.
    ///
    /// # Panics
    ///
    /// If there are no server programs, or the server does not start.
    pub fn start_private(configuration: &str) -> Self {
        Self::start_with(configuration, &[])
    }

    /// The same, with more files beside its configuration, which nobody else may read: keys and
    /// certificates, or another `pg_hba.conf`.
    ///
    /// # Panics
    ///
    /// If there are no server programs, or the server does not start.
    pub fn start_with(configuration: &str, files: &[(&str, &str)]) -> Self {
        let (server, user) = Self::folder_of_a_new_one();
        run(as_user(&user, &programs().join("initdb"))
            .args(["--username=saga", "--auth=trust", "--encoding=UTF8", "--locale=C"])
            .arg("--pgdata")
            .arg(server.data()));
        for (name, text) in files {
            let path = server.data().join(name);
            std::fs::write(&path, text).expect("a file can be written");
            std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("a file has permissions");
            make_over(&path, &user);
        }
        server.configure(&format!("{SETTINGS}{configuration}\n"));
        server.control(&["-w", "start"]);
        server
    }

    /// A standby that follows this server under a name, by which the server may wait for it
    /// (`synchronous_standby_names`).
    ///
    /// # Panics
    ///
    /// If this server is not private, or the copy cannot be made.
    #[must_use = "it ends when it is dropped"]
    pub fn standby(&self, name: &str) -> Self {
        let (server, user) = Self::folder_of_a_new_one();
        run(as_user(&user, &programs().join("pg_basebackup"))
            .args(["--wal-method=stream", "--checkpoint=fast", "--no-password", "--username=saga", "--pgdata"])
            .arg(server.data())
            .arg("--host")
            .arg(self.private_folder()));
        server.configure(&format!(
            "primary_conninfo = 'host={} user=saga application_name={name}'",
            self.private_folder().display()
        ));
        std::fs::write(server.data().join("standby.signal"), "").expect("a file can be written");
        server.control(&["-w", "start"]);
        server
    }

    /// A folder for a server, which is removed at the end.
    fn folder_of_a_new_one() -> (Self, Vec<String>) {
        let folder = tempfile::Builder::new()
            .prefix("saga-pg-")
            .disable_cleanup(true)
            .permissions(Permissions::from_mode(0o755))
            .tempdir()
            .expect("a folder can be made")
            .keep();
        let user = unprivileged(&folder);
        let guard = guard(&programs(), &folder, &user);
        let url = format!("postgres://saga@/postgres?host={}", folder.display());
        (Self { url, folder: Some(folder), guard: Mutex::new(Some(guard)) }, user)
    }

    /// Adds lines to the configuration; what comes later counts. They are read at the next start.
    ///
    /// # Panics
    ///
    /// If this server is not private.
    pub fn configure(&self, lines: &str) {
        let mut file = OpenOptions::new()
            .append(true)
            .open(self.data().join("postgresql.conf"))
            .expect("a private server has a configuration");
        let sockets = self.private_folder().display();
        write!(file, "\nunix_socket_directories = '{sockets}'\n{lines}\n").expect("the configuration can be written");
    }

    /// Calls `pg_ctl` for a private server.
    ///
    /// # Panics
    ///
    /// If that fails, with the server's log.
    pub fn control(&self, arguments: &[&str]) {
        let log = self.private_folder().join("data/server.log");
        let mut command = as_user(&unprivileged_user(), &programs().join("pg_ctl"));
        command.arg("--pgdata").arg(self.data());
        if arguments.contains(&"start") || arguments.contains(&"restart") {
            command.arg("--log").arg(&log);
        }
        let status = command.args(arguments).stdout(Stdio::null()).status().expect("pg_ctl can be started");
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        assert!(status.success(), "pg_ctl {arguments:?} failed: {}", said());
    }

    /// What a private server has logged so far.
    ///
    /// # Panics
    ///
    /// If this server is not private.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.data().join("server.log")).unwrap_or_default()
    }

    /// Where it is.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Where another of its databases is.
    pub fn url_of(&self, database: &str) -> String {
        let Parts { scheme, user, host, parameters, .. } = self.parts();
        format!("{scheme}://{user}{host}/{database}{parameters}")
    }

    /// The same database for another user, in place of the one that the address names.
    pub fn url_by(&self, user: &str, password: &str) -> String {
        let Parts { scheme, host, database, parameters, .. } = self.parts();
        let password = if password.is_empty() { String::new() } else { format!(":{password}") };
        format!("{scheme}://{user}{password}@{host}/{database}{parameters}")
    }

    fn parts(&self) -> Parts<'_> {
        let (address, parameters) = match self.url.find('?') {
            Some(mark) => self.url.split_at(mark),
            None => (&*self.url, ""),
        };
        let (scheme, rest) = address.split_once("://").unwrap_or(("postgres", address));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        // A password may have an @ of its own.
        let (user, host) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
        Parts { scheme, user, host, database, parameters }
    }

    /// The folder of a private server: its sockets are there, and its data in `data`.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    fn private_folder(&self) -> &Path {
        self.folder().expect("this needs a private server")
    }

    fn data(&self) -> PathBuf {
        self.private_folder().join("data")
    }
}

/// An address: `scheme://[user@]host/database[?parameters]`, with the marks.
struct Parts<'u> {
    scheme: &'u str,
    user: &'u str,
    host: &'u str,
    database: &'u str,
    parameters: &'u str,
}

/// A port of this machine that nobody listens on now, for a server that has to have one.
///
/// # Panics
///
/// If there is none.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it has an address").port()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str) -> TestServer {
        TestServer { url: url.to_owned(), folder: None, guard: Mutex::new(None) }
    }

    #[test]
    fn another_database_of_a_server_has_the_same_way_to_it() {
        assert_eq!(at("postgres://saga@/postgres?host=/x").url_of("shop"), "postgres://saga@/shop?host=/x");
        assert_eq!(at("postgres://a:b@host:1/x").url_of("shop"), "postgres://a:b@host:1/shop");
        assert_eq!(at("postgres://host").url_of("shop"), "postgres://host/shop");
    }

    #[test]
    fn another_user_of_a_server_has_the_same_way_to_it() {
        assert_eq!(at("postgres://saga@/postgres?host=/x").url_by("me", ""), "postgres://me@/postgres?host=/x");
        assert_eq!(at("postgresql://a:b@c@host:1/x").url_by("me", "it"), "postgresql://me:it@host:1/x");
        assert_eq!(at("postgres://host/x?sslmode=disable").url_by("me", ""), "postgres://me@host/x?sslmode=disable");
    }
}
