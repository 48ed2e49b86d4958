//! The order pipeline in several processes over one database, and what befalls them.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use serde_json::Value;

use crate::{Database, Figures, Histories, Orders, holds_in_time, program};

/// Runs that have ended: their states' codes are those of `RunState`.
const ENDED: &str = "SELECT count(*) FROM saga.runs WHERE state BETWEEN 5 AND 9";
const COMPLETED_OR_FAILED: &str = "SELECT count(*) FROM saga.runs WHERE state IN (5, 6)";
/// Some that have not, with their owner, and the workers.
const OPEN: &str = "(SELECT concat_ws(' ', r.id, r.state, l, d) FROM saga.runs r JOIN saga.live l USING (execution)
        LEFT JOIN saga.ready d USING (execution) WHERE r.state NOT BETWEEN 5 AND 9 LIMIT 10)
    UNION ALL (SELECT w::text FROM saga.workers w)
    UNION ALL (SELECT concat_ws(' ', state, wait_event, query_start::time, left(query, 60)) FROM pg_stat_activity
        WHERE backend_type = 'client backend' LIMIT 40)";
const RUNS: &str = "SELECT count(*) FROM saga.runs";
const ATTEMPTS: &str = "SELECT count(*) FROM order_saga_shop.attempts";

/// Workers of one pipeline.
#[derive(Debug)]
pub struct Fleet {
    program: PathBuf,
    directory: tempfile::TempDir,
    database: Database,
    /// Where the workers find the database, if not where the test does.
    url: String,
    orders: Orders,
    lease: &'static str,
    more: Vec<String>,
    spawned: usize,
}

/// A process that works on orders. It is killed when it is dropped.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    output: PathBuf,
    log: PathBuf,
}

impl Fleet {
    /// A pipeline for the first so many of the bundled orders, with a lease of 2 s. It has no
    /// workers yet.
    ///
    /// # Panics
    ///
    /// If the program cannot be built.
    pub fn new(database: Database, orders: usize) -> Self {
        Self::of(database, Orders::bundled(orders))
    }

    /// The same for any orders.
    ///
    /// # Panics
    ///
    /// If the program cannot be built.
    pub fn of(database: Database, orders: Orders) -> Self {
        let url = database.url().to_owned();
        let directory = tempfile::tempdir().expect("a directory can be made");
        let program = program("order-saga");
        Self { program, directory, database, url, orders, lease: "2", more: Vec::new(), spawned: 0 }
    }

    /// The workers reach the database at another address than the test.
    #[must_use]
    pub fn by(self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self }
    }

    /// More arguments for each worker.
    #[must_use]
    pub fn with(self, arguments: &[&str]) -> Self {
        Self { more: arguments.iter().map(|argument| (*argument).to_owned()).collect(), ..self }
    }

    /// Another lease, in seconds.
    #[must_use]
    pub fn lease(self, seconds: &'static str) -> Self {
        Self { lease: seconds, ..self }
    }

    /// How many orders there are.
    pub fn orders(&self) -> i64 {
        i64::try_from(self.orders.count()).unwrap_or(i64::MAX)
    }

    /// The database.
    pub fn database(&self) -> &Database {
        &self.database
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(self.directory.path()).env_remove("RUST_LOG");
        command
    }

    /// A client that starts this part of the orders, those before included; it may be waited
    /// for, or left alone.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn submit(&mut self, part: usize, of: usize) -> Worker {
        let mut command = self.command(&["submit", "--store", &self.url]);
        command.args(self.orders.arguments(self.orders.count() * part / of));
        self.spawn(command)
    }

    /// Starts all orders, before anything befalls the server.
    ///
    /// # Panics
    ///
    /// If that fails.
    pub fn submit_all(&mut self) {
        let submitted = self.submit(1, 1).wait();
        assert!(submitted.success(), "the orders cannot be started");
        assert_eq!(self.database.count(RUNS), self.orders());
    }

    /// One more worker.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn worker(&mut self) -> Worker {
        self.worker_by(&self.url.clone())
    }

    /// One more worker, which reaches the database at another address than the others.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn worker_by(&mut self, url: &str) -> Worker {
        let mut command = self.command(&["worker", "--json", "--store", url, "--lease", self.lease]);
        command.args(["--name", "the same for all", "--concurrency", "64"]).args(&self.more);
        self.spawn(command)
    }

    /// So many more workers.
    pub fn workers(&mut self, count: usize) -> Vec<Worker> {
        (0..count).map(|_| self.worker()).collect()
    }

    fn spawn(&mut self, mut command: Command) -> Worker {
        self.spawned += 1;
        let path = |what: &str| self.directory.path().join(format!("{}.{what}", self.spawned));
        let (output, log) = (path("out"), path("log"));
        let file = |path| Stdio::from(File::create(path).expect("a file can be made"));
        let child = command.stdout(file(&output)).stderr(file(&log)).spawn().expect("the program can be started");
        Worker { child, output, log }
    }

    /// How many orders have a run, as far as the server says.
    pub fn started(&self) -> i64 {
        self.database.try_value(RUNS).unwrap_or(0)
    }

    /// How many orders have ended, as far as the server says.
    pub fn ended(&self) -> i64 {
        self.database.try_value(ENDED).unwrap_or(0)
    }

    /// How many attempts were made, as far as the server says.
    pub fn attempts(&self) -> i64 {
        self.database.try_value(ATTEMPTS).unwrap_or(0)
    }

    /// Waits until so many orders have ended.
    ///
    /// # Panics
    ///
    /// If that takes minutes, with what is open then.
    pub fn until_ended(&self, orders: i64) {
        if !holds_in_time(|| self.ended() >= orders) {
            let open = self.database.rows(OPEN);
            let open: Vec<String> = open.iter().map(|row| row.get(0)).collect();
            panic!("waited in vain until {orders} orders have ended; open are, for example:\n{}", open.join("\n"));
        }
    }

    /// Waits until all orders have ended.
    pub fn until_all_ended(&self) {
        self.until_ended(self.orders());
    }

    /// What the shop's books say, after all orders have ended: exactly what the orders' file says.
    /// Gives what is in the journals.
    ///
    /// # Panics
    ///
    /// If anything is lost, doubled or left behind.
    pub fn check(&self) -> Histories {
        let mut audit = self.command(&["audit", "--json", "--store", self.database.url()]);
        audit.args(self.orders.arguments(self.orders.count()));
        let audited = audit.stderr(Stdio::inherit()).output().expect("the audit can be started");
        let text = String::from_utf8_lossy(&audited.stdout);
        assert!(audited.status.success(), "the audit found a violation: {text}");
        let audit: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(Figures::of_audit(&audit), self.orders.figures());
        assert_eq!(self.database.count(RUNS), self.database.count(COMPLETED_OR_FAILED), "all ended by themselves");
        let histories = Histories::read(&self.database);
        assert_eq!(histories.runs, self.orders.count());
        histories
    }
}

impl Worker {
    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it lives.
    ///
    /// # Panics
    ///
    /// If it cannot be looked at.
    pub fn lives(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }

    /// Sends a signal, by its name.
    ///
    /// # Panics
    ///
    /// If it is not there.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "no {name} for {}", self.id());
    }

    /// Kills it.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // One that has ended cannot be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    ///
    /// If it cannot be waited for.
    pub fn wait(mut self) -> ExitStatus {
        self.child.wait().expect("a child can be waited for")
    }

    /// Tells it to stop, and gives how many attempts it has made.
    ///
    /// # Panics
    ///
    /// If it fails, or says nothing.
    pub fn stop(self) -> u64 {
        self.stop_by("INT")["attempts"].as_u64().expect("a worker says how many attempts it made")
    }

    /// Tells it by this signal to stop, and gives all that it says of itself.
    ///
    /// # Panics
    ///
    /// If it fails, or says nothing.
    pub fn stop_by(mut self, signal: &str) -> Value {
        self.signal(signal);
        let status = self.child.wait().expect("a child can be waited for");
        let log = self.log();
        assert!(status.success(), "the worker failed: {log}");
        let text = std::fs::read_to_string(&self.output).unwrap_or_default();
        let said: Option<Value> = text.lines().last().and_then(|line| serde_json::from_str(line).ok());
        said.unwrap_or_else(|| panic!("it says: {text}{log}"))
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!(
                "-- the last of {} --\n{}",
                self.log.display(),
                lines[lines.len().saturating_sub(12)..].join("\n")
            );
        }
    }
}
