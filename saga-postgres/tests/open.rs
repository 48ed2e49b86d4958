//! How a store is opened, and what is told when it cannot be.

mod common;

use std::error::Error as _;

use common::{TestServer, fresh_name, server, session};
use saga_postgres::PostgresStore;
use saga_store::conformance::lab::Lab;
use saga_store::{ErrorKind, Store as _, StoreError};

/// An error's text with those of its sources, as people and logs see them.
fn whole(error: &StoreError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[tokio::test]
async fn many_workers_open_a_new_schema_at_once() {
    let schema = fresh_name();
    let opened = (0..6).map(|_| common::open(&schema));
    assert_eq!(futures_util::future::join_all(opened).await.len(), 6);
}

#[tokio::test]
async fn two_schemas_of_one_database_know_nothing_of_each_other() {
    let ((_, one), (_, two)) = (common::lab().await, common::lab().await);
    let run = one.pending("ORD-1").await;
    assert_eq!(two.store.get_execution(run).await.unwrap(), None);
    two.pending("ORD-1").await;
}

#[tokio::test]
async fn a_schema_may_have_any_name() {
    let schema = format!("{} \"größe\"; --", fresh_name());
    let lab = Lab::new(common::open(&schema).await);
    lab.pending("ORD-1").await;
    assert!(format!("{:?}", lab.store).contains("größe"));
}

#[tokio::test]
async fn a_newer_schema_is_refused_unless_it_still_serves_this_build() {
    let schema = fresh_name();
    drop(common::open(&schema).await);
    let session = session().await;
    session.batch_execute(&format!("UPDATE {schema}.meta SET version = 7")).await.unwrap();
    drop(common::open(&schema).await);
    session.batch_execute(&format!("UPDATE {schema}.meta SET serves = 6")).await.unwrap();
    let error = PostgresStore::builder(&server().url()).schema(&schema).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    for part in ["version 7", "newer saga-postgres", "update this program"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn a_missing_database_is_named_with_how_to_create_it() {
    let error = PostgresStore::connect(&server().url_of("no_such_shop")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("CREATE DATABASE \"no_such_shop\""), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let error = PostgresStore::connect("postgres://app:s3cret@localhost:1/shop").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("app@localhost:1/shop"), "{error}");
    assert!(!whole(&error).contains("s3cret"), "{error:?}");
}

#[tokio::test]
async fn a_password_is_in_no_debug_text() {
    let (_, url) = common::role("SUPERUSER").await;
    let builder = PostgresStore::builder(&url).schema(fresh_name());
    assert!(!format!("{builder:?}").contains("s3cret"));
    let store = builder.connect().await.unwrap();
    assert!(!format!("{store:?}").contains("s3cret"));
    let error = PostgresStore::connect("postgres://app:s3cret@host:1x/shop").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(!whole(&error).contains("s3cret"), "{error:?}");
}

#[tokio::test]
async fn a_wrong_password_is_told_and_not_repeated() {
    let server = TestServer::start_private("");
    let (client, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("CREATE ROLE app LOGIN PASSWORD 'r1ght'; CREATE SCHEMA saga AUTHORIZATION app").await.unwrap();
    let hba = server.folder().unwrap().join("data/pg_hba.conf");
    std::fs::write(hba, "local all app scram-sha-256\nlocal all all trust\n").unwrap();
    server.control(&["-w", "-m", "fast", "restart"]);
    let error = PostgresStore::connect(&server.url_by("app", "s3cret")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("check user and password"), "{error}");
    assert!(!whole(&error).contains("s3cret"), "{error:?}");
    let error = PostgresStore::connect(&server.url_by("app", "")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("PGPASSWORD"), "{error}");
    Lab::new(PostgresStore::connect(&server.url_by("app", "r1ght")).await.unwrap()).pending("ORD-1").await;
}

#[tokio::test]
async fn a_missing_right_is_named() {
    let (_, url) = common::role("").await;
    let error = PostgresStore::builder(&url).schema(fresh_name()).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let database = session().await.query_one("SELECT quote_ident(current_database())", &[]).await.unwrap();
    let right = format!("to be granted are CREATE on the database {}", database.get::<_, &str>(0));
    assert!(error.to_string().ends_with(&right), "{error}");
}

#[tokio::test]
async fn a_schema_that_a_user_may_not_enter_is_named() {
    let (schema, (_, url)) = (fresh_name(), common::role("").await);
    drop(common::open(&schema).await);
    let error = PostgresStore::builder(&url).schema(&schema).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains(&format!("USAGE on the schema {schema}")), "{error}");
}

#[tokio::test]
async fn a_server_that_is_too_old_is_refused_with_the_version_that_is_needed() {
    let ((role, url), old) = (common::role("SUPERUSER").await, fresh_name());
    // Its sessions see a server of another version.
    let disguise = format!(
        "CREATE SCHEMA {old};
         CREATE FUNCTION {old}.current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT CASE $1
            WHEN 'server_version_num' THEN '120017' WHEN 'server_version' THEN '12.17'
            ELSE pg_catalog.current_setting($1) END $$;
         ALTER ROLE {role} SET search_path = {old}, pg_catalog"
    );
    session().await.batch_execute(&disguise).await.unwrap();
    let schema = fresh_name();
    let error = PostgresStore::builder(&url).schema(&schema).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    assert!(error.to_string().contains("PostgreSQL 12.17; version 13 or later is needed"), "{error}");
    let made = "SELECT count(*) FROM pg_namespace WHERE nspname = $1";
    assert_eq!(session().await.query_one(made, &[&schema]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test]
async fn all_sessions_of_a_server_being_taken_is_told() {
    let server = TestServer::start_private("max_connections = 4\nsuperuser_reserved_connections = 0");
    let mut taken = Vec::new();
    for _ in 0..4 {
        let (client, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        taken.push(client);
    }
    let error = PostgresStore::connect(&server.url()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    for part in ["takes no more connections", "too many clients", "raise max_connections"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn a_standby_is_refused_until_it_is_the_primary_and_beside_it_the_primary_is_found() {
    let primary = TestServer::start_private("");
    let standby = primary.standby("second");
    let error = PostgresStore::connect(&standby.url()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("is a read-only replica; name the primary"), "{error}");
    let [first, second] = [&primary, &standby].map(|server| server.folder().unwrap().display().to_string());
    let both = format!("postgres://saga@/postgres?host={second},{first}");
    Lab::new(PostgresStore::connect(&both).await.unwrap()).pending("ORD-1").await;
    primary.control(&["-w", "-m", "immediate", "stop"]);
    standby.control(&["-w", "promote"]);
    PostgresStore::connect(&standby.url()).await.unwrap();
}

#[tokio::test]
async fn a_replica_is_told_from_a_primary() {
    let (role, url) = common::role("SUPERUSER").await;
    let alter = format!("ALTER ROLE {role} SET default_transaction_read_only = on");
    session().await.batch_execute(&alter).await.unwrap();
    let error = PostgresStore::connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("read-only replica"), "{error}");
}

#[tokio::test]
async fn a_server_that_takes_no_more_sessions_is_waited_for() {
    let (_, url) = common::role("CONNECTION LIMIT 0").await;
    let error = PostgresStore::connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("max_connections"), "{error}");
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_to_be_sent_again() {
    let ((role, url), schema) = (common::role("SUPERUSER").await, fresh_name());
    let alter = format!("ALTER ROLE {role} SET statement_timeout = '100ms'");
    session().await.batch_execute(&alter).await.unwrap();
    drop(common::open(&schema).await);
    let store = PostgresStore::builder(&url).schema(&schema).connect().await.unwrap();
    let lab = Lab::new(store);
    let owner = lab.worker().await;
    let run = lab.owned("ORD-1", owner).await;
    let lock = common::Hold::run(&schema, run).await;
    let error = lab.store.commit(vec![lab.append(run, owner, 1)]).await.unwrap_err();
    assert_eq!(error.error.kind(), ErrorKind::Unavailable);
    assert!(error.error.to_string().contains("statement_timeout"), "{}", error.error);
    lock.release().await;
    lab.store.commit(error.commits).await.unwrap();
    assert_eq!(lab.journal(run).await.len(), 2);
}

#[tokio::test]
async fn tables_that_vanish_while_a_store_is_open_fail_no_run_for_good() {
    let (schema, lab) = common::lab().await;
    let owner = lab.worker().await;
    let run = lab.owned("ORD-1", owner).await;
    session().await.batch_execute(&format!("DROP SCHEMA {schema} CASCADE")).await.unwrap();
    let error = lab.store.commit(vec![lab.append(run, owner, 1)]).await.unwrap_err();
    assert_eq!(error.error.kind(), ErrorKind::Unavailable, "{}", error.error);
}
