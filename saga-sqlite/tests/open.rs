//! What a file may be, and what is said of one that it may not be.

mod common;

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use saga_sqlite::{SqliteDb, SqliteStore, Synchronous, rusqlite};
use saga_store::{ErrorKind, Store, StoreError};

async fn refused(path: &Path) -> StoreError {
    SqliteStore::open(path).await.expect_err("the file should have been refused")
}

#[tokio::test]
async fn a_new_file_gets_the_schema_and_is_recognised_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.db");
    drop(SqliteStore::open(&path).await.unwrap());
    let conn = Connection::open(&path).unwrap();
    let pragma = |name: &str| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!((pragma("user_version"), pragma("application_id")), (1, 0x5341_4741));
    // Incremental, so that a purge can give room back.
    assert_eq!(pragma("auto_vacuum"), 2);
    let mode: String = conn.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    drop(conn);
    SqliteStore::open(&path).await.unwrap();
}

#[tokio::test]
async fn many_may_open_a_new_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.db");
    let opening: Vec<_> = (0..8).map(|_| SqliteStore::open(path.clone())).collect();
    for opened in common::send_all(opening, || ()).await {
        assert_eq!(opened.unwrap().next_wake().await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_file_that_is_not_a_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.txt");
    let text = "an order a line\n".repeat(1000);
    fs::write(&path, &text).unwrap();
    let error = refused(&path).await;
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    assert!(error.to_string().contains("orders.txt is not a database"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_database_of_a_newer_schema_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("newer.db");
    drop(SqliteStore::open(&path).await.unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 9).unwrap();
    let error = refused(&path).await;
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    assert!(error.to_string().contains("schema 9") && error.to_string().contains("up to 1"), "{error}");
}

#[tokio::test]
async fn another_programs_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    for (pragma, value) in [("application_id", 77), ("user_version", 3)] {
        let path = folder.path().join(format!("{pragma}.db"));
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch("CREATE TABLE theirs (a)").unwrap();
        conn.pragma_update(None, pragma, value).unwrap();
        drop(conn);
        let before = fs::read(&path).unwrap();
        let error = refused(&path).await;
        assert_eq!(error.kind(), ErrorKind::Incompatible);
        assert!(error.to_string().contains("belongs to another program"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

#[tokio::test]
async fn a_missing_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = refused(&folder.path().join("missing").join("store.db")).await;
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("missing does not exist"), "{error}");
}

#[tokio::test]
async fn a_folder_is_no_store() {
    let folder = tempfile::tempdir().unwrap();
    let error = refused(folder.path()).await;
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("it is a folder"), "{error}");
}

/// `/proc` takes no files, from anybody.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_folder_that_takes_no_files_is_told_from_other_troubles() {
    let error = refused(Path::new("/proc/store.db")).await;
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("check the rights on it and on its folder"), "{error}");
}

#[tokio::test]
async fn an_address_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("by url.db");
    let url = format!("sqlite://{}", path.to_str().unwrap().replace(' ', "%20"));
    let store = SqliteStore::connect(&url).await.unwrap();
    assert_eq!(store.db().path(), path);
    let error = SqliteStore::connect("redis://localhost").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn the_options_reach_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let db = SqliteDb::builder(folder.path().join("shop.db"))
        .synchronous(Synchronous::Normal)
        .readers(1)
        .open_db()
        .await
        .unwrap();
    let tables: i64 =
        db.read(|conn| conn.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))).await.unwrap();
    assert_eq!(tables, 0, "a plain database has none of the store's tables");
}

#[tokio::test]
async fn a_backup_is_a_store_as_of_its_moment() {
    let (folder, lab) = common::lab().await;
    let worker = lab.worker().await;
    let execution = lab.owned("ORD-1", worker).await;
    let copy = folder.path().join("copy.db");
    lab.store.db().backup(&copy).await.unwrap();
    lab.apply(lab.append(execution, worker, 1)).await;
    let again = lab.store.db().backup(&copy).await.unwrap_err();
    assert!(again.to_string().contains("exists already"), "{again}");
    let store = SqliteStore::open(&copy).await.unwrap();
    assert_eq!(store.load(&[execution]).await.unwrap()[0].journal.len(), 1);
    assert_eq!(lab.journal(execution).await.len(), 2);
}
