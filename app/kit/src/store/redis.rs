//! The store in Redis: a hash for each table, named `SERVICE:TABLE`.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncTypedCommands as _, Client, RedisError};

use super::{Inserted, StoreError};

/// How long connecting and each answer may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// A parsed `REDIS_URL`. It holds the password and is therefore never shown.
#[derive(Clone)]
pub(super) struct Address(Client);

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let valid = || "`redis://:PASSWORD@HOST:PORT/DATABASE`".to_owned();
        if !url.starts_with("redis://") {
            return Err(valid());
        }
        Client::open(url).map(Self).map_err(|_| valid())
    }
}

#[derive(Clone)]
pub(super) struct Redis {
    connection: ConnectionManager,
    service: &'static str,
}

impl Redis {
    /// Does not wait for the server: the connection is made by the first command, and again after it broke.
    pub(super) fn connect(Address(client): Address, service: &'static str) -> Result<Self, StoreError> {
        // A command is never sent twice, and a caller learns soon that there is no connection.
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_max_delay(Duration::from_millis(200))
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let connection = ConnectionManager::new_lazy_with_config(client, config)?;
        Ok(Self { connection, service })
    }

    fn hash(&self, table: &str) -> String {
        format!("{}:{table}", self.service)
    }

    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        self.connection.clone().ping().await?;
        Ok(())
    }

    pub(super) async fn get(&self, table: &str, key: &str) -> Result<Option<String>, StoreError> {
        Ok(self.connection.clone().hget(self.hash(table), key).await?)
    }

    pub(super) async fn all(&self, table: &str) -> Result<Vec<(String, String)>, StoreError> {
        let all = self.connection.clone().hgetall(self.hash(table)).await?;
        let mut all: Vec<_> = all.into_iter().collect();
        all.sort();
        Ok(all)
    }

    pub(super) async fn put(&self, table: &str, key: &str, value: &str) -> Result<(), StoreError> {
        self.connection.clone().hset(self.hash(table), key, value).await?;
        Ok(())
    }

    pub(super) async fn insert_new(&self, table: &str, key: &str, value: &str) -> Result<Inserted, StoreError> {
        loop {
            if self.connection.clone().hset_nx(self.hash(table), key, value).await? {
                return Ok(Inserted::New);
            }
            // A key that is gone by now is free again.
            if let Some(existing) = self.get(table, key).await? {
                return Ok(Inserted::Existing(existing));
            }
        }
    }

    pub(super) async fn delete(&self, table: &str, key: &str) -> Result<bool, StoreError> {
        Ok(self.connection.clone().hdel(self.hash(table), key).await? > 0)
    }

    pub(super) async fn increment(&self, table: &str, key: &str) -> Result<u64, StoreError> {
        // The typed command would return the sum as a floating point number.
        let mut command = redis::cmd("HINCRBY");
        command.arg(self.hash(table)).arg(key).arg(1);
        Ok(command.query_async(&mut self.connection.clone()).await?)
    }
}

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        let unreachable = error.is_io_error() || error.is_timeout() || error.is_connection_dropped();
        let state = if unreachable { "redis unreachable" } else { "redis refused" };
        Self(format!("{state}: {}", error.to_string().to_lowercase()))
    }
}
