//! The store's tables and their versions.

use deadpool_postgres::Object;
use saga_store::{ErrorKind, StoreError};
use tokio_postgres::error::SqlState;

use crate::db::{Db, For};
use crate::error::Abort;
use crate::options::Migrate;
use crate::sql::{fill, quote};

/// The oldest server that has all that the statements need.
const OLDEST_SERVER: i32 = 130_000;

/// A step from one version of the tables to the next.
struct Step {
    sql: &'static str,
    /// The oldest version whose builds can still work once this step is done.
    serves: i32,
}

/// Step *n* leads from version *n* to *n* + 1.
const STEPS: [Step; 2] = [
    Step { sql: include_str!("../migrations/0001_runs.sql"), serves: 1 },
    Step { sql: include_str!("../migrations/0002_lists.sql"), serves: 1 },
];

/// The version that this build is written for.
const VERSION: i32 = 2;

const CREATE_META: &str = "CREATE TABLE IF NOT EXISTS @.meta (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    version integer NOT NULL,
    serves  integer NOT NULL
)";
const SET_META: &str = "INSERT INTO @.meta (version, serves) VALUES ($v, $s)
    ON CONFLICT (one) DO UPDATE SET version = EXCLUDED.version, serves = EXCLUDED.serves";

/// What the tables are.
#[derive(Debug, Clone, Copy)]
struct Found {
    version: i32,
    serves: i32,
}

/// Makes sure that the tables are what this build needs.
pub(crate) async fn prepare(db: &Db, migrate: Migrate) -> Result<(), StoreError> {
    let open = async {
        let mut session = db.session(For::Clients).await?;
        check_server(&session, &db.address.place).await?;
        match (check(&session, db).await?, migrate) {
            (true, _) => Ok(()),
            (false, Migrate::Run) => run(&mut session, db).await,
            (false, Migrate::Verify) => Err(Abort::Store(to_be_migrated(db))),
        }
    };
    open.await.map_err(|abort: Abort| abort.into_open_error(&db.address.place))
}

async fn check_server(session: &Object, place: &str) -> Result<(), Abort> {
    let row = session
        .query_one("SELECT current_setting('server_version_num')::int4, current_setting('server_version')", &[])
        .await?;
    check_version(row.get(0), row.get(1), place).map_err(Abort::Store)
}

fn check_version(number: i32, version: &str, place: &str) -> Result<(), StoreError> {
    if number >= OLDEST_SERVER {
        return Ok(());
    }
    let message = format!("the server at {place} is PostgreSQL {version}; version 13 or later is needed");
    Err(StoreError::new(ErrorKind::Incompatible, message))
}

/// Whether nothing needs to be done. Refuses tables that this build must not touch.
async fn check(session: &Object, db: &Db) -> Result<bool, Abort> {
    let Some(found) = found(session, &db.schema).await? else { return Ok(false) };
    if found.serves > VERSION {
        let message = format!(
            "the schema {} at {} has version {}, and this build knows versions up to {VERSION}: it was migrated by a \
             newer saga-postgres; update this program",
            quote(&db.schema),
            db.address.place,
            found.version
        );
        return Err(StoreError::new(ErrorKind::Incompatible, message).into());
    }
    Ok(found.version >= VERSION)
}

async fn found(session: &Object, schema: &str) -> Result<Option<Found>, Abort> {
    match session.query_opt(&fill("SELECT version, serves FROM @.meta", schema), &[]).await {
        Ok(row) => Ok(row.map(|row| Found { version: row.get(0), serves: row.get(1) })),
        Err(error)
            if [Some(&SqlState::UNDEFINED_TABLE), Some(&SqlState::INVALID_SCHEMA_NAME)].contains(&error.code()) =>
        {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Brings the tables to this build's version, in one transaction, one worker at a time.
async fn run(session: &mut Object, db: &Db) -> Result<(), Abort> {
    let lock = format!("saga-postgres migrates {}", db.schema);
    // Others may be at it: waiting for them is right however long they take.
    session.batch_execute("SET lock_timeout = 0; SET statement_timeout = 0").await?;
    let transaction = session.transaction().await?;
    transaction.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", &[&lock]).await?;
    let exists = transaction.query_opt("SELECT FROM pg_namespace WHERE nspname = $1", &[&db.schema]).await?.is_some();
    if !exists {
        transaction.batch_execute(&format!("CREATE SCHEMA {}", quote(&db.schema))).await?;
    }
    transaction.batch_execute(&fill(CREATE_META, &db.schema)).await?;
    let row = transaction.query_opt(&fill("SELECT version FROM @.meta", &db.schema), &[]).await?;
    let done = row.map_or(0, |row| row.get::<_, i32>(0));
    for (version, step) in (1..).zip(&STEPS).filter(|(version, _)| *version > done) {
        transaction.batch_execute(&step_sql(version, step, &db.schema)).await?;
    }
    transaction.commit().await?;
    session.batch_execute(crate::sql::SESSION).await?;
    Ok(())
}

fn step_sql(version: i32, step: &Step, schema: &str) -> String {
    let meta = SET_META.replace("$v", &version.to_string()).replace("$s", &step.serves.to_string());
    fill(&format!("{};\n{meta};\n", step.sql.trim_end().trim_end_matches(';')), schema)
}

/// The statements that bring a schema from nothing to what this build needs, for a DBA to read
/// and run.
pub fn migration_sql(schema: &str) -> String {
    let mut script =
        format!("BEGIN;\nCREATE SCHEMA IF NOT EXISTS {};\n{};\n", quote(schema), fill(CREATE_META, schema));
    for (version, step) in (1..).zip(&STEPS) {
        script.push_str(&step_sql(version, step, schema));
    }
    script.push_str("COMMIT;\n");
    script
}

fn to_be_migrated(db: &Db) -> StoreError {
    let message = format!(
        "the schema {} at {} has no tables of version {VERSION}, and this store may only verify them; run what \
         `saga_postgres::migration_sql({:?})` prints, or open the store once with `Migrate::Run`",
        quote(&db.schema),
        db.address.place,
        db.schema
    );
    StoreError::new(ErrorKind::Incompatible, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_too_old_is_told_with_the_version_that_is_needed() {
        let error = check_version(120_017, "12.17", "app@db:5432/shop").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incompatible);
        for part in ["app@db:5432/shop", "12.17", "13 or later"] {
            assert!(error.to_string().contains(part), "{error}");
        }
        assert!(check_version(130_000, "13.0", "app@db:5432/shop").is_ok());
    }
}
