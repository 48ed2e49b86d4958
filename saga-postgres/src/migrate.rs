//! The store's tables and their versions.

mod tables;

use deadpool_postgres::Object;
use saga_store::{ErrorKind, StoreError};
use tokio_postgres::error::SqlState;

use crate::db::{Db, For};
use crate::error::Abort;
use crate::options::Migrate;
use crate::rights;
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
const STEPS: [Step; 3] = [
    Step { sql: include_str!("../migrations/0001_runs.sql"), serves: 1 },
    Step { sql: include_str!("../migrations/0002_lists.sql"), serves: 1 },
    Step { sql: include_str!("../migrations/0003_fence.sql"), serves: 3 },
];

/// The version that this build is written for.
const VERSION: i32 = 3;

const CREATE_META: &str = "CREATE TABLE IF NOT EXISTS @.meta (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    version integer NOT NULL,
    serves  integer NOT NULL
)";
const SET_META: &str = "INSERT INTO @.meta (version, serves) VALUES ($v, $s)
    ON CONFLICT (one) DO UPDATE SET version = EXCLUDED.version, serves = EXCLUDED.serves";

/// In a script for one version: stops it on another.
const EXPECT: &str = "DO $saga$ BEGIN
    IF (SELECT version FROM @.meta) IS DISTINCT FROM $v THEN
        RAISE EXCEPTION 'this script is for a schema of version $v, and this one has another';
    END IF;
END $saga$;
";

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
        match prepare_in(&mut session, db, migrate).await {
            Err(abort) if abort.is_lack_of_rights() => {
                Err(abort.lacking(rights::missing(&session, &db.schema, migrate == Migrate::Run).await))
            }
            done => done,
        }
    };
    open.await.map_err(|abort: Abort| abort.into_open_error(&db.address.place))
}

async fn prepare_in(session: &mut Object, db: &Db, migrate: Migrate) -> Result<(), Abort> {
    check_server(session, &db.address.place).await?;
    let mut found = check(session, db).await?;
    if found.is_none_or(|found| found.version < VERSION) {
        if migrate == Migrate::Verify {
            return Err(Abort::Store(to_be_migrated(db, found)));
        }
        run(session, db).await?;
        found = check(session, db).await?;
    }
    let version = found.map_or(VERSION, |found| found.version);
    tables::verify(session, db, version).await
}

/// What a DBA has to run before this build can work, if anything.
pub(crate) async fn pending(db: &Db) -> Result<Option<String>, StoreError> {
    let look = async {
        let session = db.session(For::Clients).await?;
        check_server(&session, &db.address.place).await?;
        check(&session, db).await
    };
    let found = look.await.map_err(|abort: Abort| abort.into_open_error(&db.address.place))?;
    let version = found.map_or(0, |found| found.version);
    Ok((version < VERSION).then(|| script(&db.schema, version)))
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

/// What is there. Refuses tables that this build must not touch.
async fn check(session: &Object, db: &Db) -> Result<Option<Found>, Abort> {
    let Some(found) = found(session, &db.schema).await? else { return Ok(None) };
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
    Ok(Some(found))
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
    // Others may be at it: waiting for them is right however long they take.
    session.batch_execute("SET lock_timeout = 0; SET statement_timeout = 0").await?;
    let transaction = session.transaction().await?;
    transaction.batch_execute(&lock(&db.schema)).await?;
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

/// Who migrates is alone.
fn lock(schema: &str) -> String {
    let schema = schema.replace('\'', "''");
    format!("SELECT pg_advisory_xact_lock(hashtextextended('saga-postgres migrates {schema}', 0))")
}

/// The statements that bring a schema from nothing to what this build needs, for a DBA to read
/// and run: one transaction, under the lock of workers that migrate.
///
/// ```
/// assert!(saga_postgres::migration_sql("saga").starts_with("BEGIN;"));
/// ```
pub fn migration_sql(schema: &str) -> String {
    script(schema, 0)
}

/// The same for a schema of an older version, which the error of a store that may only verify
/// names; [`PostgresBuilder::pending_migration`](crate::PostgresBuilder::pending_migration) looks
/// for itself. It fails, and changes nothing, if the schema is of another version.
///
/// ```
/// assert!(!saga_postgres::migration_sql_from("saga", 1).contains("CREATE TABLE"));
/// ```
pub fn migration_sql_from(schema: &str, version: u32) -> String {
    script(schema, i32::try_from(version).unwrap_or(VERSION).min(VERSION))
}

fn script(schema: &str, from: i32) -> String {
    let mut script = format!("BEGIN;\n{};\n", lock(schema));
    if from == 0 {
        let create = format!("CREATE SCHEMA IF NOT EXISTS {};\n{};\n", quote(schema), fill(CREATE_META, schema));
        script.push_str(&create);
    } else {
        script.push_str(&fill(&EXPECT.replace("$v", &from.to_string()), schema));
    }
    for (version, step) in (1..).zip(&STEPS).filter(|(version, _)| *version > from) {
        script.push_str(&step_sql(version, step, schema));
    }
    script.push_str("COMMIT;\n");
    script
}

fn to_be_migrated(db: &Db, found: Option<Found>) -> StoreError {
    let schema = &db.schema;
    let (is, call) = match found {
        None => ("has no tables".to_owned(), format!("migration_sql({schema:?})")),
        Some(Found { version, .. }) => {
            (format!("has version {version}"), format!("migration_sql_from({schema:?}, {version})"))
        }
    };
    let message = format!(
        "the schema {} at {} {is}, this build needs version {VERSION}, and this store may only verify; run what \
         `saga_postgres::{call}` gives (the example `migrations` of saga-postgres prints it), or open the store once \
         with `Migrate::Run`",
        quote(schema),
        db.address.place,
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
