//! The promises of the store, kept by both of its backends.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;

use kit::Env;
use kit::store::{Inserted, Store, StoreConfig};
use tempfile::TempDir;
use testkit::{Redis, eventually, skip};

/// Opens the same store as if by a process of its own.
async fn open(variable: &str, value: &str) -> Store {
    let config = StoreConfig::parse(&Env::of_pairs([(variable, value)])).unwrap();
    Store::connect(config, "test").await.unwrap()
}

/// Makes a test for each backend out of a function that is given the variable that selects it, and its value.
macro_rules! on_both {
    ($($test:ident),*) => {$(
        mod $test {
            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                let scratch = super::TempDir::new().unwrap();
                super::$test("DATA_DIR", scratch.path().join("not/yet").to_str().unwrap()).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn redis() {
                let redis = super::skip::unless!(super::Redis::start());
                super::$test("REDIS_URL", &redis.url()).await;
            }
        }
    )*};
}

on_both!(keeps_text_as_it_is, tables_are_apart, of_many_inserts_one_is_new, no_write_is_lost, deletes_once);

async fn keeps_text_as_it_is(variable: &str, value: &str) {
    let table = open(variable, value).await.table("text");
    assert_eq!(table.get("nothing").await.unwrap(), None);
    let odd = ["", " ", "ключ 🗝", "a\0b", "it's \"quoted\" %00 \\ * ?", &"x".repeat(60_000)];
    for text in odd {
        table.put(text, text).await.unwrap();
        table.put(text, &format!("{text}!")).await.unwrap();
    }
    // Another handle sees what the first one has written.
    let table = open(variable, value).await.table("text");
    for text in odd {
        assert_eq!(table.get(text).await.unwrap(), Some(format!("{text}!")));
    }
    let all = table.all().await.unwrap();
    assert_eq!(all.len(), odd.len());
    assert!(all.is_sorted());
}

async fn tables_are_apart(variable: &str, value: &str) {
    let store = open(variable, value).await;
    store.table("one").put("key", "1").await.unwrap();
    store.table("two").put("key", "2").await.unwrap();
    assert!(store.table("one").delete("key").await.unwrap());
    assert_eq!(store.table("two").get("key").await.unwrap().as_deref(), Some("2"));
    assert_eq!(store.table("one").all().await.unwrap(), []);
}

async fn of_many_inserts_one_is_new(variable: &str, value: &str) {
    let stores = [open(variable, value).await, open(variable, value).await];
    let inserts = (0..50).map(|number| {
        let table = stores[number % 2].table("race");
        tokio::spawn(async move { (number, table.insert_new("key", &number.to_string()).await.unwrap()) })
    });
    let mut winner = None;
    let mut seen = HashSet::new();
    for insert in inserts.collect::<Vec<_>>() {
        match insert.await.unwrap() {
            (number, Inserted::New) => {
                assert_eq!(winner.replace(number.to_string()), None, "two were new");
            }
            (_, Inserted::Existing(value)) => _ = seen.insert(value),
        }
    }
    assert_eq!(seen, HashSet::from([winner.unwrap()]));
}

async fn no_write_is_lost(variable: &str, value: &str) {
    // Opened at once, so that two make the file of SQLite together.
    let (one, two) = tokio::join!(open(variable, value), open(variable, value));
    let stores = [one, two];
    let writes = (0..100).map(|number| {
        let store = stores[number % 2].clone();
        tokio::spawn(async move {
            store.table("written").put(&number.to_string(), "x").await.unwrap();
            store.table("counts").increment("sum").await.unwrap()
        })
    });
    let mut sums = HashSet::new();
    for write in writes.collect::<Vec<_>>() {
        sums.insert(write.await.unwrap());
    }
    assert_eq!(sums, (1..=100).collect());
    assert_eq!(stores[0].table("written").all().await.unwrap().len(), 100);
    assert_eq!(stores[1].table("counts").get("sum").await.unwrap().as_deref(), Some("100"));
}

async fn deletes_once(variable: &str, value: &str) {
    let table = open(variable, value).await.table("deleted");
    table.put("key", "value").await.unwrap();
    assert!(table.delete("key").await.unwrap());
    assert!(!table.delete("key").await.unwrap());
    assert_eq!(table.insert_new("key", "again").await.unwrap(), Inserted::New);
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_may_come_late_and_go_and_come_back() {
    let mut redis = skip::unless!(Redis::stopped());
    let table = open("REDIS_URL", &redis.url()).await.table("late");
    let error = table.put("key", "value").await.unwrap_err().to_string();
    assert!(error.starts_with("redis unreachable: ") && error.contains("refused"), "{error}");
    assert!(!error.contains("only-for-this-test"), "{error}");

    for value in ["first", "second"] {
        redis.resume();
        eventually("a write", || async { table.put(value, value).await.ok() }).await;
        redis.stop();
        assert!(table.get(value).await.is_err());
    }
    redis.resume();
    let all = eventually("a read", || async { table.all().await.ok() }).await;
    let all: Vec<&str> = all.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(all, ["first", "second"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_said_without_showing_it() {
    let redis = skip::unless!(Redis::start());
    let url = redis.url().replace("only-for-this-test", "guessed");
    let error = open("REDIS_URL", &url).await.table("any").get("key").await.unwrap_err().to_string();
    assert!(error.contains("auth") && !error.contains("guessed"), "{error}");
}

#[test]
fn a_bad_address_of_redis_is_refused_without_showing_it() {
    for url in ["localhost", "rediss://:hunter2@h:port", "http://:hunter2@h", "redis://:hunter2@h:port"] {
        let error = StoreConfig::parse(&Env::of_pairs([("REDIS_URL", url)])).err().unwrap().to_string();
        assert!(error.contains("redis://:PASSWORD@HOST") && !error.contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let scratch = TempDir::new().unwrap();
    let file = scratch.path().join("file");
    std::fs::write(&file, "").unwrap();
    let config = StoreConfig::parse(&Env::of_pairs([("DATA_DIR", file.to_str().unwrap())])).unwrap();
    let error = Store::connect(config, "test").await.err().unwrap().to_string();
    assert!(error.contains(file.to_str().unwrap()), "{error}");
}
