//! The API of the real binary, on both stores.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;

use serde_json::json;
use tempfile::TempDir;
use testkit::{Answer, Redis, Running, client, delete, eventually, get, post, post_raw, send, skip};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const SHORTENER: &str = env!("CARGO_BIN_EXE_shortener");

testkit::on_both!(keys_and_values, a_link_lives, links_survive_a_restart, fifty_at_once_get_codes_of_their_own);

async fn keys_and_values(store: (&str, &str)) {
    let shortener = Running::start_ready(SHORTENER, &[store]).await;
    for path in ["/pw", "/pw/"] {
        assert_eq!(get(&shortener.url(path)).await.json(), "Your redis crud server is running!");
    }
    for (path, key, value) in [
        ("/pw/colour/red", "colour", "red"),
        ("/pw/colour/blue%20%26%20green", "colour", "blue & green"),
        ("/pw/a%2Fb%3F/100%25", "a/b?", "100%"),
        ("/pw/%D0%BA%D0%BB%D1%8E%D1%87/%F0%9F%97%9D", "ключ", "🗝"),
        ("/pw/%00/%00", "\0", "\0"),
    ] {
        let url = shortener.url(path);
        let answer = send(client().post(&url)).await;
        assert_eq!((answer.status, answer.json()), (200, json!({"key": key, "value": value})));
        let key_url = url.rsplit_once('/').unwrap().0;
        assert_eq!(get(key_url).await.json(), value);
    }
    let url = shortener.url("/pw/colour");
    assert_eq!(delete(&url).await.json(), 1);
    assert_eq!(delete(&url).await.json(), 0);
    let gone = get(&url).await;
    assert_eq!((gone.status, gone.json()), (404, json!({"detail": "Key not found"})));
}

async fn a_link_lives(store: (&str, &str)) {
    let shortener = Running::start_ready(SHORTENER, &[store]).await;
    let target = "https://example.com/a?b=c#d";
    let created = post(&shortener.url("/api/urls"), &json!({"url": target})).await;
    assert_eq!(created.status, 201, "{created:?}");
    let code = created.json()["code"].as_str().unwrap().to_owned();
    let short_url = created.json()["short_url"].as_str().unwrap().to_owned();
    assert_eq!(short_url, shortener.url(&format!("/{code}")));

    let describe = shortener.url(&format!("/api/urls/{code}"));
    assert_eq!(get(&describe).await.json()["clicks"], 0);
    let clicks = (0..20).map(|_| {
        tokio::spawn({
            let url = short_url.clone();
            async move { get(&url).await }
        })
    });
    for click in clicks.collect::<Vec<_>>() {
        let answer = click.await.unwrap();
        assert_eq!((answer.status, answer.header("location")), (307, target));
    }
    let looked = send(client().head(&short_url)).await;
    assert_eq!((looked.status, looked.header("location")), (307, target));
    let described = get(&describe).await.json();
    assert_eq!(
        (&described["code"], &described["url"], &described["clicks"]),
        (&json!(code), &json!(target), &json!(20))
    );
    assert_eq!(shortener.metric("links_followed_total").await, 20);

    // Keys and links do not meet.
    assert_eq!(get(&shortener.url(&format!("/pw/{code}"))).await.status, 404);
    for path in ["/nothing", "/api/urls/nothing"] {
        let missing = get(&shortener.url(path)).await;
        assert_eq!(missing.status, 404);
        assert!(missing.error("detail").contains("`nothing`"));
    }
}

async fn links_survive_a_restart(store: (&str, &str)) {
    let mut shortener = Running::start_ready(SHORTENER, &[store]).await;
    let created = post(&shortener.url("/api/urls"), &json!({"url": "https://example.com"})).await.json();
    let path = format!("/{}", created["code"].as_str().unwrap());
    get(&shortener.url(&path)).await;
    shortener.terminate();
    assert_eq!(shortener.exit_code().await, Some(0));

    let shortener = Running::start_ready(SHORTENER, &[store]).await;
    assert_eq!(get(&shortener.url(&path)).await.header("location"), "https://example.com");
    let described = get(&shortener.url(&format!("/api/urls{path}"))).await.json();
    assert_eq!(described["clicks"], 2);
}

/// By two processes that share the store, as two versions do while one replaces the other.
async fn fifty_at_once_get_codes_of_their_own(store: (&str, &str)) {
    let both = [Running::start_ready(SHORTENER, &[store]).await, Running::start_ready(SHORTENER, &[store]).await];
    let creates = (0..50).map(|number| {
        let url = both[number % 2].url("/api/urls");
        tokio::spawn(async move { post(&url, &json!({"url": format!("https://example.com/{number}")})).await })
    });
    let mut codes = HashSet::new();
    for (number, create) in creates.collect::<Vec<_>>().into_iter().enumerate() {
        let created = create.await.unwrap();
        assert_eq!(created.status, 201, "{created:?}");
        let code = created.json()["code"].as_str().unwrap().to_owned();
        let target = get(&both[(number + 1) % 2].url(&format!("/{code}"))).await;
        assert_eq!(target.header("location"), format!("https://example.com/{number}"));
        codes.insert(code);
    }
    assert_eq!(codes.len(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn short_urls_start_with_what_is_configured_or_asked_for() {
    let scratch = TempDir::new().unwrap();
    let data = ("DATA_DIR", scratch.path().to_str().unwrap());
    let body = json!({"url": "https://example.com"});
    let short_url = |answer: Answer| answer.json()["short_url"].as_str().unwrap().to_owned();

    let shortener = Running::start_ready(SHORTENER, &[data]).await;
    let request = client().post(shortener.url("/api/urls")).json(&body);
    let answer = send(request.header("host", "go.example").header("x-forwarded-proto", "https")).await;
    assert!(short_url(answer).starts_with("https://go.example/"));

    let shortener = Running::start_ready(SHORTENER, &[data, ("BASE_URL", "https://s.example/x/")]).await;
    assert!(short_url(post(&shortener.url("/api/urls"), &body).await).starts_with("https://s.example/x/"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_is_said_in_json() {
    let scratch = TempDir::new().unwrap();
    let shortener = Running::start_ready(SHORTENER, &[("DATA_DIR", scratch.path().to_str().unwrap())]).await;
    let urls = shortener.url("/api/urls");
    let json_type = "application/json";
    let large = json!({"url": "x".repeat(70_000)}).to_string();
    for (kind, body, status, reason) in [
        (json_type, &br#"{"url":"example.com"}"#[..], 400, "not an absolute URL"),
        (json_type, br#"{"url":"ftp://example.com"}"#, 400, "scheme `ftp`"),
        (json_type, br#"{"url":5}"#, 400, "expected a string"),
        (json_type, br#"{"url":null}"#, 400, "expected a string"),
        (json_type, br#"{"target":"https://example.com"}"#, 400, "missing field `url`"),
        (json_type, br#"["https://example.com"]"#, 400, "JSON object"),
        (json_type, br#"{"url":"#, 400, "the body is not JSON: EOF"),
        (json_type, b"", 400, "the body is not JSON: EOF"),
        (json_type, b"{\"url\":\"https://example.com/\xff\"}", 400, "unicode"),
        (
            "text/plain",
            br#"{"url":"https://example.com"}"#,
            415,
            "the body has to be JSON, sent with `Content-Type: application/json`",
        ),
        (json_type, large.as_bytes(), 413, "the body is larger than 64 KiB"),
    ] {
        let answer = post_raw(&urls, kind, body).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.error("detail").contains(reason), "{answer:?}");
    }
    for (method, path, status) in [
        ("GET", "/api/urls", 405),
        ("PUT", "/pw/key", 405),
        ("GET", "/pw/key/value", 405),
        ("POST", "/pw", 405),
        ("POST", "/abc", 405),
        ("DELETE", "/livez", 405),
        ("GET", "/pw/%ff", 400),
        ("POST", "/pw/key/%c3%28", 400),
        ("GET", "/%ff", 400),
        ("GET", "/no/such/path", 404),
        ("POST", "/pw/key/", 404),
    ] {
        let answer = send(client().request(method.parse().unwrap(), shortener.url(path))).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        answer.error("detail");
        assert_eq!(status == 405, !answer.header("allow").is_empty(), "{answer:?}");
    }
    assert_eq!(get(&shortener.url("/livez")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_it_says_so_and_recovers() {
    let mut redis = skip::unless!(Redis::stopped());
    let shortener = Running::start(SHORTENER, &[("REDIS_URL", &redis.url())]);
    let url = shortener.url("/pw/key/value");
    for down in [true, false, true, false] {
        if down {
            redis.stop();
            let not_ready = eventually("not ready", || async {
                Some(get(&shortener.url("/readyz")).await).filter(|answer| answer.text.contains("redis unreachable"))
            });
            assert_eq!(not_ready.await.status, 503);
            let answer = send(client().post(&url)).await;
            assert_eq!(answer.status, 503);
            assert!(answer.error("detail").contains("redis unreachable"), "{answer:?}");
            assert_eq!(get(&shortener.url("/livez")).await.status, 200);
        } else {
            redis.resume();
            shortener.until_ready().await;
            assert_eq!(send(client().post(&url)).await.status, 200);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_behind_tls_is_used_by_those_who_trust_it() {
    let redis = skip::unless!(Redis::start_with_tls());
    let (url, certificate) = (redis.url(), redis.certificate());
    let trusting = [("REDIS_URL", url.as_str()), ("SSL_CERT_FILE", certificate.to_str().unwrap())];
    let shortener = Running::start_ready(SHORTENER, &trusting).await;
    assert_eq!(send(client().post(shortener.url("/pw/key/value"))).await.status, 200);
    assert_eq!(get(&shortener.url("/pw/key")).await.text, "\"value\"");
    let wary = Running::start(SHORTENER, &trusting[..1]);
    eventually("it says what is wrong", || async {
        Some(get(&wary.url("/readyz")).await).filter(|answer| answer.text.contains("invalid peer certificate"))
    })
    .await;
}

/// Some clients write all of a body before they read anything.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_sends_far_too_much_reads_why() {
    let scratch = TempDir::new().unwrap();
    let shortener = Running::start_ready(SHORTENER, &[("DATA_DIR", scratch.path().to_str().unwrap())]).await;
    for (path, status) in [("/api/urls", "413 Payload Too Large"), ("/no/such/path", "404 Not Found")] {
        let mut stream = TcpStream::connect(shortener.address("http")).await.unwrap();
        let body = vec![b'x'; 5_000_000];
        let kind = "content-type: application/json";
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\n{kind}\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
        assert!(answer.contains("\"detail\":\""), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_is_finished_before_the_end() {
    let scratch = TempDir::new().unwrap();
    let env = [("DATA_DIR", scratch.path().to_str().unwrap())];
    let mut shortener = Running::start_ready(SHORTENER, &env).await;
    let address = shortener.address("http");
    let mut idle = TcpStream::connect(address).await.unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let body = r#"{"url":"https://example.com/in/flight"}"#;
    let (sent, rest) = body.split_at(10);
    let head = format!(
        "POST /api/urls HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{sent}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let metrics = shortener.url("/metrics");
    eventually("a request in flight", || async {
        get(&metrics).await.text.contains("http_requests_in_flight 2").then_some(())
    })
    .await;

    shortener.terminate();
    eventually("a closed listener", || async { TcpStream::connect(address).await.is_err().then_some(()) }).await;
    stream.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 Created"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(shortener.exit_code().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_never_ends_does_not_keep_it() {
    let scratch = TempDir::new().unwrap();
    let env = [("DATA_DIR", scratch.path().to_str().unwrap()), ("SHUTDOWN_SECONDS", "1")];
    let mut shortener = Running::start_ready(SHORTENER, &env).await;
    let mut stream = TcpStream::connect(shortener.address("http")).await.unwrap();
    let head = "POST /api/urls HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let metrics = shortener.url("/metrics");
    eventually("a request in flight", || async {
        get(&metrics).await.text.contains("http_requests_in_flight 2").then_some(())
    })
    .await;
    shortener.terminate();
    assert_eq!(shortener.exit_code().await, Some(0));
    shortener.logged("what was left", |line| line["message"].as_str().unwrap().contains("unfinished"));
}
