//! The store in a file of SQLite, `DATA_DIR/SERVICE.sqlite3`.
//!
//! In WAL mode readers and a writer do not block each other, and several processes may have the file open: the old and
//! the new version of a service while one replaces the other.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};

use super::{Inserted, StoreError};

/// How long a statement waits for another process that writes.
const BUSY: Duration = Duration::from_secs(5);

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS entries (
    space TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (space, key)
) STRICT, WITHOUT ROWID";

#[derive(Clone)]
pub(super) struct Sqlite {
    connection: Arc<Mutex<Connection>>,
}

impl Sqlite {
    /// Opens the file, and makes it and its directory when there is none.
    pub(super) async fn open(directory: PathBuf, service: &str) -> Result<Self, StoreError> {
        let file = directory.join(format!("{service}.sqlite3"));
        blocking(move || {
            std::fs::create_dir_all(&directory)
                .map_err(|error| StoreError(format!("cannot make the directory `{}`: {error}", directory.display())))?;
            let connection =
                prepared(&file).map_err(|error| StoreError(format!("cannot open `{}`: {error}", file.display())))?;
            Ok(Self { connection: Arc::new(Mutex::new(connection)) })
        })
        .await
    }

    /// Runs statements on a thread that may block.
    async fn with<T: Send + 'static>(
        &self,
        statements: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let connection = Arc::clone(&self.connection);
        blocking(move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            statements(&mut connection).map_err(|error| StoreError(format!("sqlite: {error}")))
        })
        .await
    }

    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        self.with(|connection| {
            connection.query_row("SELECT count(*) FROM (SELECT 1 FROM entries LIMIT 1)", [], |_| Ok(()))
        })
        .await
    }

    pub(super) async fn get(&self, space: &'static str, key: &str) -> Result<Option<String>, StoreError> {
        let key = key.to_owned();
        self.with(move |connection| value(connection, space, &key)).await
    }

    pub(super) async fn all(&self, space: &'static str) -> Result<Vec<(String, String)>, StoreError> {
        self.with(move |connection| {
            let mut select =
                connection.prepare_cached("SELECT key, value FROM entries WHERE space = ?1 ORDER BY key")?;
            let rows = select.query_map([space], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
        .await
    }

    pub(super) async fn put(&self, space: &'static str, key: &str, value: &str) -> Result<(), StoreError> {
        let (key, value) = (key.to_owned(), value.to_owned());
        self.with(move |connection| {
            let sql = "INSERT INTO entries VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET value = excluded.value";
            connection.prepare_cached(sql)?.execute(params![space, key, value]).map(drop)
        })
        .await
    }

    pub(super) async fn insert_new(&self, space: &'static str, key: &str, new: &str) -> Result<Inserted, StoreError> {
        let (key, new) = (key.to_owned(), new.to_owned());
        self.with(move |connection| {
            loop {
                let sql = "INSERT INTO entries VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
                if connection.prepare_cached(sql)?.execute(params![space, key, new])? == 1 {
                    return Ok(Inserted::New);
                }
                // A key that is gone by now is free again.
                if let Some(existing) = value(connection, space, &key)? {
                    return Ok(Inserted::Existing(existing));
                }
            }
        })
        .await
    }

    pub(super) async fn delete(&self, space: &'static str, key: &str) -> Result<bool, StoreError> {
        let key = key.to_owned();
        self.with(move |connection| {
            let sql = "DELETE FROM entries WHERE space = ?1 AND key = ?2";
            Ok(connection.prepare_cached(sql)?.execute(params![space, key])? > 0)
        })
        .await
    }

    pub(super) async fn increment(&self, space: &'static str, key: &str) -> Result<u64, StoreError> {
        let key = key.to_owned();
        self.with(move |connection| {
            let sql = "INSERT INTO entries VALUES (?1, ?2, '1')
                ON CONFLICT DO UPDATE SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT)
                RETURNING CAST(value AS INTEGER)";
            connection
                .prepare_cached(sql)?
                .query_row(params![space, key], |row| row.get::<_, i64>(0))
                .map(|sum| sum as u64)
        })
        .await
    }
}

fn value(connection: &Connection, space: &str, key: &str) -> rusqlite::Result<Option<String>> {
    let mut select = connection.prepare_cached("SELECT value FROM entries WHERE space = ?1 AND key = ?2")?;
    select.query_row(params![space, key], |row| row.get(0)).optional()
}

/// Opens the file and brings it into its form.
fn prepared(file: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(BUSY)?;
    let started = Instant::now();
    loop {
        match into_form(&connection) {
            // Two processes that make the file at once: changing to WAL fails at once instead of waiting for the other.
            Err(error) if is_busy(&error) && started.elapsed() < BUSY => {
                std::thread::sleep(Duration::from_millis(10));
            }
            outcome => return outcome.map(|()| connection),
        }
    }
}

fn into_form(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "wal")?;
    // Every acknowledged write is on the disk, not only in the system's cache.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.execute_batch(SCHEMA)
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(StoreError(format!("the store's thread failed: {error}"))),
    }
}
