//! A password is in no line of any log, whatever fails.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use saga_postgres::PostgresStore;
use saga_test_server::{TestServer, fresh_name};
use tracing_subscriber::fmt::MakeWriter;

/// Everything that was logged.
static LOGGED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// What libraries say by `tracing` and by `log`, at every level.
struct All;

impl Write for All {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOGGED.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for All {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}

impl log::Log for All {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let mut all = Self;
        writeln!(all, "{} {}", record.target(), record.args()).unwrap();
    }

    fn flush(&self) {}
}

#[tokio::test]
async fn a_password_is_in_no_line_of_any_log() {
    let filter = tracing_subscriber::EnvFilter::new("trace");
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(All).init();
    log::set_logger(&All).unwrap();
    log::set_max_level(log::LevelFilter::Trace);

    let who = "local all app scram-sha-256\nlocal all plain password\nlocal all all trust\n";
    let server = TestServer::start_with("", &[("pg_hba.conf", who)]);
    let make = "CREATE ROLE app LOGIN SUPERUSER PASSWORD 's3cret'; CREATE ROLE plain LOGIN SUPERUSER PASSWORD 's3cret'";
    let (client, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(make).await.unwrap();
    // What the test itself has sent is not what is looked at.
    LOGGED.lock().unwrap().clear();
    let folder = server.folder().unwrap().display().to_string();
    let mut addresses = vec![
        "postgres://app:s3cret@localhost:1/shop".to_owned(),
        "postgres://app:s3cret@host:1x/shop".to_owned(),
        "host=localhost password=my s3cret".to_owned(),
        "postgres://app:s3cret@localhost/shop?s3cret=1&sslmode=s3cret".to_owned(),
        format!("postgres://app:s3cret@/no_such_shop?host={folder}"),
    ];
    for user in ["app", "plain"] {
        addresses.push(server.url_by(user, "wrong-s3cret"));
        addresses.push(server.url_by(user, ""));
    }
    for address in &addresses {
        let error = PostgresStore::connect(address).await.unwrap_err();
        tracing::error!(%error, ?error, "as a program would log it");
    }
    for user in ["app", "plain"] {
        let builder = PostgresStore::builder(&server.url_by(user, "s3cret")).schema(fresh_name());
        tracing::info!(?builder, "about to open");
        let store = builder.connect().await.unwrap();
        tracing::info!(?store, "open");
    }
    let logged = String::from_utf8_lossy(&LOGGED.lock().unwrap()).into_owned();
    assert!(
        logged.contains("as a program would log it") && logged.contains("tokio_postgres"),
        "all is captured: {logged}"
    );
    let lines: Vec<&str> = logged.lines().filter(|line| line.contains("s3cret")).collect();
    assert!(lines.is_empty(), "{lines:#?}");
}
