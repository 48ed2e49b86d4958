//! The schema: who makes it, who only looks, and what is told if it is not as it should be.

mod common;

use common::{Hold, fresh_name, server, session, until_blocked};
use saga_postgres::{Migrate, PostgresStore, migration_sql, migration_sql_from};
use saga_store::conformance::lab::Lab;
use saga_store::{ErrorKind, NewRun, Query, Store as _, StoreError};

/// The tables of version 1, as the build had them that made it.
fn first_version(schema: &str) -> String {
    let meta = "CREATE TABLE @.meta (one boolean PRIMARY KEY DEFAULT true CHECK (one), version integer NOT NULL,
        serves integer NOT NULL); INSERT INTO @.meta (version, serves) VALUES (1, 1);";
    let tables = include_str!("../migrations/0001_runs.sql");
    format!("CREATE SCHEMA {schema}; {}", format!("{meta}{tables}").replace("@.", &format!("{schema}.")))
}

/// A run of that build with a search attribute, as far as lists see it.
fn first_run(schema: &str) -> String {
    format!(
        "INSERT INTO {schema}.runs (execution, id, newest, workflow, version, lane, priority, state, created_at,
            updated_at, input_digest, attributes)
         VALUES ('0190a000-0000-7000-8000-000000000001', 'OLD-1', true, 'order', 1, '', 0, 5, 7, 7, 0, '{{customer,4}}');
         INSERT INTO {schema}.attributes (name, value, execution)
         VALUES ('customer', '4', '0190a000-0000-7000-8000-000000000001');"
    )
}

async fn verify(schema: &str) -> Result<PostgresStore, StoreError> {
    PostgresStore::builder(&server().url()).schema(schema).migrate(Migrate::Verify).connect().await
}

#[tokio::test]
async fn a_dba_runs_the_migration_and_the_store_only_verifies() {
    let schema = fresh_name();
    let error = verify(&schema).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    assert!(error.to_string().contains(&format!("migration_sql({schema:?})")), "{error}");
    session().await.batch_execute(&migration_sql(&schema)).await.unwrap();
    Lab::new(verify(&schema).await.unwrap()).pending("ORD-1").await;
    common::open(&schema).await;
}

#[tokio::test]
async fn an_older_schema_is_brought_up_to_date_by_a_dba_with_what_is_in_it() {
    let (schema, client) = (fresh_name(), session().await);
    client.batch_execute(&first_version(&schema)).await.unwrap();
    client.batch_execute(&first_run(&schema)).await.unwrap();
    let error = verify(&schema).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    for part in ["has version 1", &format!("migration_sql_from({schema:?}, 1)")] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let pending = PostgresStore::builder(&server().url()).schema(&schema).pending_migration().await.unwrap();
    assert_eq!(pending.as_ref(), Some(&migration_sql_from(&schema, 1)));
    client.batch_execute(&pending.unwrap()).await.unwrap();
    let pending = PostgresStore::builder(&server().url()).schema(&schema).pending_migration().await.unwrap();
    assert_eq!(pending, None);

    let lab = Lab::new(verify(&schema).await.unwrap());
    let attributes = vec![("customer".to_owned(), "4".to_owned())];
    let new = lab.started(NewRun { attributes: attributes.clone(), ..lab.new_run("NEW-1") }).await;
    let page = lab.store.list(&Query { attributes, limit: 10, ..Query::default() }).await.unwrap();
    let ids: Vec<&str> = page.runs.iter().map(|run| run.id.as_str()).collect();
    assert_eq!((ids, page.runs[0].execution), (vec!["NEW-1", "OLD-1"], new));
}

#[tokio::test]
async fn a_script_for_one_version_changes_no_schema_of_another() {
    let (schema, client) = (fresh_name(), session().await);
    drop(common::open(&schema).await);
    let error = client.batch_execute(&migration_sql_from(&schema, 1)).await.unwrap_err();
    let told = error.as_db_error().unwrap().message();
    assert!(told.contains("for a schema of version 1, and this one has another"), "{told}");
}

#[tokio::test]
async fn what_is_missing_in_a_schema_is_named_when_it_is_opened() {
    let client = session().await;
    for (damage, told) in [
        ("DROP TABLE @.claims", "the table claims"),
        ("ALTER TABLE @.live DROP COLUMN deaths", "the column live.deaths"),
        ("ALTER TABLE @.inbox ALTER COLUMN at TYPE text USING at::text", "the type int8 of inbox.at, now text"),
        ("DROP INDEX @.runs_newest", "the index runs_newest"),
    ] {
        let schema = fresh_name();
        drop(common::open(&schema).await);
        client.batch_execute(&damage.replace('@', &schema)).await.unwrap();
        let run = PostgresStore::builder(&server().url()).schema(&schema).connect().await;
        for opened in [verify(&schema).await, run] {
            let error = opened.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Incompatible);
            assert!(error.to_string().contains(told), "{error}");
        }
    }
}

#[tokio::test]
async fn who_migrates_is_alone() {
    let schema = fresh_name();
    let lock = format!("SELECT pg_advisory_xact_lock(hashtextextended('saga-postgres migrates {schema}', 0))");
    let other = Hold::sql(&lock).await;
    let mut opening = {
        let schema = schema.clone();
        tokio::spawn(async move { common::open(&schema).await })
    };
    tokio::select! {
        () = until_blocked(&other) => {}
        _ = &mut opening => panic!("it did not wait for who migrates"),
    }
    let exists = "SELECT count(*) FROM pg_namespace WHERE nspname = $1";
    assert_eq!(session().await.query_one(exists, &[&schema]).await.unwrap().get::<_, i64>(0), 0);
    other.release().await;
    Lab::new(opening.await.unwrap()).pending("ORD-1").await;
}

#[tokio::test]
async fn many_workers_bring_an_older_schema_up_to_date_at_once() {
    let schema = fresh_name();
    session().await.batch_execute(&first_version(&schema)).await.unwrap();
    let opened = (0..6).map(|_| common::open(&schema));
    assert_eq!(futures_util::future::join_all(opened).await.len(), 6);
}
