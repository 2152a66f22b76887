//! The store in Redis: a hash for each table, named `SERVICE:TABLE`.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncTypedCommands as _, Client, RedisError};

use super::{Inserted, StoreError};

/// How long connecting and each answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// How long an answer proves that a connection lives. A server that is started again takes longer than that.
const PROVEN_FOR: Duration = Duration::from_millis(50);

/// A parsed `REDIS_URL`. It holds the password and is therefore never shown.
#[derive(Clone)]
pub(super) struct Address(Arc<Client>);

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let valid = || "`redis://:PASSWORD@HOST:PORT/DATABASE`, or the same with `rediss://` for TLS".to_owned();
        if !["redis://", "rediss://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(valid());
        }
        Client::open(url).map(|client| Self(Arc::new(client))).map_err(|_| valid())
    }
}

#[derive(Clone)]
pub(super) struct Redis {
    client: Arc<Client>,
    connection: Arc<RwLock<ConnectionManager>>,
    /// When the connection was last seen to live.
    seen: Arc<Mutex<Option<Instant>>>,
    service: &'static str,
}

impl Redis {
    /// Does not wait for the server: the connection is made by the first command, and again after it broke.
    pub(super) fn connect(Address(client): Address, service: &'static str) -> Result<Self, StoreError> {
        let connection = Arc::new(RwLock::new(manager(&client)?));
        Ok(Self { client, connection, seen: Arc::default(), service })
    }

    fn connection(&self) -> ConnectionManager {
        self.connection.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The connection, made again first where the server has closed it meanwhile: a command that is lost with it is not sent
    /// twice, since the server may have carried it out.
    async fn live(&self) -> Result<ConnectionManager, StoreError> {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.is_none_or(|seen| seen.elapsed() > PROVEN_FOR) {
            match self.connection().ping().await {
                Ok(_) => *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now()),
                // To wait for it once is enough.
                Err(error) if error.is_timeout() => return Err(error.into()),
                Err(_) => {}
            }
        }
        Ok(self.connection())
    }

    fn hash(&self, table: &str) -> String {
        format!("{}:{table}", self.service)
    }

    /// Also begins anew where something answered that is no Redis, or did not let us in: the manager goes back only to a
    /// server that did not answer, and would keep that for ever.
    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        let Err(error) = self.connection().ping().await else { return Ok(()) };
        if !is_unreachable(&error) {
            let anew = manager(&self.client)?;
            *self.connection.write().unwrap_or_else(PoisonError::into_inner) = anew;
        }
        Err(error.into())
    }

    pub(super) async fn get(&self, table: &str, key: &str) -> Result<Option<String>, StoreError> {
        Ok(self.live().await?.hget(self.hash(table), key).await?)
    }

    pub(super) async fn all(&self, table: &str) -> Result<Vec<(String, String)>, StoreError> {
        let all = self.live().await?.hgetall(self.hash(table)).await?;
        let mut all: Vec<_> = all.into_iter().collect();
        all.sort();
        Ok(all)
    }

    pub(super) async fn put(&self, table: &str, key: &str, value: &str) -> Result<(), StoreError> {
        self.live().await?.hset(self.hash(table), key, value).await?;
        Ok(())
    }

    pub(super) async fn insert_new(&self, table: &str, key: &str, value: &str) -> Result<Inserted, StoreError> {
        loop {
            if self.live().await?.hset_nx(self.hash(table), key, value).await? {
                return Ok(Inserted::New);
            }
            // A key that is gone by now is free again.
            if let Some(existing) = self.get(table, key).await? {
                return Ok(Inserted::Existing(existing));
            }
        }
    }

    pub(super) async fn delete(&self, table: &str, key: &str) -> Result<bool, StoreError> {
        Ok(self.live().await?.hdel(self.hash(table), key).await? > 0)
    }

    pub(super) async fn increment(&self, table: &str, key: &str) -> Result<u64, StoreError> {
        // The typed command would return the sum as a floating point number.
        let mut command = redis::cmd("HINCRBY");
        command.arg(self.hash(table)).arg(key).arg(1);
        Ok(command.query_async(&mut self.live().await?).await?)
    }
}

/// What connects with the first command.
fn manager(client: &Client) -> Result<ConnectionManager, StoreError> {
    // A command is never sent twice, and a caller learns soon that there is no connection.
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(1)
        .set_max_delay(Duration::from_millis(200))
        .set_connection_timeout(Some(ANSWER_WITHIN))
        .set_response_timeout(Some(ANSWER_WITHIN));
    Ok(ConnectionManager::new_lazy_with_config(Client::clone(client), config)?)
}

fn is_unreachable(error: &RedisError) -> bool {
    error.is_io_error() || error.is_timeout() || error.is_connection_dropped()
}

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        let state = if is_unreachable(&error) { "redis unreachable" } else { "redis refused" };
        Self(format!("{state}: {}", error.to_string().to_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Answers each command with `+PONG`, or everything with what a web server says.
    fn serve(mut stream: TcpStream, is_redis: bool) {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
            let commands = text.split("\r\n").filter(|line| line.starts_with('*')).count();
            let answer =
                if is_redis { "+PONG\r\n".repeat(commands) } else { "HTTP/1.1 400 Bad Request\r\n\r\n".to_owned() };
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_redis_at_first_may_be_one_later() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let is_redis = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_redis);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let is_redis = told.load(Ordering::SeqCst);
                std::thread::spawn(move || serve(stream.unwrap(), is_redis));
            }
        });
        let redis = Redis::connect(Address::parse(&format!("redis://{address}/0")).unwrap(), "test").unwrap();
        let first = redis.ping().await.unwrap_err().to_string();
        assert!(first.starts_with("redis refused: "), "{first}");
        is_redis.store(true, Ordering::SeqCst);
        redis.ping().await.unwrap();
    }

    #[tokio::test]
    async fn the_first_command_after_a_restart_of_the_server_is_answered() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (accepted, streams) = std::sync::mpsc::channel::<TcpStream>();
        std::thread::spawn(move || {
            for stream in listener.incoming().map(Result::unwrap) {
                accepted.send(stream.try_clone().unwrap()).unwrap();
                std::thread::spawn(move || serve(stream, true));
            }
        });
        let redis = Redis::connect(Address::parse(&format!("redis://{address}/0")).unwrap(), "test").unwrap();
        assert_eq!(redis.get("table", "key").await.unwrap().as_deref(), Some("PONG"));
        streams.recv().unwrap().shutdown(Shutdown::Both).unwrap();
        *redis.seen.lock().unwrap() = None;
        assert_eq!(redis.get("table", "key").await.unwrap().as_deref(), Some("PONG"));
    }
}
