//! Where services keep state: Redis where there is one, a file of SQLite where there is none.
//!
//! Both give the same few operations on tables of text, each of them atomic, also between several processes. A write
//! that returned `Ok` is kept; one that returned an error may or may not have happened.

mod redis;
mod sqlite;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::{ConfigError, Env};
use crate::context::Context;
use crate::error::ApiError;

/// Time between two looks at whether the store answers.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// Which store to use.
#[derive(Clone)]
pub struct StoreConfig(Kind);

#[derive(Clone)]
enum Kind {
    Redis(redis::Address),
    Directory(PathBuf),
}

impl StoreConfig {
    /// `REDIS_URL` if it is set, otherwise a file in `DATA_DIR` (default `./data`).
    ///
    /// # Errors
    /// `REDIS_URL` is not the URL of a Redis server.
    pub fn parse(env: &Env) -> Result<Self, ConfigError> {
        if let Some(address) = env.secret("REDIS_URL", redis::Address::parse)? {
            return Ok(Self(Kind::Redis(address)));
        }
        let directory = env.get("DATA_DIR", "a directory")?;
        Ok(Self(Kind::Directory(directory.unwrap_or_else(|| PathBuf::from("data")))))
    }
}

/// A service's state. Clones share it.
#[derive(Clone)]
pub struct Store(Backend);

#[derive(Clone)]
enum Backend {
    Redis(redis::Redis),
    Sqlite(sqlite::Sqlite),
}

/// A set of keys, each with a value, apart from the keys of other tables.
#[derive(Clone)]
pub struct Table {
    store: Store,
    name: &'static str,
}

/// What came of [`Table::insert_new`].
#[derive(Debug, PartialEq, Eq)]
pub enum Inserted {
    /// The key was free and has the new value now.
    New,
    /// The key has had this value before, and keeps it.
    Existing(String),
}

/// The store did not do what it was asked, or did not say so.
#[derive(Debug)]
pub struct StoreError(String);

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StoreError {}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "store failed");
        Self::unavailable(format!("the store failed: {error}"))
    }
}

impl Store {
    /// Opens the store of a service. It is a readiness condition from then on, looked at every second.
    ///
    /// # Errors
    /// The file cannot be opened. A Redis out of reach is none: it may come.
    pub async fn open(config: StoreConfig, service: &'static str, context: &Context) -> Result<Self, StoreError> {
        let store = Self::connect(config, service).await?;
        let condition = context.health.condition("store", "the store has not answered yet");
        let (probed, stopping) = (store.clone(), context.stopping.clone());
        context.spawn(async move { while stopping.run_until_cancelled(probed.probe(&condition)).await.is_some() {} });
        Ok(store)
    }

    /// As [`Store::open`], without watching it.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn connect(config: StoreConfig, service: &'static str) -> Result<Self, StoreError> {
        Ok(Self(match config.0 {
            Kind::Redis(address) => Backend::Redis(redis::Redis::connect(address, service)?),
            Kind::Directory(directory) => Backend::Sqlite(sqlite::Sqlite::open(directory, service).await?),
        }))
    }

    async fn probe(&self, condition: &crate::Condition) {
        let answer = match &self.0 {
            Backend::Redis(redis) => redis.ping().await,
            Backend::Sqlite(sqlite) => sqlite.ping().await,
        };
        match answer {
            Ok(()) => condition.met(),
            Err(error) => condition.unmet(&error.to_string()),
        }
        tokio::time::sleep(PROBE_EVERY).await;
    }

    /// A table by its name; it need not exist before.
    #[must_use]
    pub fn table(&self, name: &'static str) -> Table {
        Table { store: self.clone(), name }
    }
}

impl Table {
    /// The value of a key.
    ///
    /// # Errors
    /// The store failed.
    pub async fn get(&self, key: &str) -> Result<Option<String>, StoreError> {
        match &self.store.0 {
            Backend::Redis(redis) => redis.get(self.name, key).await,
            Backend::Sqlite(sqlite) => sqlite.get(self.name, key).await,
        }
    }

    /// All keys with their values, in the order of the keys.
    ///
    /// # Errors
    /// The store failed.
    pub async fn all(&self) -> Result<Vec<(String, String)>, StoreError> {
        match &self.store.0 {
            Backend::Redis(redis) => redis.all(self.name).await,
            Backend::Sqlite(sqlite) => sqlite.all(self.name).await,
        }
    }

    /// Gives a key a value, whatever it had.
    ///
    /// # Errors
    /// The store failed.
    pub async fn put(&self, key: &str, value: &str) -> Result<(), StoreError> {
        match &self.store.0 {
            Backend::Redis(redis) => redis.put(self.name, key, value).await,
            Backend::Sqlite(sqlite) => sqlite.put(self.name, key, value).await,
        }
    }

    /// Gives a key a value unless it has one. Of several callers at once one gets [`Inserted::New`].
    ///
    /// # Errors
    /// The store failed.
    pub async fn insert_new(&self, key: &str, value: &str) -> Result<Inserted, StoreError> {
        match &self.store.0 {
            Backend::Redis(redis) => redis.insert_new(self.name, key, value).await,
            Backend::Sqlite(sqlite) => sqlite.insert_new(self.name, key, value).await,
        }
    }

    /// Removes a key; false if there was none.
    ///
    /// # Errors
    /// The store failed.
    pub async fn delete(&self, key: &str) -> Result<bool, StoreError> {
        match &self.store.0 {
            Backend::Redis(redis) => redis.delete(self.name, key).await,
            Backend::Sqlite(sqlite) => sqlite.delete(self.name, key).await,
        }
    }

    /// Adds one to a key that holds a number (0 if there is none) and returns the sum.
    ///
    /// # Errors
    /// The store failed.
    pub async fn increment(&self, key: &str) -> Result<u64, StoreError> {
        match &self.store.0 {
            Backend::Redis(redis) => redis.increment(self.name, key).await,
            Backend::Sqlite(sqlite) => sqlite.increment(self.name, key).await,
        }
    }
}
